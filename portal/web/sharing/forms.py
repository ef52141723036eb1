"""Forms of links: their terms, and what visitors enter."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

from wtforms import BooleanField, ValidationError  # type: ignore[import-untyped]
from wtforms.validators import InputRequired  # type: ignore[import-untyped]

from portal.core.models import Share, now
from portal.core.text import LONGEST_NOTE, one_line
from portal.identity import passwords
from portal.sharing.links import Terms
from portal.web.forms import Form, OptionalField, password, text

_DEFAULT_LIFETIME = timedelta(days=14)
_COUNT = re.compile("0{0,9}[1-9][0-9]{0,8}", re.ASCII)
# No exponents: a number of a million digits would keep the whole process busy.
_MEBIBYTES = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)


def _read_last_day(written: str, before: datetime | None) -> datetime:
    try:
        day = date.fromisoformat(written)
    except ValueError as error:
        raise ValueError("Enter a day as year-month-day, such as 2027-01-31.") from error
    end = datetime.combine(day, time(23, 59, 59), UTC)
    # A link that has expired can be changed without a new day.
    if end <= now() and end != before:
        raise ValueError("This day is in the past. Choose a later one.")
    return end


def _read_count(written: str, _before: int | None) -> int:
    if not _COUNT.fullmatch(written):
        raise ValueError("Enter a whole number from 1, or leave this empty.")
    return int(written)


def _read_mebibytes(written: str, before: int | None) -> int:
    written = written.replace(",", ".")
    # The field shows a rounded size. If that is unchanged, so is the size.
    if before is not None and written == _write_mebibytes(before):
        return before
    size = int(Decimal(written) * 1024**2) if _MEBIBYTES.fullmatch(written) else 0
    if size < 1:
        raise ValueError("Enter a size in MiB, such as 500, or leave this empty.")
    return size


def _write_mebibytes(size: int) -> str:
    return f"{Decimal(size) / 1024**2:.6f}".rstrip("0").rstrip(".")


class LinkForm(Form):
    """The terms that both kinds of links have."""

    expires_at = OptionalField(
        "Last day",
        _read_last_day,
        "{:%Y-%m-%d}".format,
        name="until",
        default=lambda: now() + _DEFAULT_LIFETIME,
    )
    note = text("Note", LONGEST_NOTE)

    def terms(self) -> Terms:
        """Return the terms that were entered."""
        terms = {name: self.data[name] for name in Terms.__annotations__ if name in self.data}
        return cast("Terms", terms | {"note": one_line(self.note.data)})


class ShareForm(LinkForm):
    """The terms of a share.

    :param obj: the share; none for a new one, which has no password to remove.
    """

    download_limit = OptionalField("Download limit", _read_count)
    password = password("Password")
    no_password = BooleanField("Remove the password")

    def __init__(self, obj: Share | None = None) -> None:
        super().__init__(obj=obj)
        if obj is None:
            del self.no_password

    def validate_password(self, field: Any) -> None:
        """Check a new password, unless there is to be none."""
        if not field.data or self.data.get("no_password"):
            return
        try:
            passwords.check_new(field.data, "")
        except passwords.PasswordError as error:
            raise ValidationError(str(error)) from error

    def terms(self) -> Terms:
        """Return the terms that were entered; an empty password stays as it is."""
        terms = super().terms()
        if self.data.get("no_password"):
            terms["password"] = None
        elif not terms["password"]:
            del terms["password"]
        return terms


class FileRequestForm(LinkForm):
    """The terms of a file request."""

    file_limit = OptionalField("File limit", _read_count)
    size_limit = OptionalField("Size limit of all files (MiB)", _read_mebibytes, _write_mebibytes)


class UnlockForm(Form):
    """The password of a share."""

    password = password("Password", InputRequired("Enter the password."))
