"""What visitors see who open a link: what is shared, or a form to send files. They need no account.

A link's token is in no address after the first.
"""

from __future__ import annotations

import logging
from typing import NoReturn, TypeVar

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms.validators import InputRequired  # type: ignore[import-untyped]

from flask_delegate import Handoff, delegated
from portal.activity.record import record
from portal.core.database import db
from portal.core.models import Entry, FileRequest, Folder, Share, StoredFile
from portal.files import listing, names, tree
from portal.files.policy import may_visit
from portal.files.quota import QuotaExceededError, free_space
from portal.files.uploads import accept_up_to, add_file, received_files
from portal.identity import throttle
from portal.sharing import limits, links, visitor
from portal.sharing.status import Status, status_of
from portal.storage.disk import IncomingFile, OverAllowanceError
from portal.web.files.entries import send_zip
from portal.web.files.files import ListQuery, as_download
from portal.web.flashes import done, list_names, tell
from portal.web.forms import Form, csrf, form_page, password
from portal.web.loaders import entry_of

share_page = Blueprint("share_page", __name__)
upload_page = Blueprint("upload_page", __name__)
logger = logging.getLogger(__name__)

_LOCKED = "sharing/share_password.html"
E = TypeVar("E", bound=Entry)
L = TypeVar("L", bound=Share | FileRequest)


class UnlockForm(Form):
    """The password of a share."""

    password = password("Password", InputRequired("Enter the password."))


@share_page.get("/s/<token>")
@upload_page.get("/r/<token>")
def enter(token: str) -> ResponseReturnValue:
    """Remember the link, and redirect to its page. An unknown token counts as a guess."""
    link = links.find(Share if request.blueprint == "share_page" else FileRequest, token)
    if link is None:
        throttle.count_link().log_failure()
        _refuse(None)
    visitor.enter(link)
    return redirect(url_for(".show", public_id=link.public_id))


@share_page.get("/shared/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show what is shared, and by whom; or ask for the password first."""
    share = _open_link(Share, public_id)
    if not visitor.is_unlocked(share):
        return form_page(_LOCKED, UnlockForm(), share=share)
    return _show(share, share.entry)


@share_page.post("/shared/<public_id>/unlock")
def unlock(public_id: str) -> ResponseReturnValue:
    """Check a share's password. It opens this share, and no other."""
    share = _open_link(Share, public_id)
    form = UnlockForm()
    attempt = throttle.count_share_password(public_id)
    if form.validate_on_submit() and visitor.unlock(share, form.password.data):
        # The failures of others, who may be guessing, still count.
        attempt.take_back()
        return redirect(url_for("share_page.show", public_id=public_id))
    attempt.log_failure()
    record("wrong password", share.entry, detail=links.via(share))
    form.password.errors = form.password.errors or ["Wrong password."]
    return form_page(_LOCKED, form, share=share)


@share_page.get("/shared/<public_id>/folders/<entry_id>")
def folder(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Show a folder inside the shared one."""
    share = _open_link(Share, public_id)
    return _show(share, _entry_or_404(Folder, share, entry_id))


@share_page.post("/shared/<public_id>/files/<entry_id>")
def begin_download(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and redirect to it. Viewing and resuming are not counted."""
    share = _entered_link(Share, public_id)
    entry = _entry_or_404(StoredFile, share, entry_id)
    if not limits.begin_download(share, entry, visitor.visitor_id()):
        _refuse(share)
    return redirect(url_for("share_page.download", public_id=public_id, entry_id=entry_id), 303)


def find_shared(public_id: str, entry_id: str) -> Handoff:
    """Return the hand-off of a file whose download was counted; redirect others to the share."""
    share = _entered_link(Share, public_id)
    file = _entry_or_404(StoredFile, share, entry_id)
    if not limits.may_download(share, file, visitor.visitor_id()):
        abort(redirect(url_for("share_page.show", public_id=public_id)))
    return as_download(file, links.via(share), share.entry.public_id)


@share_page.get("/shared/<public_id>/files/<entry_id>")
@delegated(find_shared, conceal=True)
def download(shared: Handoff, public_id: str, entry_id: str) -> Handoff:  # noqa: ARG001
    """Hand over a file whose download was counted."""
    return shared


@share_page.post("/shared/<public_id>/folders/<entry_id>/zip")
def archive(public_id: str, entry_id: str) -> ResponseReturnValue:
    """Count a download, and send a folder as a ZIP."""
    share = _entered_link(Share, public_id)
    entry = _entry_or_404(Folder, share, entry_id)

    def begin() -> None:
        if not limits.count_download(share):
            _refuse(share)
        record("archive", entry, detail=links.via(share), linked=share.entry.public_id)

    page = url_for("share_page.show", public_id=public_id)
    # All visitors together take the ZIP slots of one account; no account has this id.
    return send_zip([entry], entry.name, page, 0, begin)


@upload_page.get("/requested/<public_id>", endpoint="show")
def show_request(public_id: str) -> ResponseReturnValue:
    """Show who requests files, and the form to send them."""
    wanted = _open_link(FileRequest, public_id)
    limit = _size_limit(wanted)
    return render_template("sharing/upload_page.html", file_request=wanted, limit=limit)


# As in files.upload: the view checks the form's token, once it knows who sends the form.
@upload_page.post("/uploads/requested/<public_id>")
@csrf.exempt  # type: ignore[untyped-decorator]
def upload(public_id: str) -> ResponseReturnValue:
    """Store the files of a form, as far as the request's limits allow."""
    wanted = _open_link(FileRequest, public_id)
    stored: list[str] = []
    no_room = not _accept(wanted)
    try:
        if not no_room:
            csrf.protect()
            for name, incoming in received_files("file"):
                no_room |= not _store(wanted, name, incoming, stored)
    except (OverAllowanceError, QuotaExceededError, RequestEntityTooLarge):
        no_room = True
    except BaseException:
        # An error page follows; the next page names the files that were stored.
        if stored:
            _report(stored, no_room=False)
        raise
    _report(stored, no_room=no_room)
    return redirect(url_for("upload_page.show", public_id=public_id))


def _show(share: Share, entry: Entry) -> ResponseReturnValue:
    page = None
    if isinstance(entry, Folder):
        after = entry_of(share.owner_id, ListQuery().after.data)
        page = listing.page(entry, listing.Order(), mark=after)
    path = tree.path_to(entry.id) if page else []
    start = next((n for n, step in enumerate(path) if step.id == share.entry_id), 0)
    return render_template(
        "sharing/share_page.html", share=share, entry=entry, page=page, path=path[start:]
    )


def _entry_or_404(kind: type[E], share: Share, public_id: str) -> E:
    """Return a shared file or folder that this visitor may see now."""
    entry = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if entry is None or not may_visit(share, entry, unlocked=visitor.is_unlocked(share)):
        logger.warning("refused: %.100r by a share link", public_id)
        abort(404)
    return entry


def _accept(wanted: FileRequest) -> bool:
    """Accept as many bytes and files as the limits allow, and return whether they allow any."""
    room = min(_size_limit(wanted), free_space(wanted.owner))
    if wanted.file_limit is not None:
        most = wanted.file_limit - wanted.files + 1  # one is the form's token
        request.max_form_parts = min(most, int(current_app.config["MAX_FORM_PARTS"]))
    return room > 0 and accept_up_to(room)


def _store(wanted: FileRequest, name: str, incoming: IncomingFile, stored: list[str]) -> bool:
    """Store a file if the limits allow it, and add the name that the visitor gave it."""
    size, request_id, detail = incoming.size, wanted.id, links.via(wanted)
    linked = wanted.folder.public_id
    if not limits.reserve(wanted, size):
        return False
    try:
        file = add_file(wanted.folder, incoming, name)
    except BaseException:
        db.session.rollback()
        limits.release(request_id, size)
        raise
    # Not the name in the folder: a number in it would tell that the name was taken.
    stored.append(names.clean(name))
    done("upload", file, detail=detail, linked=linked)
    return True


def _report(stored: list[str], *, no_room: bool) -> None:
    """Say what was stored. How much space its owner has is not for visitors to know."""
    received = f"Received: {list_names(stored)}. " if stored else ""
    if no_room:
        rest = "the rest" if stored else "this"
        cure = "Send fewer or smaller files, or ask for more room."
        tell(f"{received}There was no room for {rest}. {cure}", "error")
    elif stored:
        tell(f"{received}Thank you.")
    else:
        tell("Select a file first.", "error")


def _size_limit(wanted: FileRequest) -> int:
    """Return the bytes that the request's own terms leave, whatever space its owner has."""
    most = int(current_app.config["MAX_CONTENT_LENGTH"])
    left = most if wanted.size_limit is None else wanted.size_limit - wanted.size
    return min(most, max(left, 0))


def _entered_link(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has entered by, or abort with 404."""
    link = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if link is None or not visitor.has_entered(link):
        _refuse(None)
    return link


def _open_link(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has entered by and that works, or abort with 404 or 410."""
    link = _entered_link(kind, public_id)
    status = status_of(link)
    if status is Status.USED_UP and isinstance(link, Share):
        # Who made the last download may still look at the page.
        if not limits.has_begun(link, visitor.visitor_id()):
            _refuse(link)
    elif status is not Status.OPEN:
        _refuse(link)
    return link


def _refuse(link: Share | FileRequest | None) -> NoReturn:
    """Abort with the page that says why a link does not work; None for an unknown link."""
    status = status_of(link).value if link else "unknown"
    page = render_template("sharing/link_unavailable.html", status=status)
    abort(current_app.make_response((page, 410 if link else 404)))
