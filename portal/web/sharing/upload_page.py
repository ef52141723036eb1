"""What somebody sees who was asked for files: a form, and nothing that is there already."""

from __future__ import annotations

import logging

from flask import (
    Blueprint,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from portal.activity.record import record
from portal.core.database import db
from portal.core.models import FileRequest
from portal.files import names
from portal.files.quota import QuotaExceededError, free_space
from portal.files.uploads import accept_up_to, add_file, received_files
from portal.sharing import file_requests as requests_of
from portal.sharing.status import Standing, standing
from portal.storage.disk import IncomingFile, OverAllowanceError
from portal.web.csrf import check_form_in_view, csrf
from portal.web.flashes import list_names, tell

from .link_entry import closed, enter_by, entered_or_404

uploaders = Blueprint("uploaders", __name__)
logger = logging.getLogger(__name__)


@uploaders.get("/r/<token>")
def enter(token: str) -> ResponseReturnValue:
    """Keep a link's token, and go on to a page that has it in no address."""
    return enter_by(FileRequest, token, "uploaders.show")


@uploaders.get("/requested/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show who asks for files, and the form for them."""
    asked = entered_or_404(FileRequest, public_id)
    if standing(asked) is not Standing.OPEN:
        return closed(asked), 410
    return render_template("requested.html", asked=asked, limit=_limit(asked))


# As in files.upload: the form's token can only be checked once it is known who asks.
@uploaders.post("/uploads/requested/<public_id>")
@check_form_in_view
def upload(public_id: str) -> ResponseReturnValue:
    """Keep the files that a form sends, as far as the request's limits go."""
    asked = entered_or_404(FileRequest, public_id)
    if standing(asked) is not Standing.OPEN:
        return closed(asked), 410
    kept: list[str] = []
    no_room = not _accept(asked)
    try:
        if not no_room:
            csrf.protect()
            for name, incoming in received_files("file"):
                no_room |= not _keep(asked, name, incoming, kept)
    except (OverAllowanceError, QuotaExceededError, RequestEntityTooLarge):
        no_room = True
    except BaseException:
        # An error page says the rest; the next one tells what was kept.
        if kept:
            _say(kept, no_room=False)
        raise
    _say(kept, no_room=no_room)
    return redirect(url_for("uploaders.show", public_id=public_id))


def _accept(asked: FileRequest) -> bool:
    """Have as much written to disk as there may be; nothing where there may be nothing."""
    room = min(_limit(asked), free_space(asked.owner))
    if asked.file_limit is not None:
        most = asked.file_limit - asked.files + 1  # one is the form's token
        request.max_form_parts = min(most, int(current_app.config["MAX_FORM_PARTS"]))
    return room > 0 and accept_up_to(room)


def _keep(asked: FileRequest, client_name: str, incoming: IncomingFile, kept: list[str]) -> bool:
    """Keep a file, if the limits have room for it, and note the name that the uploader knows."""
    size, asked_id, owner_name = incoming.size, asked.id, asked.owner.name
    if not requests_of.reserve(asked, size):
        return False
    try:
        stored = add_file(asked.folder, incoming, client_name)
    except BaseException:
        db.session.rollback()
        requests_of.give_back(asked_id, size)
        raise
    # Not the name that it got: a number would tell that there was another one.
    kept.append(names.clean(client_name))
    record("upload", stored, detail="by a link for uploads")
    logger.info("uploaded: %r, %d bytes, by a link of %.100r", stored.name, size, owner_name)
    return True


def _say(kept: list[str], *, no_room: bool) -> None:
    """Say what came of it; how much room its owner has is not for the uploader to know."""
    received = f"Received: {list_names(kept)}. " if kept else ""
    if no_room:
        rest = "the rest" if kept else "this"
        cure = "Send fewer or smaller files, or ask for more room."
        tell(f"{received}There was no room for {rest}. {cure}", "error")
    elif kept:
        tell(f"{received}Thank you.")
    else:
        tell("Choose a file first, then send it.", "error")


def _limit(asked: FileRequest) -> int:
    """Tell how many bytes the request's terms leave; how much room its owner has is not told."""
    most = int(current_app.config["MAX_CONTENT_LENGTH"])
    return most if asked.size_limit is None else min(most, max(asked.size_limit - asked.size, 0))
