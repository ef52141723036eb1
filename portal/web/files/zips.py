"""Downloads of several files at once, as a ZIP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from flask_delegate.disposition import clean_name, content_disposition
from portal.core.models import Entry, Folder
from portal.files import zips
from portal.identity.current_user import current_account, login_required
from portal.storage.content import current_storage
from portal.storage.disk import ContentLostError
from portal.web.events import done
from portal.web.flashes import shorten, tell
from portal.web.loaders import entry_or_404, selected_or_404

from .entries import nothing_selected, previous_page
from .folders import folder_url
from .forms import SelectionQuery

zip_downloads = Blueprint("zips", __name__)
logger = logging.getLogger(__name__)


@zip_downloads.get("/folders/<public_id>/zip")
@login_required
def download_folder(public_id: str) -> ResponseReturnValue:
    """Send a folder, with all that is in it."""
    folder = entry_or_404(Folder, public_id, "read")

    def begin() -> None:
        if request.method == "GET":
            done("archive", folder)

    name, page = folder.name or "My files", folder_url(folder)
    return send_zip([folder], name, page, current_account().id, begin)


@zip_downloads.post("/selection/zip")
@login_required
def download_selection() -> ResponseReturnValue:
    """Send the selection."""
    query = SelectionQuery()
    selected = selected_or_404("read", query.entry.data)
    if not selected:
        return nothing_selected(query)

    def begin() -> None:
        done("archive", *selected)

    name = selected[0].name if len(selected) == 1 else "Files"
    return send_zip(selected, name, previous_page(query), current_account().id, begin)


def send_zip(
    selected: Sequence[Entry],
    name: str,
    page: str,
    account_id: int,
    begin: Callable[[], object],
) -> ResponseReturnValue:
    """Send a ZIP, or say on a page why there is none.

    :param page: where to say it.
    :param account_id: whose place among the ZIPs it takes.
    :param begin: called once it is sure that there will be one.
    """
    slots = zips.current_slots()
    slots.take(account_id)
    with ExitStack() as taken:
        taken.callback(slots.release, account_id)
        try:
            members = zips.members(selected)
        except (zips.TooManyEntriesError, ContentLostError) as error:
            return _refuse(error, page)
        begin()
        length, pieces = zips.stream(members, current_storage())
        response = Response(pieces, mimetype="application/zip")
        response.call_on_close(taken.pop_all().close)
    response.content_length = length
    disposition = content_disposition("attachment", clean_name(f"{name}.zip"))
    response.headers["Content-Disposition"] = disposition
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
