"""Files and folders alike, one or several: details, renaming, moving, into the trash."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity import report
from portal.activity.record import Thing, record, record_all
from portal.core.models import Entry, Folder, StoredFile
from portal.files import entries, listing, names, trash, tree
from portal.identity.current_user import current_account, login_required
from portal.sharing import shares
from portal.sharing.status import standing
from portal.web.account.sign_in import is_local
from portal.web.flashes import list_names, shorten, tell
from portal.web.loaders import chosen_or_404, entry_or_404
from portal.web.previews import preview_of

from .files import url_to_show
from .folders import folder_url, numbered_hint

entry_pages = Blueprint("entries", __name__)
logger = logging.getLogger(__name__)


@entry_pages.get("/entries/<public_id>")
@login_required
def details(public_id: str) -> ResponseReturnValue:
    """Show what is known of a file or folder, and a file itself where that is safe."""
    entry = entry_or_404(Entry, public_id, "change")
    preview = preview_of(entry.name) if isinstance(entry, StoredFile) else None
    is_shown = preview is not None and preview.kind != "document"
    return render_template(
        "details.html",
        entry=entry,
        way=tree.path_to(entry.parent_id or 0),
        preview=preview,
        source=url_to_show(entry) if isinstance(entry, StoredFile) and is_shown else None,
        downloads=report.downloads(entry) if isinstance(entry, StoredFile) else None,
        lines=report.of_file(entry),
        shares=shares.of_entry(entry),
        standing=standing,
    )


@entry_pages.post("/entries/<public_id>/rename")
@login_required
def rename(public_id: str) -> ResponseReturnValue:
    """Give a file or folder another name."""
    entry = entry_or_404(Entry, public_id, "change")
    page = url_for("entries.details", public_id=public_id)
    wanted = request.form.get("name", "")
    if not wanted.strip():
        tell("Give it a name.", "error")
        return redirect(page)
    before, wanted = entry.name, names.clean(wanted)
    name = entries.rename(entry, wanted)
    record("rename", entry, detail=f"before: {before}")
    logger.info("renamed: %r to %r, by %.100r", before, name, current_account().name)
    tell(f"Renamed to {shorten(name)}" + numbered_hint(wanted, name))
    return redirect(page)


@entry_pages.post("/selection/trash")
@login_required
def put_into_trash() -> ResponseReturnValue:
    """Put what was chosen into the trash."""
    chosen = chosen_or_404("change")
    if not chosen:
        return nothing_chosen()
    put = [entry.name for entry in chosen]
    things = [Thing.of(entry) for entry in chosen]
    moment = trash.put(chosen)
    record_all("trash", things)
    for name in put:
        logger.info("into the trash: %r, by %.100r", name, current_account().name)
    trash.purge_now_and_then()
    tell(f"Moved to the trash: {list_names(put, 'items')}", undo=moment.isoformat())
    return redirect(back())


@entry_pages.post("/selection/move")
@login_required
def choose_move() -> ResponseReturnValue:
    """Go on to where what was chosen can be moved to."""
    chosen = chosen_or_404("change")
    if not chosen:
        return nothing_chosen()
    return redirect(_move_url(chosen, request.form.get("folder")))


@entry_pages.get("/move")
@login_required
def choose_folder() -> ResponseReturnValue:
    """Show folders to move what was chosen to, level by level."""
    chosen = chosen_or_404("change")
    if not chosen:
        abort(404)
    folder = _target("read")
    mark = request.args.get("after")
    return render_template(
        "move.html",
        chosen=chosen,
        folder=folder,
        way=tree.path_to(folder.id),
        page=listing.page(
            folder,
            listing.Order(),
            mark=entry_or_404(Folder, mark, "read") if mark else None,
            folders_only=True,
        ),
        is_here=all(entry.parent_id == folder.id for entry in chosen),
    )


@entry_pages.post("/move")
@login_required
def move() -> ResponseReturnValue:
    """Move what was chosen to a folder."""
    chosen, folder = chosen_or_404("change"), _target("add")
    if not chosen:
        return nothing_chosen()
    try:
        moved = entries.move(chosen, folder)
    except tree.RefusedError as error:
        tell(str(error), "error")
        return redirect(_move_url(chosen, folder.public_id))
    for entry, (before, after) in zip(chosen, moved, strict=True):
        record("move", entry, detail=f"to {folder.name or 'My files'}")
        logger.info("moved: %r to %r, as %r", before, folder.name, after)
    hints = "".join(numbered_hint(*pair) for pair in moved[:3])
    tell(f"Moved here: {list_names([after for _, after in moved], 'items')}{hints}")
    return redirect(folder_url(folder))


def back() -> str:
    """Give the page that this request's form was on."""
    target = request.form.get("next", "")
    return target if is_local(target) else url_for("files.index")


def nothing_chosen() -> ResponseReturnValue:
    """Say that nothing was chosen, on the page that the form was on."""
    tell("Choose files or folders first, by the boxes before their names.", "error")
    return redirect(back())


def _target(action: str) -> Folder:
    public_id = request.values.get("folder")
    if not public_id:
        return entries.root_folder(current_account().id)
    return entry_or_404(Folder, public_id, "add" if action == "add" else "read")


def _move_url(chosen: Sequence[Entry], folder: str | None) -> str:
    ids = [entry.public_id for entry in chosen]
    return url_for("entries.choose_folder", entry=ids, folder=folder)
