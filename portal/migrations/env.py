"""Run migrations in the transaction of portal.core.database.upgrade."""

from __future__ import annotations

from alembic import context

from portal.core.models import Base

# SQLite alters little in place, so batch mode copies tables.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
