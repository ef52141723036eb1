"""What every model builds on: the base class, common columns, and tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, mapped_column

from . import values


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def new_token() -> str:
    """Return an unguessable name for URLs."""
    return secrets.token_urlsafe(24)


def hash_token(token: str) -> str:
    """Hash an unguessable token, so that whoever reads the database cannot use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """Return an index of the rows that fulfil a condition."""
    condition = sa.text(where)
    return sa.Index(
        name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )


class Base(DeclarativeBase):
    """The base of all models."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's way)
        datetime: values.UTCDateTime,
        int: values.NUMBER,
    }


PublicId = Annotated[
    str, mapped_column(values.Text(64, values.URL_SAFE), unique=True, default=new_token)
]
"""How URLs name a row."""
TokenHash = Annotated[str, mapped_column(values.Text(64, values.HASH), unique=True)]
"""All that the database knows of a token."""
Name = Annotated[str, mapped_column(values.Text(255, values.FILE_NAME))]
"""The name of a file or folder."""
Note = Annotated[str, mapped_column(sa.String(255), default="")]
LinkName = Annotated[str, mapped_column(sa.String(80), default="", server_default=sa.text("''"))]
"""What its owner calls a link; empty if nothing."""
Bytes = Annotated[int, mapped_column(sa.BigInteger)]
"""What is stored, arrived or was sent."""
Limit = Annotated[int, mapped_column(values.Limit)]
"""Bytes that are allowed, or announced."""
OwnerId = Annotated[int, mapped_column(sa.ForeignKey("account.id", ondelete="CASCADE"), index=True)]
"""An account, without which the row has no use."""
EntryId = Annotated[int, mapped_column(sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True)]
"""A file or folder, without which the row has no use."""
Moment = Annotated[datetime, mapped_column(values.UTCDateTime, default=now)]
"""The moment at which the row was added, unless another one is set."""

# SQLite would otherwise reuse the id of a deleted row, and with it whatever names the row by its id
# and outlives it: the record of activity, requests in progress.
NEVER_REUSED_IDS = {"sqlite_autoincrement": True}
