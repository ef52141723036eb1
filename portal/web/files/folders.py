"""Folders: what is in them, new ones, and the search through all of them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Entry, Folder
from portal.files import entries, listing, names, tree
from portal.files.quota import free_space
from portal.identity.current_user import current_account, login_required
from portal.web.events import done
from portal.web.flashes import shorten, tell
from portal.web.loaders import entry_or_404

folders = Blueprint("folders", __name__)

_LONGEST_SEARCH = 255


@folders.get("/folders/<public_id>")
@login_required
def show(public_id: str) -> ResponseReturnValue:
    """List what is in a folder."""
    return list_folder(entry_or_404(Folder, public_id, "read"))


@folders.post("/folders/<public_id>/folders")
@login_required
def create(public_id: str) -> ResponseReturnValue:
    """Make a folder in a folder."""
    parent = entry_or_404(Folder, public_id, "add")
    wanted = request.form.get("name", "")
    if not wanted.strip():
        tell("Give the new folder a name.", "error")
        return redirect(folder_url(parent))
    wanted = names.clean(wanted)
    try:
        made = entries.place(Folder(name=wanted), parent)
    except tree.RefusedError as error:
        tell(str(error), "error")
        return redirect(folder_url(parent))
    done(
        "create folder",
        made,
        say=f"New folder: {shorten(made.name)}{numbered_hint(wanted, made.name)}",
    )
    return redirect(folder_url(parent))


@folders.get("/search")
@login_required
def search() -> ResponseReturnValue:
    """Find entries by a part of their names."""
    words = request.args.get("q", "").strip()[:_LONGEST_SEARCH]
    found = listing.search(current_account(), words)
    return render_template(
        "search.html",
        words=words,
        found=found[: listing.MOST_FOUND],
        more=len(found) > listing.MOST_FOUND,
        most=listing.MOST_FOUND,
        places=tree.locations(found),
    )


def list_folder(folder: Folder) -> ResponseReturnValue:
    """Show a page of what is in a folder."""
    order = _order()
    direction, mark = _mark(folder)
    return render_template(
        "files.html",
        folder=folder,
        way=tree.path_to(folder.id),
        order=order,
        page=listing.page(folder, order, direction, mark),
        all_chosen=request.args.get("choose") == "all",
        address=_address,
        here=request.full_path.removesuffix("?"),
        limit=min(current_app.config["MAX_CONTENT_LENGTH"], free_space(current_account())),
    )


def folder_url(folder: Folder) -> str:
    """Give the address of a folder's page."""
    if folder.parent_id is None:
        return url_for("files.index")
    return url_for("folders.show", public_id=folder.public_id)


def numbered_hint(wanted: str, given: str) -> str:
    """Say so where a name was taken."""
    return "" if wanted == given else f" ({shorten(wanted)} is taken)"


def _address(order: listing.Order, **place: str | None) -> str:
    """Give the address of this list in an order, from a place on."""
    query: dict[str, Any] = {**(request.view_args or {}), **place}
    if order != listing.Order():
        query |= {"sort": order.by, "order": "descending" if order.descending else None}
    return url_for(request.endpoint or "", **query)


def _order() -> listing.Order:
    by = request.args.get("sort", "")
    if by not in listing.SORTS:
        return listing.Order()
    return listing.Order(by, request.args.get("order") == "descending")


def _mark(folder: Folder) -> tuple[listing.Direction, Entry | None]:
    """Give the entry that the page begins after or ends before, if it is one of this account's."""
    direction: listing.Direction = "before" if "before" in request.args else "after"
    public_id = request.args.get(direction)
    mine = select(Entry).where(Entry.public_id == public_id, Entry.owner_id == folder.owner_id)
    return direction, db.session.scalar(mine) if public_id else None
