"""What the database says of itself."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base

OLDEST_CODE = "oldest code"
"""The revision that the oldest version of the portal knows which still works with the schema."""
SECRET_KEY = "secret key"  # noqa: S105  (a name)
"""What proves that a host has the key of the others: see :mod:`portal.core.shared_key`."""

BUCKET = "bucket"
"""Where the content of files is kept, if in an object store."""
MOVING = "moving"
"""Which data folder files are moved to or from: see :mod:`portal.core.content_place`."""


class Fact(Base):
    """A fact about this database."""

    __tablename__ = "fact"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(255))
