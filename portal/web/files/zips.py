"""Downloads of several files at once, as a ZIP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from flask_delegate.disposition import clean_name, content_disposition
from portal.activity.record import record
from portal.core.models import Entry, Folder
from portal.files import zips
from portal.identity.current_user import current_account, login_required
from portal.storage.content import current_storage
from portal.storage.disk import ContentLostError
from portal.web.flashes import shorten, tell
from portal.web.loaders import chosen_or_404, entry_or_404

from .entries import back, nothing_chosen
from .folders import folder_url

archive_pages = Blueprint("archives", __name__)
logger = logging.getLogger(__name__)


@archive_pages.get("/folders/<public_id>/zip")
@login_required
def download_folder(public_id: str) -> ResponseReturnValue:
    """Send a folder, with all that is in it."""
    folder = entry_or_404(Folder, public_id, "read")

    def begin() -> None:
        if request.method == "GET":
            record("archive", folder)

    return send_archive([folder], folder.name or "My files", folder_url(folder), _me(), begin)


@archive_pages.post("/selection/zip")
@login_required
def download_selection() -> ResponseReturnValue:
    """Send what was chosen."""
    chosen = chosen_or_404("read")
    if not chosen:
        return nothing_chosen()

    def begin() -> None:
        for entry in chosen:
            record("archive", entry)

    name = chosen[0].name if len(chosen) == 1 else "Files"
    return send_archive(chosen, name, back(), _me(), begin)


def _me() -> tuple[int, str]:
    return current_account().id, current_account().name


def send_archive(
    chosen: Sequence[Entry],
    name: str,
    page: str,
    who: tuple[int, str],
    begin: Callable[[], object],
) -> ResponseReturnValue:
    """Send a ZIP, or say on a page why there is none.

    :param page: where to say it.
    :param who: whose place among the ZIPs it takes, and the name for the log.
    :param begin: called once it is sure that there will be one.
    """
    slots, (account_id, reader) = zips.current_slots(), who
    slots.take(account_id)
    with ExitStack() as taken:
        taken.callback(slots.release, account_id)
        try:
            listed = zips.members(chosen)
        except (zips.TooManyEntriesError, ContentLostError) as error:
            return _refuse(error, page)
        begin()
        length, pieces = zips.stream(listed, current_storage())
        response = Response(pieces, mimetype="application/zip")
        response.call_on_close(taken.pop_all().close)
    response.content_length = length
    disposition = content_disposition("attachment", clean_name(f"{name}.zip"))
    response.headers["Content-Disposition"] = disposition
    logger.info("a ZIP: %r, %d entries, to %.100r", name, len(listed), reader)
    return response


def _refuse(error: Exception, page: str) -> ResponseReturnValue:
    text = str(error)
    if isinstance(error, ContentLostError):
        logger.error("no ZIP, for content is lost: %r", text)
        text = (
            f"The content of {shorten(text)} is missing or damaged, so there is no ZIP."
            " Tell whoever runs the portal."
        )
    tell(text, "error")
    return redirect(page)
