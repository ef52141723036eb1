"""The trash: what is in it, back out of it, and deleted for good."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import Thing, record, record_all
from portal.core.models import Entry, Folder
from portal.files import listing, trash, tree
from portal.identity.current_user import current_account, login_required
from portal.web.flashes import list_names, shorten, tell
from portal.web.loaders import entry_or_404

from .folders import folder_url, numbered_hint

trash_pages = Blueprint("trash", __name__)
logger = logging.getLogger(__name__)


@trash_pages.get("/trash")
@login_required
def show() -> ResponseReturnValue:
    """List what I put into the trash."""
    mark = request.args.get("after")
    before = entry_or_404(Entry, mark, "restore") if mark else None
    found = trash.page(current_account().id, before, listing.PAGE + 1)
    shown = found[: listing.PAGE]
    return render_template(
        "trash.html",
        shown=shown,
        places=tree.locations([entry for entry, _ in shown]),
        expiry=trash.expiry,
        days=current_app.config["TRASH_DAYS"],
        has_next=len(found) > listing.PAGE,
        has_previous=before is not None,
    )


@trash_pages.post("/trash/undo")
@login_required
def undo() -> ResponseReturnValue:
    """Take what was just put into the trash out again."""
    try:
        moment = datetime.fromisoformat(request.form.get("moment", ""))
        if moment.tzinfo is None:
            abort(404)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        abort(404)
    found = trash.trashed_at(current_account().id, moment)
    if not found:
        abort(404)
    return _restore(*found)


@trash_pages.post("/trash/<public_id>/restore")
@login_required
def restore(public_id: str) -> ResponseReturnValue:
    """Take something out of the trash."""
    return _restore(entry_or_404(Entry, public_id, "restore"))


@trash_pages.get("/trash/<public_id>/delete")
@login_required
def confirm_delete(public_id: str) -> ResponseReturnValue:
    """Ask whether to delete something for good."""
    entry = entry_or_404(Entry, public_id, "restore")
    return render_template("delete.html", entry=entry)


@trash_pages.post("/trash/<public_id>/delete")
@login_required
def delete(public_id: str) -> ResponseReturnValue:
    """Delete something for good."""
    entry = entry_or_404(Entry, public_id, "restore")
    name, thing = entry.name, Thing.of(entry)
    purged = trash.purge(entry)
    record("delete", thing)
    logger.info("deleted: %r, %d files, %d bytes, by %.100r", name, *purged, current_account().name)
    tell(f"Deleted: {shorten(name)}")
    return redirect(url_for("trash.show"))


@trash_pages.get("/trash/empty")
@login_required
def confirm_empty() -> ResponseReturnValue:
    """Ask whether to delete all that is in the trash for good."""
    return render_template("delete.html", entry=None)


@trash_pages.post("/trash/empty")
@login_required
def empty() -> ResponseReturnValue:
    """Delete all that is in the trash for good."""
    things = [Thing.of(entry) for entry in trash.all_trashed(current_account().id)]
    purged = trash.empty(current_account().id)
    record_all("delete", things, detail="with the trash")
    logger.info("emptied the trash: %d files, %d bytes, by %.100r", *purged, current_account().name)
    tell("The trash is empty.")
    return redirect(url_for("trash.show"))


def _restore(*found: Entry) -> ResponseReturnValue:
    restored, hints, folder = [], "", None
    for entry in found:
        wanted, home = entry.name, entry.parent_id
        folder = trash.restore(entry)
        restored.append(entry.name)
        record("restore", entry)
        logger.info("restored: %r, by %.100r", entry.name, current_account().name)
        hints += numbered_hint(wanted, entry.name)
        if folder.id != home:
            hints += f" ({shorten(wanted)}: its folder is gone)"
    if folder is None:
        abort(404)
    tell(f"Restored to {_name_of(folder)}: {list_names(restored, 'items')}{hints[:200]}")
    return redirect(folder_url(folder))


def _name_of(folder: Folder) -> str:
    return shorten(folder.name) if folder.parent_id else "My files"
