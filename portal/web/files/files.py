"""A person's files: listed, uploaded, downloaded, shown."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from flask_delegate import FileRefused, Handoff, HandoffUnavailable, delegated, signed_url
from portal.activity.record import RecordedHandoff
from portal.core.models import Folder, StoredFile
from portal.files import entries
from portal.files.uploads import accept_files, add_file, received_files
from portal.identity.current_user import current_account, login_required
from portal.storage.content import current_storage
from portal.storage.disk import ContentLostError
from portal.web.csrf import check_form_in_view, csrf
from portal.web.events import done
from portal.web.flashes import list_names, tell
from portal.web.loaders import entry_or_404, find_entry
from portal.web.previews import preview_of

from .folders import folder_url, list_folder

files = Blueprint("files", __name__)
_SHOWN = 6 * 60 * 60
"""Seconds for which a page may show a file: longer than a film."""


@files.get("/")
@login_required
def index() -> ResponseReturnValue:
    """List what is in my root folder."""
    return list_folder(entries.root_folder(current_account().id))


# To check the form's token, the form must be read, and its files with it. The check for all forms
# comes before anybody knows who is asking, so this view makes it: after @login_required.
@files.post("/uploads/folders/<public_id>")
@check_form_in_view
@login_required
def upload(public_id: str) -> ResponseReturnValue:
    """Keep the files that a form sends."""
    folder = entry_or_404(Folder, public_id, "add")
    accept_files(current_account())
    csrf.protect()
    stored_names: list[str] = []
    try:
        for client_name, incoming in received_files("file"):
            stored = add_file(folder, incoming, client_name)
            stored_names.append(stored.name)
            done("upload", stored)
    finally:
        # Where it ended early, the next page says what was kept nevertheless.
        if stored_names:
            tell(f"Uploaded: {list_names(stored_names)}")
    if not stored_names:
        tell("Select a file, then upload it.", "error")
    return redirect(folder_url(folder))


def find_readable(public_id: str) -> StoredFile | None:
    """Find the file that this request asks for, if it may have it."""
    return find_entry(StoredFile, public_id, "read")


@files.get("/files/<public_id>")
@login_required
@delegated(find_readable, conceal=True)
def download(stored: StoredFile, public_id: str) -> Handoff:  # noqa: ARG001  (find_readable's)
    """Hand over the file, for Apache to send."""
    return as_download(stored)


def find_viewable(public_id: str) -> StoredFile | None:
    """Find the file that this request asks for, if it may have it and it is safe to show."""
    stored = find_readable(public_id)
    return stored if stored and preview_of(stored.name) else None


@files.get("/files/<public_id>/preview")
@login_required
@delegated(find_viewable, conceal=True)
def preview(stored: StoredFile, public_id: str) -> Handoff:  # noqa: ARG001
    """Hand over a file for the browser to show."""
    return RecordedHandoff(path_of(stored), **_shown_as(stored), entry=stored, action="view")


def as_download(stored: StoredFile, detail: str = "") -> Handoff:
    """Return the hand-off of a file to save, which is recorded.

    :param detail: as for :func:`portal.activity.record.record`.
    :raises ContentLostError: if its content is not there.
    """
    return RecordedHandoff(
        path_of(stored),
        as_attachment=True,
        download_name=stored.name,
        mimetype=stored.mimetype,
        csp="default-src 'none'; sandbox",
        entry=stored,
        action="download",
        detail=detail,
    )


def url_to_show(stored: StoredFile) -> str:
    """Return the address by which a page shows a file, and record that it does.

    Where Apache can verify it by itself, not even a film of which hundreds of ranges are asked for
    comes by here again: for some hours, in this browser, until somebody signs out there.
    """
    try:
        url = signed_url(
            path_of(stored), expires_in=_SHOWN, bind_to_browser=True, **_shown_as(stored)
        )
    except (HandoffUnavailable, FileRefused, ContentLostError):
        # The view says what is wrong, or sends the file itself.
        return url_for("files.preview", public_id=stored.public_id)
    done("view", stored)
    return url


def path_of(stored: StoredFile) -> str:
    """Return where a file's content is, for a hand-off.

    :raises ContentLostError: if it is not there.
    """
    storage = current_storage()
    if not storage.holds(stored.storage_key, stored.size):
        raise ContentLostError(stored.public_id)
    return storage.path(stored.storage_key)


def _shown_as(stored: StoredFile) -> dict[str, Any]:
    """Return the options of a file's hand-off to a browser that shows it."""
    preview = preview_of(stored.name)
    if preview is None:
        raise AssertionError("only what is safe to show is shown")
    return {"download_name": stored.name, "mimetype": preview.mimetype, "csp": preview.policy}
