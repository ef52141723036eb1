"""What every model stands on: the base class, moments in UTC, and tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is stored as UTC and read as UTC."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Store UTC.

        :raises ValueError: for a time without a time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Read UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def now() -> datetime:
    """Give this moment."""
    return datetime.now(UTC)


def new_token() -> str:
    """Make a name that nobody guesses, fit for a URL."""
    return secrets.token_urlsafe(24)


def hash_token(token: str) -> str:
    """Hash what nobody can guess, for the database: who reads that cannot use it."""
    return hashlib.sha256(token.encode()).hexdigest()


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


# SQLite gives a deleted row's id to the next one otherwise, and with it what refers to it by its id
# and outlives it: the record of activity, requests that are under way.
NEVER_AGAIN = {"sqlite_autoincrement": True}
