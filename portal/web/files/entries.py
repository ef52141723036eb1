"""Files and folders alike, one or several: details, renaming, moving, into the trash."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal.activity import report
from portal.activity.record import Thing
from portal.core.models import Entry, Folder, StoredFile
from portal.files import entries, listing, names, trash, tree
from portal.files.policy import Action
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing.status import status_of
from portal.web.account.sign_in import is_local
from portal.web.events import done
from portal.web.flashes import list_names, shorten, tell
from portal.web.loaders import entry_or_404, selected_or_404
from portal.web.previews import preview_of

from .files import url_to_show
from .folders import folder_url, taken_hint
from .forms import NameForm, SelectionQuery

entry_pages = Blueprint("entries", __name__)


@entry_pages.get("/entries/<public_id>")
@login_required
def details(public_id: str) -> ResponseReturnValue:
    """Show what is known of a file or folder, and a file itself where that is safe."""
    entry = entry_or_404(Entry, public_id, "change")
    file = entry if isinstance(entry, StoredFile) else None
    preview = preview_of(file.name) if file else None
    return render_template(
        "files/details.html",
        entry=entry,
        path=tree.path_to(entry.parent_id or 0),
        preview=preview,
        source=url_to_show(file) if file and preview and preview.kind != "document" else None,
        downloads=report.downloads(file) if file else None,
        lines=report.of_file(entry),
        shares=links.shares_of(entry),
        status_of=status_of,
    )


@entry_pages.post("/entries/<public_id>/rename")
@login_required
def rename(public_id: str) -> ResponseReturnValue:
    """Rename a file or folder."""
    entry, form = entry_or_404(Entry, public_id, "change"), NameForm()
    if not form.validate_on_submit():
        tell(form.problem(), "error")
    else:
        before, wanted = entry.name, names.clean(form.name.data)
        name = entries.rename(entry, wanted)
        say = f"Renamed to {shorten(name)}{taken_hint(wanted, name)}"
        done("rename", entry, detail=f"before: {before}", say=say)
    return redirect(url_for("entries.details", public_id=public_id))


@entry_pages.post("/selection/trash")
@login_required
def put_into_trash() -> ResponseReturnValue:
    """Move the selection to the trash."""
    query = SelectionQuery()
    selected = selected_or_404("change", query.entry.data)
    if not selected:
        return nothing_selected(query)
    things = [Thing.of(entry) for entry in selected]
    moment = trash.put(selected)
    listed = list_names([thing.name for thing in things], "items")
    done("trash", *things, say=f"Moved to the trash: {listed}", undo=moment.isoformat())
    trash.purge_now_and_then()
    return redirect(previous_page(query))


@entry_pages.post("/selection/move")
@login_required
def move_selection() -> ResponseReturnValue:
    """Go on to where the selection can be moved to."""
    query = SelectionQuery()
    selected = selected_or_404("change", query.entry.data)
    if not selected:
        return nothing_selected(query)
    return redirect(_move_url(selected, query.folder.data or None))


@entry_pages.get("/move")
@login_required
def select_folder() -> ResponseReturnValue:
    """Show folders to move the selection to, level by level."""
    query = SelectionQuery()
    selected = selected_or_404("change", query.entry.data) or abort(404)
    folder, mark = _target(query, "read"), query.after.data
    return render_template(
        "files/move.html",
        selected=selected,
        folder=folder,
        path=tree.path_to(folder.id),
        page=listing.page(
            folder,
            listing.Order(),
            mark=entry_or_404(Folder, mark, "read") if mark else None,
            folders_only=True,
        ),
        is_here=all(entry.parent_id == folder.id for entry in selected),
    )


@entry_pages.post("/move")
@login_required
def move() -> ResponseReturnValue:
    """Move the selection to a folder."""
    query = SelectionQuery()
    selected, folder = selected_or_404("change", query.entry.data), _target(query, "add")
    if not selected:
        return nothing_selected(query)
    try:
        moved = entries.move(selected, folder)
    except tree.RefusedError as error:
        tell(str(error), "error")
        return redirect(_move_url(selected, folder.public_id))
    hints = "".join(taken_hint(*pair) for pair in moved[:3])
    listed = list_names([after for _, after in moved], "items")
    done(
        "move",
        *selected,
        detail=f"to {folder.name or 'My files'}",
        say=f"Moved here: {listed}{hints}",
    )
    return redirect(folder_url(folder))


def previous_page(query: SelectionQuery) -> str:
    """Return the page that this request's form was on."""
    return str(query.next.data) if is_local(query.next.data) else url_for("files.index")


def nothing_selected(query: SelectionQuery) -> ResponseReturnValue:
    """Say that nothing was selected, on the page that the form was on."""
    tell("Select files or folders first, with the checkboxes before their names.", "error")
    return redirect(previous_page(query))


def _target(query: SelectionQuery, action: Action) -> Folder:
    if not query.folder.data:
        return entries.root_folder(current_account().id)
    return entry_or_404(Folder, query.folder.data, action)


def _move_url(selected: Sequence[Entry], folder: str | None) -> str:
    ids = [entry.public_id for entry in selected]
    return url_for("entries.select_folder", entry=ids, folder=folder)
