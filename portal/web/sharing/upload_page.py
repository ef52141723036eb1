"""What visitors see who open a file request: a form to send files. They need no account."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from portal.activity.record import Note
from portal.core.models import FileRequest
from portal.core.text import counted
from portal.files import names, quota, unfinished
from portal.files.quota import QuotaExceededError
from portal.files.uploads import accept_up_to, add_file, received_files
from portal.sharing import links, room, visitor
from portal.sharing.room import LimitReachedError
from portal.sharing.status import Status, status_of
from portal.storage.incoming import IncomingFile, OverAllowanceError
from portal.web.filters import human_limit
from portal.web.flashes import list_names, tell
from portal.web.forms import csrf

from .link_entry import accept_terms, enter, explain_missing, open_link

upload_page = Blueprint("upload_page", __name__)
explain_missing(upload_page, FileRequest)


@upload_page.get("/r/<token>", endpoint="enter")
def enter_request(token: str) -> ResponseReturnValue:
    """Remember the link, and redirect to its page."""
    return enter(FileRequest, token)


@upload_page.get("/requested/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show who requests files, and the form to send them; after the last one, only thanks.

    First of all it asks for the terms.
    """
    wanted = open_link(FileRequest, public_id)
    files, size = room.of(wanted)
    return render_template(
        "sharing/upload_page.html",
        file_request=wanted,
        files=files,
        size=size,
        at_once=_most_bytes() if size is None else min(_most_bytes(), size),
        most_files=_most_files(),
        is_open=status_of(wanted) is Status.OPEN,
        unfinished=unfinished.of_visitor(wanted, visitor.visitor_id()),
    )


@upload_page.post("/requested/<public_id>/terms")
def accept(public_id: str) -> ResponseReturnValue:
    """Accept the organisation's terms."""
    return accept_terms(FileRequest, public_id)


# As in files.upload: the view checks the form's token, once it knows who sends the form.
@upload_page.post("/uploads/requested/<public_id>")
@csrf.exempt  # type: ignore[untyped-decorator]
def upload(public_id: str) -> ResponseReturnValue:
    """Store the files of a form, as far as the request's limits allow."""
    wanted = open_link(FileRequest, public_id)
    stored: list[str] = []
    problem = ""
    try:
        _accept(wanted)
        csrf.protect()
        for name, incoming in received_files("file"):
            _store(wanted, name, incoming)
            # Not the name in the folder: a number in it would tell that the name was taken.
            stored.append(names.clean(name))
    except (LimitReachedError, QuotaExceededError) as error:
        problem = explain(wanted, error)
    except OverAllowanceError:
        problem = _explain_size(wanted)
    except RequestEntityTooLarge:
        problem = _explain_form(wanted)
    except BaseException:
        # An error page follows; the next page names the files that were stored.
        if stored:
            _report(stored, "")
        raise
    _report(stored, problem)
    return redirect(url_for("upload_page.show", public_id=public_id))


def explain(wanted: FileRequest, error: LimitReachedError | QuotaExceededError) -> str:
    """Return a sentence that names the limit which refused a visitor's file, and the cure.

    How much space the owner has is not for visitors to know.
    """
    owner = wanted.owner.name
    if isinstance(error, QuotaExceededError):
        return (
            f"{owner} does not have enough space for this. Send smaller files, or ask {owner} for"
            " more space."
        )
    if error.files == 0 or error.size == 0:
        if room.is_held(wanted):
            return (
                "All that this link accepts has been sent or is being sent. Ask"
                f" {owner} for another link, or try again in an hour: an upload may have stopped."
            )
        return f"This link accepts no more files. Ask {owner} for another one."
    # Others may have sent more until this is read.
    if error.files is not None:
        files = counted(error.files, "more file")
        return f"This link had room for {files}. Send fewer, or ask {owner} for another link."
    return (
        f"This link had room for {human_limit(error.size or 0)} more. Send smaller files, or ask"
        f" {owner} for another link."
    )


def _accept(wanted: FileRequest) -> None:
    """Accept as many bytes and files as the limits allow, or raise the error of the one reached."""
    room.check(wanted, 1, 0)
    files, size = room.of(wanted)
    if files is not None:
        request.max_form_parts = min(files, _most_files()) + 1
    free = quota.usage_of(wanted.owner).free
    if not accept_up_to(free if size is None else min(size, free)):
        raise OverAllowanceError


def _store(wanted: FileRequest, name: str, incoming: IncomingFile) -> None:
    """Store a file if the limits allow it."""
    note = Note(detail=links.hint(wanted), linked=wanted.folder.public_id, via=links.via(wanted))
    with room.counted(wanted, incoming.size):
        add_file(wanted.folder, incoming, name, note)


def _explain_size(wanted: FileRequest) -> str:
    """Return which limit refused a form by its size: the link's, or the owner's space."""
    size = room.of(wanted)[1]
    if size is None or size > quota.usage_of(wanted.owner).free:
        return explain(wanted, QuotaExceededError(wanted.owner))
    return explain(wanted, LimitReachedError(wanted, None, size))


def _explain_form(wanted: FileRequest) -> str:
    """Return which limit refused a form while it was read: its length, or its number of files."""
    if (request.content_length or 0) > _most_bytes():
        most = human_limit(_most_bytes())
        return f"A form can have at most {most} at once. Send fewer or smaller files at once."
    files = room.of(wanted)[0]
    if files is not None and files <= _most_files():
        return explain(wanted, LimitReachedError(wanted, files, None))
    return f"A form can have at most {counted(_most_files(), 'file')} at once. Send fewer at once."


def _most_bytes() -> int:
    return int(current_app.config["MAX_CONTENT_LENGTH"])


def _most_files() -> int:
    return int(current_app.config["MAX_FORM_PARTS"]) - 1  # one part is the form's token


def _report(stored: list[str], problem: str) -> None:
    """Say what was stored, and what was not and why."""
    received = f"Received: {list_names(stored)}." if stored else ""
    if problem:
        rest = " The rest was not:" if stored else "Nothing was received:"
        tell(f"{received}{rest} {problem}", "error")
    elif stored:
        tell(f"{received} Thank you.")
    else:
        tell("Select a file first.", "error")
