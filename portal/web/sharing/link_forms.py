"""Forms for the terms of links: when they expire, who may use them, how often, and their texts."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from wtforms import BooleanField, RadioField, ValidationError  # type: ignore[import-untyped]

from portal.core import sizes
from portal.core.language import gettext, lazy_gettext
from portal.core.models import FileRequest, Share, now
from portal.core.models.values import LAST_YEAR
from portal.core.text import LONGEST_LINK_NAME, LONGEST_NOTE, one_line
from portal.identity import passwords
from portal.sharing.links import Terms
from portal.web.forms import Form, OptionalField, password, text
from portal.web.zone import end_of, local, read_day

DEFAULT_DAYS = 14
"""Days after which a link expires, unless its owner decides otherwise."""
_PRESETS = (1, 7, DEFAULT_DAYS, 30)
_ON_A_DAY, _NEVER = "day", "never"
_NONE, _GENERATED, _OWN = "none", "generated", "own"
_COUNT = re.compile("0{0,9}[1-9][0-9]{0,8}", re.ASCII)


def _read_last_day(written: str, before: datetime | None) -> datetime:
    # A link that has expired can be changed without a new day, and one from another zone, too.
    if before is not None and written == write_day(before):
        return before
    end = end_of(read_day(written))
    if end.year > LAST_YEAR:
        raise ValueError(
            gettext("This day is too far away. Choose one until %(year)s-12-30.", year=LAST_YEAR)
        )
    if end <= now():
        raise ValueError(gettext("This day is in the past. Choose a later one."))
    return end


def write_day(moment: datetime) -> str:
    """Return the day of a moment, in the zone of whoever asks, as forms have it."""
    return f"{local(moment):%Y-%m-%d}"


def _in_days(days: int) -> datetime:
    return end_of(local(now() + timedelta(days=days)).date())


def _read_count(written: str, _before: int | None) -> int:
    if not _COUNT.fullmatch(written):
        raise ValueError(gettext("Enter a whole number from 1 to 999999999, or leave this empty."))
    return int(written)


def _read_mebibytes(written: str, _before: int | None) -> int:
    with suppress(ValueError):
        if size := sizes.read(written, sizes.MIB):
            return size
    raise ValueError(
        gettext(
            "Enter a size in MiB, such as 500: at most %(most)s, and at least 0.000001. Leave this"
            " empty for no limit.",
            most=sizes.LARGEST // sizes.MIB,
        )
    )


def _write_mebibytes(size: int) -> str:
    return sizes.write(size, sizes.MIB)


class LinkForm(Form):
    """The terms that both kinds of links have.

    :param obj: the link; none for a new one.
    """

    name = text(lazy_gettext("Name"), LONGEST_LINK_NAME)
    expires = RadioField(
        lazy_gettext("Expires"),
        choices=[*map(str, _PRESETS), _ON_A_DAY, _NEVER],
        default=str(DEFAULT_DAYS),
    )
    expires_at = OptionalField(
        lazy_gettext("Last day"),
        _read_last_day,
        write_day,
        name="until",
        default=lambda: _in_days(DEFAULT_DAYS),
    )
    note = text(lazy_gettext("Note"), LONGEST_NOTE)

    def __init__(self, obj: Share | FileRequest | None = None) -> None:
        present = {}
        if obj is not None:
            present["expires"] = _ON_A_DAY if obj.expires_at else _NEVER
        super().__init__(obj=obj, **present)
        self._is_new = obj is None
        for field in self:
            # The form is shown in a dialog, too, on pages with fields of the same names.
            field.id = field.label.field_id = f"link-{field.short_name}"

    @property
    def has_day(self) -> bool:
        """Whether the last day that was entered counts, and not a choice beside it."""
        if self.expires.raw_data:
            return bool(self.expires.data == _ON_A_DAY)
        return any(map(str.strip, self.expires_at.raw_data or ()))  # of who knows the day alone

    def validate(self, **given: Any) -> bool:
        """Check what counts."""
        if self.has_day:
            self.expires.data = _ON_A_DAY
        else:
            self.expires_at.process_errors = []
        return bool(super().validate(**given))

    def validate_expires_at(self, field: Any) -> None:
        """Refuse no day: that a link never expires is a choice of its own."""
        if self.has_day and field.data is None and not field.process_errors:
            raise ValidationError(gettext("Enter the last day, or select another choice."))

    def terms(self) -> Terms:
        """Return the terms that were entered."""
        terms = {name: self.data[name] for name in Terms.__annotations__ if name in self.data}
        terms["name"] = one_line(self.name.data, LONGEST_LINK_NAME)
        terms["note"] = one_line(self.note.data)
        if not self.has_day:
            del terms["expires_at"]
        if self._is_new or self.expires.raw_data:
            terms.setdefault("expires_at", self._end())
        return cast("Terms", terms)

    def _end(self) -> datetime | None:
        """Return when the link expires by the choice that is no day."""
        which = self.expires.data
        return _in_days(int(which)) if which.isdecimal() else None


class ShareForm(LinkForm):
    """The terms of a share.

    :param obj: the share; none for a new one, which has no password to remove.
    """

    lock = RadioField(
        lazy_gettext("Password"),
        choices=[_NONE, _GENERATED, _OWN],
        default=_NONE,
    )
    password = password(lazy_gettext("Password"))
    no_password = BooleanField(lazy_gettext("Remove the password"))
    download_limit = OptionalField(lazy_gettext("Download limit"), _read_count)

    def __init__(self, obj: Share | None = None) -> None:
        super().__init__(obj)
        if obj is None:
            del self.no_password
        else:
            del self.lock
        self.generated = ""

    def validate_lock(self, field: Any) -> None:
        """Refuse a choice that contradicts the password."""
        # Who knows the password alone sends no choice.
        if field.raw_data and field.data == _NONE and self.password.data:
            raise ValidationError(
                gettext("You entered a password. Select My own, or empty its field.")
            )

    def validate_password(self, field: Any) -> None:
        """Check a new password, unless there is to be none."""
        lock = self.data.get("lock")
        if self.lock and not self.lock.raw_data and field.data:
            lock = self.lock.data = _OWN
        if lock == _OWN and not field.data:
            raise ValidationError(gettext("Enter a password, or select another choice."))
        if not field.data or self.data.get("no_password") or lock == _GENERATED:
            return
        try:
            passwords.check_new(field.data, "")
        except passwords.PasswordError as error:
            raise ValidationError(str(error)) from error

    def terms(self) -> Terms:
        """Return the terms that were entered; an empty password stays as it is."""
        terms = super().terms()
        if self.data.get("lock") == _GENERATED:
            self.generated = terms["password"] = passwords.generate()
        elif self.data.get("no_password"):
            terms["password"] = None
        elif not terms["password"]:
            del terms["password"]
        return terms


class FileRequestForm(LinkForm):
    """The terms of a file request."""

    file_limit = OptionalField(lazy_gettext("File limit"), _read_count)
    size_limit = OptionalField(
        lazy_gettext("Size limit of all files (MiB)"), _read_mebibytes, _write_mebibytes
    )
    asks_name = BooleanField(lazy_gettext("Ask for a name"))
    asks_message = BooleanField(lazy_gettext("Ask for a message"))
