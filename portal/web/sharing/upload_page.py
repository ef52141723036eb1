"""What visitors see who open a file request: a form, and nothing that is there already."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from portal.core.database import db
from portal.core.models import FileRequest
from portal.files import names
from portal.files.quota import QuotaExceededError, free_space
from portal.files.uploads import accept_up_to, add_file, received_files
from portal.sharing import limits, links
from portal.storage.disk import IncomingFile, OverAllowanceError
from portal.web.flashes import done, list_names, tell
from portal.web.forms import csrf

from .link_entry import enter_by, open_link

upload_page = Blueprint("upload_page", __name__)


@upload_page.get("/r/<token>")
def enter(token: str) -> ResponseReturnValue:
    """Remember the link, and redirect to the page without its token."""
    return enter_by(FileRequest, token, "upload_page.show")


@upload_page.get("/requested/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show who requests files, and the form to send them."""
    wanted = open_link(FileRequest, public_id)
    limit = _size_limit(wanted)
    return render_template("sharing/upload_page.html", file_request=wanted, limit=limit)


# As in files.upload: the view checks the form's token, once it knows who sends the form.
@upload_page.post("/uploads/requested/<public_id>")
@csrf.exempt  # type: ignore[untyped-decorator]
def upload(public_id: str) -> ResponseReturnValue:
    """Store the files of a form, as far as the request's limits allow."""
    wanted = open_link(FileRequest, public_id)
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


def _accept(wanted: FileRequest) -> bool:
    """Accept as many bytes and files as the limits allow, and return whether they allow any."""
    room = min(_size_limit(wanted), free_space(wanted.owner))
    if wanted.file_limit is not None:
        most = wanted.file_limit - wanted.files + 1  # one is the form's token
        request.max_form_parts = min(most, int(current_app.config["MAX_FORM_PARTS"]))
    return room > 0 and accept_up_to(room)


def _store(
    wanted: FileRequest, client_name: str, incoming: IncomingFile, stored: list[str]
) -> bool:
    """Store a file if the limits allow it, and add the name that the visitor gave it."""
    size, request_id, detail = incoming.size, wanted.id, links.via(wanted)
    if not limits.reserve(wanted, size):
        return False
    try:
        file = add_file(wanted.folder, incoming, client_name)
    except BaseException:
        db.session.rollback()
        limits.release(request_id, size)
        raise
    # Not the name in the folder: a number in it would tell that the name was taken.
    stored.append(names.clean(client_name))
    done("upload", file, detail=detail)
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
    if wanted.size_limit is None:
        return most
    return min(most, max(wanted.size_limit - wanted.size, 0))
