"""What visitors see who open a share: a file or folder to download. They need no account."""

from __future__ import annotations

import logging
from typing import TypeVar

from flask import Blueprint, Response, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms.validators import InputRequired  # type: ignore[import-untyped]

from flask_delegate import Handoff, delegated
from portal.activity.record import record
from portal.core.database import db
from portal.core.language import gettext, lazy_gettext
from portal.core.models import Entry, Folder, Share, StoredFile
from portal.files import downloads, listing, tree
from portal.files.downloads import Found
from portal.files.policy import may_visit
from portal.files.thumbnails import Wanted
from portal.identity import throttle
from portal.sharing import limits, links, visitor
from portal.storage.base import ContentLostError
from portal.storage.content import current_storage
from portal.web import marks
from portal.web.files.entries import send_zip
from portal.web.files.files import ListQuery, as_download
from portal.web.files.thumbnails import hand_over, wanted_of
from portal.web.forms import Form, form_page, password
from portal.web.places import VISITORS

from .link_entry import (
    accept_terms,
    enter,
    entered_link,
    explain_missing,
    open_link,
    refuse,
)

share_page = Blueprint("share_page", __name__)
explain_missing(share_page, Share)
logger = logging.getLogger(__name__)

_LOCKED = "sharing/share_password.html"
E = TypeVar("E", bound=Entry)


class UnlockForm(Form):
    """The password of a share."""

    password = password(
        lazy_gettext("Password"), InputRequired(lazy_gettext("Enter the password."))
    )


@share_page.get("/s/<token>", endpoint="enter")
def enter_share(token: str) -> ResponseReturnValue:
    """Remember the link, and redirect to its page."""
    return enter(Share, token)


@share_page.get("/shared/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show what is shared, and by whom; or ask for the terms and the password first."""
    share = open_link(Share, public_id)
    if not visitor.is_unlocked(share):
        return form_page(_LOCKED, UnlockForm(), share=share)
    return _show(share, share.entry)


@share_page.post("/shared/<public_id>/terms")
def accept(public_id: str) -> ResponseReturnValue:
    """Accept the organisation's terms."""
    return accept_terms(Share, public_id)


@share_page.post("/shared/<public_id>/unlock")
def unlock(public_id: str) -> ResponseReturnValue:
    """Check a share's password. It opens this share, and no other."""
    share = open_link(Share, public_id)
    form = UnlockForm()
    attempt = throttle.count_share_password(public_id)
    if form.validate_on_submit() and visitor.unlock(share, form.password.data):
        # The failures of others, who may be guessing, still count.
        attempt.take_back()
        return redirect(url_for("share_page.show", public_id=public_id))
    attempt.log_failure()
    record("wrong password", share.entry, detail=links.hint(share), via=links.via(share))
    form.password.errors = form.password.errors or [gettext("Wrong password.")]
    return form_page(_LOCKED, form, share=share)


@share_page.get("/shared/<public_id>/folders/<entry_id>")
def folder(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Show a folder inside the shared one."""
    share = open_link(Share, public_id)
    return _show(share, _entry_or_404(Folder, share, entry_id))


@share_page.post("/shared/<public_id>/files/<entry_id>")
def begin_download(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and redirect to it. Viewing and resuming are not counted.

    :raises ContentLostError: if the file's content is not there.
    """
    share = entered_link(Share, public_id)
    entry = _entry_or_404(StoredFile, share, entry_id)
    if not current_storage().holds(entry.storage_key, entry.size):
        raise ContentLostError(entry.public_id)  # which is not counted
    if not limits.begin_download(share, entry, visitor.visitor_id()):
        refuse(share)
    return redirect(url_for("share_page.download", public_id=public_id, entry_id=entry_id), 303)


def find_shared(public_id: str, entry_id: str) -> Handoff:
    """Return the hand-off of a file whose download was counted; redirect others to the share."""
    if granted := downloads.find_granted(public_id, entry_id, visitor.visitor_id()):
        visited, shared_id, found = granted
        may_go_on = visitor.has_accepted(visited) and visitor.is_unlocked(visited)
        if visitor.has_entered(visited) and may_go_on:
            return _shared_file(found, visited, shared_id)
    share = entered_link(Share, public_id)
    file = _entry_or_404(StoredFile, share, entry_id)
    if not limits.may_download(share, file, visitor.visitor_id()):
        abort(redirect(url_for("share_page.show", public_id=public_id)))
    return _shared_file(Found.of(file), share, share.entry.public_id)


def _shared_file(found: Found, share: Share | visitor.Visited, shared_id: str) -> Handoff:
    return as_download(found, links.hint(share), shared_id, links.via(share))


@share_page.get("/shared/<public_id>/files/<entry_id>")
@delegated(find_shared, conceal=True)
def download(shared: Handoff, public_id: str, entry_id: str) -> Handoff:  # noqa: ARG001
    """Hand over a file whose download was counted."""
    return shared


def find_shown(public_id: str, entry_id: str) -> Wanted | None:
    """Find the file whose thumbnail a visitor's page shows, if it may have one."""
    file = _entry_or_404(StoredFile, open_link(Share, public_id), entry_id)
    return wanted_of(file)


@share_page.get("/shared/<public_id>/files/<entry_id>/thumbnail")
@delegated(find_shown, conceal=True)
def thumbnail(wanted: Wanted, public_id: str, entry_id: str) -> Handoff | Response:  # noqa: ARG001
    """Hand over a thumbnail, which counts as no download."""
    return hand_over(wanted)


@share_page.post("/shared/<public_id>/folders/<entry_id>/zip")
def archive(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and send a folder as a ZIP."""
    share = entered_link(Share, public_id)
    entry = _entry_or_404(Folder, share, entry_id)

    def begin() -> None:
        if not limits.count_download(share):
            refuse(share)
        hint, linked = links.hint(share), share.entry.public_id
        record("archive", entry, detail=hint, linked=linked, via=links.via(share))

    page = url_for("share_page.show", public_id=public_id)
    return send_zip([entry], entry.name, page, VISITORS, begin)


def _show(share: Share, entry: Entry) -> ResponseReturnValue:
    page, after, changed = None, "", ""
    if isinstance(entry, Folder):
        asked, order = ListQuery().after.data, listing.Order()
        mark = marks.find_entry(share.owner_id, asked, order.place_of)
        page = listing.page(entry, order, mark=mark)
        after = marks.of_entries(reversed(page.entries), order.place_of)
        changed = marks.end_or_beginning(page.is_end, is_lost=bool(asked) and mark is None)
    path = tree.path_to(entry.id) if page else []
    start = next((n for n, step in enumerate(path) if step.id == share.entry_id), 0)
    values = {"share": share, "entry": entry, "page": page, "path": path[start:]}
    return render_template("sharing/share_page.html", **values, after=after, changed=changed)


def _entry_or_404(kind: type[E], share: Share, public_id: str) -> E:
    """Return a shared file or folder that this visitor may see now, or abort."""
    entry = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if entry is None or not may_visit(share, entry, unlocked=visitor.is_unlocked(share)):
        logger.warning("refused: %.100r by a share link", public_id)
        abort(404)
    return entry
