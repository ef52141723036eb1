"""What is answered to an upload in pieces that cannot go on: the tray shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from flask import Response, abort
from flask.typing import ResponseReturnValue

from portal.core.language import lazy_gettext, ngettext
from portal.files import entries
from portal.files.tree import TooDeepError
from portal.sharing import room
from portal.storage.parts import PartLockedError
from portal.tus import headers, pieces

from .uploader import IN_TRASH

COMPLETE = lazy_gettext("This upload is complete.")
OF_ERRORS: Mapping[type[Exception], tuple[int, str]] = {
    entries.GoneError: (403, IN_TRASH),
    headers.HeaderError: (400, ""),
    TooDeepError: (400, ""),
    pieces.CancelledError: (
        404,
        lazy_gettext("This upload was cancelled. Choose the file again to send it."),
    ),
    pieces.FinishedError: (409, COMPLETE),
    PartLockedError: (
        423,
        lazy_gettext("Another request is adding to this upload. Try again in a moment."),
    ),
    room.TooManyError: (
        429,
        lazy_gettext(
            "There are %(most)s unfinished uploads. Finish or cancel some first.",
            most=room.MOST_UNFINISHED,
        ),
    ),
    pieces.WrongChecksumError: (
        460,
        lazy_gettext("The piece did not arrive as it was sent. Send it again."),
    ),
    pieces.WrongOffsetError: (
        409,
        "The piece does not begin where the upload ends. Ask for its offset first.",
    ),
}
"""The status of each error, and what to say; nothing: the error's own message."""


def of_error(error: Exception) -> ResponseReturnValue:
    """Return the answer to an error of :data:`OF_ERRORS`."""
    status, text = OF_ERRORS[type(error)]
    return Response(f"{text or error}\n", status, mimetype="text/plain")


def refuse_more(announced: int) -> NoReturn:
    """Abort as more has arrived than so many bytes."""
    said = ngettext(
        "The upload was announced with %(num)s byte, and more arrived.",
        "The upload was announced with %(num)s bytes, and more arrived.",
        announced,
    )
    abort(413, said)
