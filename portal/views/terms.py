"""What a form says of a link's terms, read into values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from flask import request

from ..models import FileRequest, Share, now

_USUAL = timedelta(days=14)
_LONGEST_NOTE = 255
_MOST = 2**31 - 1


class FormError(Exception):
    """A field has something that cannot be; the message says what to write.

    :param field: the field's name.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def last_day(link: Share | FileRequest | None) -> str:
    """Write the last day on which a link works, as the form has it; for a new one, the usual."""
    if link is None:
        return f"{now() + _USUAL:%Y-%m-%d}"
    return f"{link.expires_at:%Y-%m-%d}" if link.expires_at else ""


def read_note() -> str:
    """Read the field ``note``: one line, without characters that cannot be seen."""
    words = " ".join(request.form.get("note", "").split())
    return "".join(one for one in words if one.isprintable())[:_LONGEST_NOTE]


def read_until(before: datetime | None = None) -> datetime | None:
    """Read the field ``until``: the last day on which the link works; empty for no end.

    :param before: when it ends so far; a day that stays the same may be over.
    :raises FormError: for what is no day, or a day that is over.
    """
    text = request.form.get("until", "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise FormError("until", "Write a day as year-month-day, such as 2027-01-31.") from error
    end = datetime.combine(day, time(23, 59, 59), UTC)
    if end <= now() and end != before:
        raise FormError("until", "This day is over. Choose a later one.")
    return end


def read_count(field: str) -> int | None:
    """Read a number from 1 up; empty for none.

    :raises FormError: for anything else.
    """
    text = request.form.get(field, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:12]) <= _MOST:
        raise FormError(field, "Write a whole number from 1 up, or leave it empty.")
    return int(text)


def read_mebibytes(field: str) -> int | None:
    """Read a size in MiB, and give it in bytes; empty for none.

    :raises FormError: for anything else.
    """
    text = request.form.get(field, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        size = int(Decimal(text) * 1024**2)
    except (InvalidOperation, ValueError, OverflowError):
        size = 0
    if not 0 < size < 2**62:
        raise FormError(field, "Write a size in MiB, such as 500, or leave it empty.")
    return size
