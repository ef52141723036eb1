"""Pages of a person's links to download (shares) and to upload (file requests)."""

from __future__ import annotations

from typing import NamedTuple, cast

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import Action
from portal.core.models import Entry, FileRequest, Folder, Share
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing.status import status_of
from portal.web.flashes import done, shorten
from portal.web.forms import form_page
from portal.web.loaders import entry_or_404, mine_or_404

from .forms import FileRequestForm, LinkForm, ShareForm

link_pages = Blueprint("links", __name__)


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
    account = current_account()
    return render_template(
        "sharing/links.html",
        shares=links.of_owner(Share, account),
        requests=links.of_owner(FileRequest, account),
        status_of=status_of,
    )


@link_pages.route("/entries/<public_id>/share", methods=_GET_POST, defaults={"kind": "share"})
@link_pages.route("/folders/<public_id>/request", methods=_GET_POST, defaults={"kind": "request"})
@login_required
def create(kind: str, public_id: str) -> ResponseReturnValue:
    """Ask for the terms of a new link, or create it."""
    of_kind = _KINDS[kind]
    entry = entry_or_404(of_kind.target, public_id, "share")
    form = of_kind.form()
    if not form.validate_on_submit():
        return form_page(_FORM, form, kind=kind, entry=entry)
    link, token = links.create(of_kind.model, entry, **form.terms())
    done(of_kind.create, entry, detail=_summary(link))
    address = url_for(of_kind.visit, token=token, _external=True)
    return render_template("sharing/link_created.html", entry=entry, link=link, address=address)


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
    words = [f"until {link.expires_at:%Y-%m-%d}" if link.expires_at else "no expiry"]
    if link.download_limit is not None:
        words.append(f"{link.download_limit} downloads")
    if link.password_hash:
        words.append("password")
    return ", ".join(words)
