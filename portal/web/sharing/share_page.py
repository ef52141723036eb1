"""What somebody sees who opens a share's link: no account, and nothing but what is shared."""

from __future__ import annotations

import logging
from typing import TypeVar

from flask import (
    Blueprint,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.wrappers import Response

from flask_delegate import Handoff, delegated
from portal.activity.record import delivering, record
from portal.core.database import db
from portal.core.models import Entry, Folder, Share, StoredFile
from portal.files import listing, tree
from portal.files.policy import may_visit
from portal.identity import throttle
from portal.sharing import shares as shares_of
from portal.sharing import visitor
from portal.sharing.status import Standing, standing
from portal.web.files.files import path_of
from portal.web.files.zips import send_archive

from .link_entry import closed, enter_by, entered_or_404

visitors = Blueprint("visitors", __name__)
logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Entry)


@visitors.get("/s/<token>")
def enter(token: str) -> ResponseReturnValue:
    """Keep a link's token, and go on to a page that has it in no address."""
    return enter_by(Share, token, "visitors.show")


@visitors.get("/shared/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show what is shared, and by whom; or ask for the password first."""
    share = entered_or_404(Share, public_id)
    if _is_closed(share):
        return closed(share), 410
    if not visitor.is_unlocked(share):
        return render_template("share_password.html", share=share)
    return _show(share, share.entry)


@visitors.post("/shared/<public_id>/unlock")
def unlock(public_id: str) -> ResponseReturnValue:
    """Check a share's password. It opens this share, and no other."""
    share = entered_or_404(Share, public_id)
    if _is_closed(share):
        return closed(share), 410
    attempt = throttle.count_password(f"share {public_id}", "share password")
    if not visitor.unlock(share, request.form.get("password", "")):
        attempt.log_failure()
        record("wrong password", share.entry, detail="of a share link")
        return render_template("share_password.html", share=share, failed=True), 422
    # Not forgotten are the failures of others, who may be guessing.
    attempt.take_back()
    return redirect(url_for("visitors.show", public_id=public_id))


@visitors.get("/shared/<public_id>/folders/<entry_id>")
def folder(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Show a folder in the one that is shared."""
    share = entered_or_404(Share, public_id)
    if _is_closed(share):
        return closed(share), 410
    return _show(share, _entry_or_404(Folder, share, entry_id))


@visitors.post("/shared/<public_id>/files/<entry_id>")
def count(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and go on to it. Looking, and resuming, counts nothing."""
    share = entered_or_404(Share, public_id)
    entry = _entry_or_404(StoredFile, share, entry_id)
    if not shares_of.begin_download(share, entry, visitor.visitor()):
        return closed(share), 410
    return redirect(url_for("visitors.download", public_id=public_id, entry_id=entry_id), 303)


def may_download(public_id: str, entry_id: str) -> bool:
    """Decide whether this visitor may have the file now, and keep it at hand for the view."""
    g.share = entered_or_404(Share, public_id)
    g.file = _entry_or_404(StoredFile, g.share, entry_id)
    return True


@visitors.get("/shared/<public_id>/files/<entry_id>")
@delegated(may_download, conceal=True)
def download(public_id: str, entry_id: str) -> Handoff | Response:  # noqa: ARG001
    """Send a file whose download was counted; to others, show the page to begin one on."""
    stored: StoredFile = g.file
    if not shares_of.may_download(g.share, stored, visitor.visitor()):
        return redirect(url_for("visitors.show", public_id=public_id))
    delivering(stored, "download", detail="by a share link")
    return Handoff(
        path_of(stored),
        as_attachment=True,
        download_name=stored.name,
        mimetype=stored.mimetype,
        csp="default-src 'none'; sandbox",
    )


@visitors.post("/shared/<public_id>/folders/<entry_id>/zip")
def archive(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and send a folder as a ZIP."""
    share = entered_or_404(Share, public_id)
    entry = _entry_or_404(Folder, share, entry_id)

    def begin() -> None:
        if not shares_of.count_download(share):
            abort(make_response(closed(share), 410))
        record("archive", entry, detail="by a share link")

    page = url_for("visitors.show", public_id=public_id)
    # All visitors together have the places among the ZIPs of one account; none has this id.
    return send_archive([entry], entry.name, page, (0, "a visitor"), begin)


def _show(share: Share, entry: Entry) -> ResponseReturnValue:
    page = None
    if isinstance(entry, Folder):
        page = listing.page(entry, listing.Order(), mark=_mark(share, request.args.get("after")))
    way = tree.way_to(entry.id) if page else []
    start = next((n for n, step in enumerate(way) if step.id == share.entry_id), 0)
    return render_template("shared.html", share=share, entry=entry, page=page, way=way[start:])


def _mark(share: Share, public_id: str | None) -> Entry | None:
    """Give the entry that a page begins after, which may have gone from the folder meanwhile."""
    wanted = select(Entry).where(Entry.public_id == public_id, Entry.owner_id == share.owner_id)
    return db.session.scalar(wanted) if public_id else None


def _entry_or_404(kind: type[E], share: Share, public_id: str) -> E:
    """Give a file or folder that is shared, to whoever may see it now."""
    entry = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if entry is None or not may_visit(share, entry, unlocked=visitor.is_unlocked(share)):
        logger.warning("refused: %.100r by a share link", public_id)
        abort(404)
    return entry


def _is_closed(share: Share) -> bool:
    now = standing(share)
    # Who made the last download may look at the page again.
    return now is not Standing.OPEN and not (
        now is Standing.USED_UP and shares_of.has_begun(share, visitor.visitor())
    )
