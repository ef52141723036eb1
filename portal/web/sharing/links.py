"""Pages of a person's links to download (shares) and to upload (file requests)."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, ValidationError  # type: ignore[import-untyped]

from portal.activity.record import Action
from portal.core import sizes
from portal.core.models import Entry, FileRequest, Folder, Share, now
from portal.core.models.values import LAST_YEAR
from portal.core.text import LONGEST_NOTE, counted, one_line
from portal.identity import passwords
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing.links import Terms
from portal.sharing.status import status_of
from portal.web import shown_once
from portal.web.flashes import done, shorten
from portal.web.forms import (
    Form,
    OptionalField,
    Query,
    form_page,
    page_before,
    password,
    text,
)
from portal.web.loaders import entry_or_404, mine_or_404
from portal.web.zone import end_of, local, read_day

link_pages = Blueprint("links", __name__)

_DEFAULT_LIFETIME = timedelta(days=14)
_COUNT = re.compile("0{0,9}[1-9][0-9]{0,8}", re.ASCII)


class PlaceQuery(Query):
    """Before which links the pages of both lists begin."""

    shares = page_before()
    requests = page_before()


def _read_last_day(written: str, before: datetime | None) -> datetime:
    # A link that has expired can be changed without a new day, and one from another zone, too.
    if before is not None and written == _write_day(before):
        return before
    end = end_of(read_day(written))
    if end.year > LAST_YEAR:
        raise ValueError(f"This day is too far away. Choose one until {LAST_YEAR}-12-30.")
    if end <= now():
        raise ValueError("This day is in the past. Choose a later one.")
    return end


def _write_day(moment: datetime) -> str:
    return f"{local(moment):%Y-%m-%d}"


def _read_count(written: str, _before: int | None) -> int:
    if not _COUNT.fullmatch(written):
        raise ValueError("Enter a whole number from 1 to 999999999, or leave this empty.")
    return int(written)


def _read_mebibytes(written: str, _before: int | None) -> int:
    with suppress(ValueError):
        if size := sizes.read(written, sizes.MIB):
            return size
    raise ValueError(
        f"Enter a size in MiB, such as 500: at most {sizes.LARGEST // sizes.MIB}, and at least"
        " 0.000001. Leave this empty for no limit."
    )


def _write_mebibytes(size: int) -> str:
    return sizes.write(size, sizes.MIB)


class LinkForm(Form):
    """The terms that both kinds of links have."""

    expires_at = OptionalField(
        "Last day",
        _read_last_day,
        _write_day,
        name="until",
        default=lambda: end_of(local(now() + _DEFAULT_LIFETIME).date()),
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


class _Kind(NamedTuple):
    """What differs between the two kinds of links.

    :param target: what such a link leads to.
    :param visit: the endpoint that a visitor opens it by.
    """

    model: type[Share] | type[FileRequest]
    target: type[Entry]
    form: type[LinkForm]
    create: Action
    visit: str


_KINDS = {
    "share": _Kind(Share, Entry, ShareForm, "share", "share_page.enter"),
    "request": _Kind(FileRequest, Folder, FileRequestForm, "request files", "upload_page.enter"),
}
_GET_POST = ("GET", "POST")
_FORM = "sharing/link_form.html"


@link_pages.get("/links")
@login_required
def index() -> ResponseReturnValue:
    """List my links."""
    account, query = current_account(), PlaceQuery()
    return render_template(
        "sharing/links.html",
        shares=links.of_owner(Share, account, query.shares.data or None),
        requests=links.of_owner(FileRequest, account, query.requests.data or None),
        status_of=status_of,
    )


@link_pages.route("/entries/<public_id>/share", methods=_GET_POST, defaults={"kind": "share"})
@link_pages.route("/folders/<public_id>/request", methods=_GET_POST, defaults={"kind": "request"})
@login_required
def create(kind: str, public_id: str) -> ResponseReturnValue:
    """Ask for the terms of a new link, or create it and go on to the page that shows it."""
    of_kind = _KINDS[kind]
    entry = entry_or_404(of_kind.target, public_id, "share")
    form = of_kind.form()
    if not form.validate_on_submit():
        return form_page(_FORM, form, kind=kind, entry=entry)
    link, token = links.create(of_kind.model, entry, **form.terms())
    done(of_kind.create, entry, detail=_summary(link))
    page = url_for("links.show_created", kind=kind, public_id=link.public_id)
    return shown_once.show(page, token)


@link_pages.get("/links/shares/<public_id>/created", defaults={"kind": "share"})
@link_pages.get("/links/requests/<public_id>/created", defaults={"kind": "request"})
@login_required
def show_created(kind: str, public_id: str) -> ResponseReturnValue:
    """Show a new link, once."""
    link = mine_or_404(_KINDS[kind].model, public_id)
    token = shown_once.take("New links", url_for("links.index"))
    address = url_for(_KINDS[kind].visit, token=token, _external=True)
    return render_template(
        "sharing/link_created.html", entry=links.target(link), link=link, address=address
    )


@link_pages.route("/links/shares/<public_id>", methods=_GET_POST, defaults={"kind": "share"})
@link_pages.route("/links/requests/<public_id>", methods=_GET_POST, defaults={"kind": "request"})
@login_required
def change(kind: str, public_id: str) -> ResponseReturnValue:
    """Show a link's terms, or change them. The link itself stays the same."""
    of_kind = _KINDS[kind]
    link = mine_or_404(of_kind.model, public_id)
    entry = links.target(link)
    form = of_kind.form(obj=link)
    if not form.validate_on_submit():
        return form_page(_FORM, form, kind=kind, entry=entry, link=link)
    links.change(link, **form.terms())
    say = f"Link to {shorten(entry.name)} changed."
    done(cast("Action", f"change {kind}"), entry, detail=_summary(link), say=say)
    return redirect(url_for("links.index"))


@link_pages.post("/links/shares/<public_id>/revoke", defaults={"kind": "share"})
@link_pages.post("/links/requests/<public_id>/revoke", defaults={"kind": "request"})
@login_required
def revoke(kind: str, public_id: str) -> ResponseReturnValue:
    """Revoke a link permanently."""
    link = mine_or_404(_KINDS[kind].model, public_id)
    entry = links.target(link)
    links.revoke(link)
    done(cast("Action", f"revoke {kind}"), entry, say=f"Link to {shorten(entry.name)} revoked.")
    return redirect(url_for("links.index"))


def _summary(link: Share | FileRequest) -> str:
    """Return a share's terms in a few words, for the record."""
    if isinstance(link, FileRequest):
        return ""
    words = ["no expiry"]
    if link.expires_at:
        words = [f"until {_write_day(link.expires_at)} {local(link.expires_at):%Z}"]
    if link.download_limit is not None:
        words.append(counted(link.download_limit, "download"))
    if link.password_hash:
        words.append("password")
    return ", ".join(words)
