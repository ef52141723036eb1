"""A person's files: listed, uploaded, downloaded, deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flask import Blueprint, abort, current_app, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from flask_delegate import Handoff, delegated

from .. import entries
from ..access import Action, may
from ..database import db
from ..extensions import check_form_in_view, csrf, current_account, login_required
from ..messages import list_names, shorten, tell
from ..models import Account, StoredFile
from ..storage import ContentLostError
from ..uploads import accept_files, add_file, current_storage, received_files, remove_content

files = Blueprint("files", __name__)
logger = logging.getLogger(__name__)


@files.get("/")
@login_required
def index() -> ResponseReturnValue:
    """List my files."""
    return render_template(
        "files.html",
        files=_files_of(current_account()),
        limit=current_app.config["MAX_CONTENT_LENGTH"],
    )


# To check the form's token, the form must be read, and its files with it. The check for all forms
# comes before anybody knows who is asking, so this view makes it: after @login_required.
@files.post("/files")
@check_form_in_view
@login_required
def upload() -> ResponseReturnValue:
    """Keep the files that a form sends."""
    accept_files()
    csrf.protect()
    folder, owner_name = entries.root_folder(current_account().id), current_account().name
    stored_names = []
    for client_name, incoming in received_files("file"):
        stored = add_file(folder, incoming, client_name)
        stored_names.append(stored.name)
        logger.info("uploaded: %r, %d bytes, by %.100r", stored.name, stored.size, owner_name)
    if stored_names:
        tell(f"Uploaded: {list_names(stored_names)}")
    else:
        tell("Choose a file first, then upload it.", "error")
    return redirect(url_for("files.index"))


def may_download(public_id: str) -> bool:
    """Decide whether this request may have the file, and keep it at hand for the view."""
    g.file = find_file(public_id, "read")
    return g.file is not None


@files.get("/files/<public_id>")
@login_required
@delegated(may_download, conceal=True)
def download(public_id: str) -> Handoff:
    """Send the file that was decided on. The view says which; Apache does the rest."""
    stored: StoredFile = g.file
    storage = current_storage()
    if not storage.holds(stored.storage_key, stored.size):
        raise ContentLostError(public_id)
    return Handoff(
        storage.path(stored.storage_key),
        as_attachment=True,
        download_name=stored.name,
        mimetype=stored.mimetype,
        csp="default-src 'none'; sandbox",
    )


@files.get("/files/<public_id>/delete")
@login_required
def confirm_delete(public_id: str) -> ResponseReturnValue:
    """Ask whether to delete a file."""
    return render_template("delete.html", file=file_or_404(public_id, "change"))


@files.post("/files/<public_id>/delete")
@login_required
def delete(public_id: str) -> ResponseReturnValue:
    """Delete a file."""
    stored = file_or_404(public_id, "change")
    name, key = stored.name, stored.storage_key
    # The row goes first: without it, nobody reaches what a crash might leave on disk.
    entries.release(stored.owner_id, stored.size)
    db.session.delete(stored)
    db.session.commit()
    remove_content(key)
    logger.info("deleted: %r, by %.100r", name, current_account().name)
    tell(f"Deleted: {shorten(name)}")
    return redirect(url_for("files.index"))


def find_file(public_id: str, action: Action) -> StoredFile | None:
    """Find a file by the name that it has in URLs, for whoever may do that with it."""
    stored = db.session.scalar(select(StoredFile).where(StoredFile.public_id == public_id))
    if stored and may(current_account(), action, stored):
        return stored
    reason = "not theirs" if stored else "no such file"
    logger.warning(
        "refused: %s %.100r to %.100r, %s", action, public_id, current_account().name, reason
    )
    return None


def file_or_404(public_id: str, action: Action) -> StoredFile:
    """Give a file to whoever may have it; to others it looks as if it were not there."""
    return find_file(public_id, action) or abort(404)


def _files_of(account: Account) -> Sequence[StoredFile]:
    mine = select(StoredFile).where(
        StoredFile.owner_id == account.id, StoredFile.trash_id.is_(None)
    )
    return db.session.scalars(mine.order_by(StoredFile.name)).all()
