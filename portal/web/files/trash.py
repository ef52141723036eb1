"""The trash: what is in it, restored from it, and deleted permanently."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm.exc import ObjectDeletedError

from portal.core.database import db
from portal.core.language import gettext
from portal.core.models import Entry, Folder
from portal.files import listing, trash, tree, versions
from portal.files.entries import GoneError
from portal.identity.current_user import current_account, login_required
from portal.web import marks
from portal.web.flashes import count_items, list_placed, shorten, tell
from portal.web.loaders import entry_or_404
from portal.web.next_page import next_page

from .files import ListQuery, folder_url

trash_pages = Blueprint("trash", __name__)


@trash_pages.get("/trash")
@login_required
def show() -> ResponseReturnValue:
    """List what I put into the trash."""
    owner_id, asked = current_account().id, ListQuery().after.data
    before = marks.find_entry(owner_id, asked, _place_of)
    page = trash.page(owner_id, before, listing.PAGE)
    places = tree.locations([entry.parent_id or 0 for entry, _ in page.rows])
    page = page.fitting(lambda row: row[0].name + places[row[0].parent_id or 0])
    return render_template(
        "files/trash.html",
        page=page,
        locations=places,
        expiry=trash.expiry,
        versions=versions.kept(owner_id),
        days=current_app.config["TRASH_DAYS"],
        has_previous=before is not None,
        after=marks.of_entries((entry for entry, _ in reversed(page.rows)), _place_of),
        changed=marks.end_or_beginning(page.is_end, is_lost=bool(asked) and before is None),
    )


@trash_pages.post("/trash/undo")
@login_required
def undo() -> ResponseReturnValue:
    """Restore what was moved to the trash at a moment."""
    try:
        moment = datetime.fromisoformat(request.form.get("moment", ""))
        moment = moment.astimezone(UTC) if moment.tzinfo else abort(404)
    except (ValueError, OverflowError):
        abort(404)
    return _restore(*trash.trashed_at(current_account().id, moment))


@trash_pages.post("/trash/<public_id>/restore")
@login_required
def restore(public_id: str) -> ResponseReturnValue:
    """Restore something from the trash."""
    return _restore(entry_or_404(Entry, public_id, "restore"))


@trash_pages.route("/trash/<public_id>/delete", methods=["GET", "POST"])
@login_required
def delete(public_id: str) -> ResponseReturnValue:
    """Ask whether to delete something permanently, or delete it."""
    entry = entry_or_404(Entry, public_id, "restore")
    if request.method != "POST":
        held = trash.held(entry.owner_id, entry)
        return render_template("files/delete.html", entry=entry, held=held)
    name = entry.name
    trash.purge(entry)
    tell(gettext("Deleted: %(name)s", name=shorten(name)))
    return redirect(url_for("trash.show"))


@trash_pages.route("/trash/empty", methods=["GET", "POST"])
@login_required
def empty() -> ResponseReturnValue:
    """Ask whether to delete all that is in the trash permanently, or delete it."""
    owner_id = current_account().id
    if request.method != "POST" and trash.page(owner_id, size=1).rows:
        return render_template("files/delete.html", entry=None, held=trash.held(owner_id))
    trash.empty(owner_id)
    tell(gettext("The trash is empty."))
    return redirect(url_for("trash.show"))


def _place_of(entry: Entry) -> object:
    """Return what the trash is sorted by; an entry that is not there by itself has no place."""
    return entry.trashed_at if entry.trash_id == entry.id else None


def _restore(*selected: Entry) -> ResponseReturnValue:
    restored, hints, folder = [], "", None
    for entry in selected:
        try:
            wanted, home = entry.name, entry.parent_id
            folder = trash.restore(entry)
        except (GoneError, ObjectDeletedError):  # by another request, which says it
            continue
        restored.append((wanted, entry.name))
        if folder.id != home:
            hints += f" ({shorten(wanted)}: {_why_elsewhere(home)})"
    if folder is None:
        tell(gettext("It is not in the trash any more."))
        return redirect(next_page())
    where = shorten(folder.name) if folder.parent_id else gettext("My files")
    items = list_placed(restored, count_items)
    tell(gettext("Restored to %(folder)s: %(items)s", folder=where, items=items) + hints[:200])
    return redirect(next_page(folder_url(folder)))


def _why_elsewhere(home: int | None) -> str:
    """Return why an entry is not restored to its folder."""
    folder = db.session.get(Folder, home)
    if folder is None:
        return gettext("its folder is deleted")
    if folder.trash_id is not None:
        return gettext("its folder %(folder)s is in the trash", folder=shorten(folder.name))
    return gettext("at most %(deepest)s folders can be nested", deepest=tree.DEEPEST)
