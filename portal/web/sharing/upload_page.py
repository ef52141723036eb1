"""What visitors see who open a file request: a form to send files. They need no account."""

from __future__ import annotations

from functools import partial
from typing import cast

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from portal.activity.record import Note
from portal.core.language import gettext, ngettext
from portal.core.models import FileRequest
from portal.files import names, quota, unfinished
from portal.files.quota import QuotaExceededError
from portal.files.uploads import UploadRequest, accept_up_to, add_file, received_files
from portal.sharing import arrivals, links, room, visitor
from portal.sharing.arrivals import NameMissingError
from portal.sharing.room import LimitReachedError
from portal.sharing.status import Status, status_of
from portal.storage.incoming import IncomingFile, OverAllowanceError
from portal.web.filters import human_limit
from portal.web.flashes import list_names, tell
from portal.web.forms import Query, csrf, focus_first_error, page_before

from .introduction import IntroductionForm
from .link_entry import accept_terms, arrived_from_here, enter, explain_missing, open_link


class PlaceQuery(Query):
    """Before which arrival the list of what was sent begins."""

    before = page_before()


upload_page = Blueprint("upload_page", __name__)
explain_missing(upload_page, FileRequest)


@upload_page.get("/r/<token>", endpoint="enter")
def enter_request(token: str) -> ResponseReturnValue:
    """Remember the link, and redirect to its page."""
    return enter(FileRequest, token)


@upload_page.get("/requested/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show who requests files, the form to send them, and what this visitor has sent.

    First of all it asks for the terms, and then for a name or a message, where the link does.
    """
    return _page(open_link(FileRequest, public_id))


def _page(wanted: FileRequest, form: IntroductionForm | None = None) -> ResponseReturnValue:
    """Return the page of a link.

    :param form: what a visitor said of themselves, which has errors, or is to be changed.
    """
    who, before = visitor.visitor_id(), PlaceQuery().before.data or None
    is_open = status_of(wanted) is Status.OPEN
    if form is None and is_open and not arrivals.has_answered(wanted, who):
        form = IntroductionForm(wanted)
    files, size = room.of(wanted)
    page = render_template(
        "sharing/upload_page.html",
        file_request=wanted,
        form=form,
        sender=arrivals.sender_of(wanted, who) if arrivals.is_asked(wanted) else None,
        **arrived_from_here(wanted, before),
        has_later=before is not None,
        files=files,
        size=size,
        at_once=_most_bytes() if size is None else min(_most_bytes(), size),
        most_files=_most_files(),
        is_open=is_open,
        unfinished=unfinished.of_visitor(wanted, who),
    )
    return page, 422 if form and form.errors else 200


@upload_page.post("/requested/<public_id>/terms")
def accept(public_id: str) -> ResponseReturnValue:
    """Accept the organisation's terms."""
    return accept_terms(FileRequest, public_id)


@upload_page.route("/requested/<public_id>/sender", methods=["GET", "POST"])
def introduce(public_id: str) -> ResponseReturnValue:
    """Ask visitors who they are, and for a message, if the link does; or note what they say."""
    wanted = open_link(FileRequest, public_id)
    if not arrivals.is_asked(wanted) or status_of(wanted) is not Status.OPEN:
        return redirect(url_for("upload_page.show", public_id=public_id), 303)
    who = visitor.visitor_id()
    form = IntroductionForm(wanted, arrivals.sender_of(wanted, who))
    if not form.validate_on_submit():
        focus_first_error(form)
        return _page(wanted, form)
    try:
        arrivals.introduce(wanted, who, *form.said())
    except arrivals.TooManyWaitingError:
        problem = gettext("Too many others are about to send files by this link. Try again later.")
        tell(problem, "error")
    return redirect(url_for("upload_page.show", public_id=public_id), 303)


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
    except NameMissingError:
        problem = gettext(
            "%(owner)s asks for your name. Enter it, and send the files again.",
            owner=wanted.owner.name,
        )
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
        return gettext(
            "%(owner)s does not have enough space for this. Send smaller files, or ask %(owner)s"
            " for more space.",
            owner=owner,
        )
    if error.files == 0 or error.size == 0:
        if room.is_held(wanted):
            return gettext(
                "All that this link accepts has been sent or is being sent. Ask %(owner)s for"
                " another link, or try again in an hour: an upload may have stopped.",
                owner=owner,
            )
        return gettext(
            "This link accepts no more files. Ask %(owner)s for another one.", owner=owner
        )
    # Others may have sent more until this is read.
    if error.files is not None:
        return ngettext(
            "This link had room for %(num)s more file. Send fewer, or ask %(owner)s for another"
            " link.",
            "This link had room for %(num)s more files. Send fewer, or ask %(owner)s for another"
            " link.",
            error.files,
            owner=owner,
        )
    return gettext(
        "This link had room for %(size)s more. Send smaller files, or ask %(owner)s for another"
        " link.",
        size=human_limit(error.size or 0),
        owner=owner,
    )


def _accept(wanted: FileRequest) -> None:
    """Accept as many bytes and files as the limits allow, or raise the error of the one reached."""
    cast("UploadRequest", request).read_to_the_end()
    arrivals.check_name(wanted, visitor.visitor_id())
    room.check(wanted, 1, 0)
    files, size = room.of(wanted)
    if files is not None:
        request.max_form_parts = min(files, _most_files()) + 1
    free = quota.usage_of(wanted.owner).free
    if not accept_up_to(free if size is None else min(size, free)):
        raise OverAllowanceError


def _store(wanted: FileRequest, name: str, incoming: IncomingFile) -> None:
    """Store a file if the limits allow it."""
    who = visitor.visitor_id()
    note = Note(
        detail=arrivals.told_of(wanted, who), linked=wanted.folder.public_id, via=links.via(wanted)
    )
    also = partial(arrivals.add, wanted, who, [names.clean(name)])
    with room.counted(wanted, incoming.size):
        add_file(wanted.folder, incoming, name, note, also)


def _explain_size(wanted: FileRequest) -> str:
    """Return which limit refused a form by its size: the link's, or the owner's space."""
    size = room.of(wanted)[1]
    if size is None or size > quota.usage_of(wanted.owner).free:
        return explain(wanted, QuotaExceededError(wanted.owner))
    return explain(wanted, LimitReachedError(wanted, None, size))


def _explain_form(wanted: FileRequest) -> str:
    """Return which limit refused a form while it was read: its length, or its number of files."""
    if (request.content_length or 0) > _most_bytes():
        return gettext(
            "A form can have at most %(most)s at once. Send fewer or smaller files at once.",
            most=human_limit(_most_bytes()),
        )
    files = room.of(wanted)[0]
    if files is not None and files <= _most_files():
        return explain(wanted, LimitReachedError(wanted, files, None))
    return ngettext(
        "A form can have at most %(num)s file at once. Send fewer at once.",
        "A form can have at most %(num)s files at once. Send fewer at once.",
        _most_files(),
    )


def _most_bytes() -> int:
    return int(current_app.config["MAX_CONTENT_LENGTH"])


def _most_files() -> int:
    return int(current_app.config["MAX_FORM_PARTS"]) - 1  # one part is the form's token


def _report(stored: list[str], problem: str) -> None:
    """Say what was stored, and what was not and why."""
    received = list_names(stored) if stored else ""
    if problem and stored:
        say = gettext(
            "Received: %(names)s. The rest was not: %(problem)s", names=received, problem=problem
        )
        tell(say, "error")
    elif problem:
        tell(gettext("Nothing was received: %(problem)s", problem=problem), "error")
    elif stored:
        tell(gettext("Received: %(names)s. Thank you.", names=received))
    else:
        tell(gettext("Select a file first."), "error")
