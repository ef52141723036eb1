"""What values columns take: each that the portal writes fits, and it can read each that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from portal.core.text import is_text

MOST = 2**53 - 1
"""The largest id, number of something, or bytes that are stored: sums of them are numbers, too."""
LARGEST = 2**63 - 1
"""The largest number in the database."""
_LONGEST = 16 * 1024
"""Characters of a text whose column does not limit it."""
# Around these years, a time zone and a number of days can still be added.
FIRST_YEAR, LAST_YEAR = 1970, 8999

_DIALECT = sqlite.dialect()
_UNREADABLE = (ValueError, TypeError, LookupError, RecursionError, OverflowError)

HASH = "[0-9a-f]{64}"
KEY = "[0-9a-f]{32}"
"""What the storage knows a file or part by."""
ARGON2 = (
    r"\$argon2id\$v=19\$m=1?[0-9]{1,5},t=[1-9],p=1?[0-9]"  # of no more work than a sign-in may be
    r"\$[0-9A-Za-z+/]+\$[0-9A-Za-z+/]+"
)
"""With parameters that a server can compute."""
BASE32 = "(?:[A-Z2-7]{8}){2,8}"
MEDIA_TYPE = "[0-9A-Za-z!#$&^_.+-]+/[0-9A-Za-z!#$&^_.+-]+"
URL_SAFE = "[0-9A-Za-z_-]+"
LANGUAGE = "[a-z]{2,3}(?:-[0-9A-Za-z]{2,8})*"
_NO_CONTROLS = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
ONE_LINE = f"[^{_NO_CONTROLS}]+"
FILE_NAME = rf"(?!\.{{1,2}}\Z)[^/\\{_NO_CONTROLS}]*"
"""Empty for an account's root folder."""


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is stored and read as UTC."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC; raise :exc:`ValueError` for one without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Return the moment with its time zone."""
        return None if value is None else value.replace(tzinfo=UTC)


NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
"""A whole number of 64 bits, which SQLite has by another name, and counts ids by that only."""


class Text(sa.String):
    """Text of a pattern."""

    def __init__(self, length: int, pattern: str) -> None:
        super().__init__(length)
        self.pattern = pattern


class Header(sa.Text):
    """The value of an HTTP header."""

    pattern = r"[\t -~]*"


class Limit(sa.BigInteger):
    """Bytes that are allowed or announced, which may be more than any disk has."""


class Positions(sa.JSON):
    """Positions by file."""


def checker(column: sa.Column[Any]) -> Callable[[object], bool]:
    """Return a function that tells whether a column takes a value, as SQLite returns it.

    The function takes bytes for a blob, and halves of surrogate pairs for what is not UTF-8.
    """
    of_type, fits = column.type.dialect_impl(_DIALECT), _by_type(column.type)
    read = of_type.result_processor(_DIALECT, None)
    write = of_type.bind_processor(_DIALECT)

    def check(stored: object) -> bool:
        if stored is None:
            return bool(column.nullable)
        if not (read and write):
            return fits(stored)
        try:
            value = read(stored)
            again = write(value)
        except _UNREADABLE:
            return False
        # What the portal would write in another way than it is, it would not find.
        return type(again) is type(stored) and again == stored and fits(value)

    return check


def _by_type(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], bool]:
    """Return what a value has to fulfil beside being readable."""
    if isinstance(kind, sa.Enum | sa.Boolean):
        return lambda _value: True
    if isinstance(kind, sa.String):
        longest = kind.length or _LONGEST
        is_usable: Callable[[str], object] = is_text
        if isinstance(kind, Text | Header):
            is_usable = re.compile(kind.pattern).fullmatch
        return lambda text: isinstance(text, str) and len(text) <= longest and bool(is_usable(text))
    if isinstance(kind, sa.Integer):
        most = LARGEST if isinstance(kind, Limit) else MOST
        return lambda number: type(number) is int and 0 <= number <= most
    if isinstance(kind, Positions):
        return _are_positions
    if isinstance(kind, UTCDateTime | sa.Date):
        return _is_near
    raise TypeError(f"no bounds for {kind!r}")


def _are_positions(value: object) -> bool:
    return isinstance(value, dict) and all(
        type(number) is int and 0 <= number <= MOST for number in value.values()
    )


def _is_near(moment: date | datetime) -> bool:
    return FIRST_YEAR <= moment.year <= LAST_YEAR
