"""Pages of a person's links to download (shares) and to upload (file requests)."""

from __future__ import annotations

from typing import NamedTuple, cast

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import Action
from portal.core import sizes
from portal.core.language import gettext
from portal.core.models import Entry, FileRequest, Folder, Share
from portal.core.text import counted
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing.status import status_of
from portal.web import shown_once
from portal.web.flashes import done, shorten, tell
from portal.web.forms import Query, form_page, page_before
from portal.web.loaders import entry_or_404, mine_or_404
from portal.web.zone import local

from .link_forms import FileRequestForm, LinkForm, ShareForm, write_day
from .qr_code import qr_code

link_pages = Blueprint("links", __name__)


class PlaceQuery(Query):
    """Before which links the pages of both lists begin."""

    shares = page_before()
    requests = page_before()


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
_LISTED = 3
"""Links to the same that the form for another one lists."""


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
        present = links.latest(of_kind.model, entry, _LISTED + 1)
        more = len(present) > _LISTED
        listed = {"present": present[:_LISTED], "has_more": more, "status_of": status_of}
        return form_page(_FORM, form, kind=kind, entry=entry, **listed)
    link, token = links.create(of_kind.model, entry, **form.terms())
    done(of_kind.create, entry, detail=_summary(link), via=links.via(link))
    page = url_for("links.show_created", kind=kind, public_id=link.public_id)
    password = form.generated if isinstance(form, ShareForm) else ""
    # Another host, of an earlier version, may show it: it knows of the token alone.
    return shown_once.show(page, [token, password] if password else token)


@link_pages.get("/links/shares/<public_id>/created", defaults={"kind": "share"})
@link_pages.get("/links/requests/<public_id>/created", defaults={"kind": "request"})
@login_required
def show_created(kind: str, public_id: str) -> ResponseReturnValue:
    """Show a new link, once."""
    link = mine_or_404(_KINDS[kind].model, public_id)
    secret = shown_once.take(gettext("New links"), url_for("links.index"))
    token, password = (secret, "") if isinstance(secret, str) else secret
    address = url_for(_KINDS[kind].visit, token=token, _external=True)
    return render_template(
        "sharing/link_created.html",
        entry=links.target(link),
        kind=kind,
        link=link,
        address=address,
        password=password,
        qr_code=qr_code(address),
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
    if links.change(link, **form.terms()):
        say = gettext("Link to %(name)s changed.", name=shorten(entry.name))
        action = cast("Action", f"change {kind}")
        done(action, entry, detail=_summary(link), via=links.via(link), say=say)
    else:
        tell(gettext("Nothing was changed: the link has these terms."))
    return redirect(url_for("links.index"))


@link_pages.route("/links/shares/<public_id>/revoke", methods=_GET_POST, defaults={"kind": "share"})
@link_pages.route(
    "/links/requests/<public_id>/revoke", methods=_GET_POST, defaults={"kind": "request"}
)
@login_required
def revoke(kind: str, public_id: str) -> ResponseReturnValue:
    """Ask whether to revoke a link permanently, or revoke it."""
    link = mine_or_404(_KINDS[kind].model, public_id)
    entry = links.target(link)
    if request.method != "POST":
        return render_template("sharing/revoke.html", kind=kind, entry=entry, link=link)
    action, name = cast("Action", f"revoke {kind}"), shorten(entry.name)
    if links.revoke(link):
        say = gettext("Link to %(name)s revoked.", name=name)
        done(action, entry, detail=_name(link), via=links.via(link), say=say)
    else:
        tell(gettext("The link to %(name)s was revoked before.", name=name))
    return redirect(url_for("links.index"))


def _summary(link: Share | FileRequest) -> str:
    """Return a link's name and its terms in a few words, for the record: in English."""
    words = [_name(link), "no expiry"]
    if link.expires_at:
        words[-1] = f"until {write_day(link.expires_at)} {local(link.expires_at):%Z}"
    if isinstance(link, Share):
        if link.download_limit is not None:
            words.append(counted(link.download_limit, "download"))
        if link.password_hash:
            words.append("password")
    else:
        if link.file_limit is not None:
            words.append(counted(link.file_limit, "file"))
        if link.size_limit is not None:
            words.append(f"{sizes.write(link.size_limit, sizes.MIB)} MiB in all")
    return ", ".join(filter(None, words))


def _name(link: Share | FileRequest) -> str:
    return f"“{link.name}”" if link.name else ""
