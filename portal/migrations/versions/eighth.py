"""The language that an account reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the language, which is the browser's until somebody chooses one."""
    op.add_column("account", sa.Column("language", schema.text(35)))
