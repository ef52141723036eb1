"""What a form says of a link's terms, read into values."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from flask import request

from portal.core import text
from portal.core.models import FileRequest, Share, now

_USUAL = timedelta(days=14)
_COUNT = re.compile("0{0,9}[1-9][0-9]{0,8}", re.ASCII)
_MEBIBYTES = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)


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
    """Read the field ``note``."""
    return text.one_line(request.form.get("note", ""))


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
    if not _COUNT.fullmatch(text):
        raise FormError(field, "Write a whole number from 1 up, or leave it empty.")
    return int(text)


def read_mebibytes(field: str, before: int | None = None) -> int | None:
    """Read a size in MiB, and give it in bytes; empty for none.

    :param before: what it is so far: the field shows it rounded, and unchanged it stays as it was.
    :raises FormError: for anything else.
    """
    text = request.form.get(field, "").strip().replace(",", ".")
    if not text:
        return None
    if before is not None and text == mebibytes(before):
        return before
    # No exponents: a number of a million digits would keep the whole process busy.
    size = int(Decimal(text) * 1024**2) if _MEBIBYTES.fullmatch(text) else 0
    if size < 1:
        raise FormError(field, "Write a size in MiB, such as 500, or leave it empty.")
    return size


def mebibytes(size: int | None) -> str:
    """Write a size in MiB, as the form has it."""
    return "" if size is None else f"{Decimal(size) / 1024**2:.6f}".rstrip("0").rstrip(".")
