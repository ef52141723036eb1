"""Folders: what is in them, new ones, and the search through all of them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.core.models import Folder
from portal.files import entries, listing, names, tree
from portal.files.quota import free_space
from portal.identity.current_user import current_account, login_required
from portal.web.events import done
from portal.web.flashes import shorten, tell
from portal.web.loaders import entry_of, entry_or_404

from .forms import ListQuery, NameForm, SearchQuery

folders = Blueprint("folders", __name__)


@folders.get("/folders/<public_id>")
@login_required
def show(public_id: str) -> ResponseReturnValue:
    """List what is in a folder."""
    return list_folder(entry_or_404(Folder, public_id, "read"))


@folders.post("/folders/<public_id>/folders")
@login_required
def create(public_id: str) -> ResponseReturnValue:
    """Create a folder in a folder."""
    parent, form = entry_or_404(Folder, public_id, "add"), NameForm()
    if not form.validate_on_submit():
        tell(form.problem(), "error")
        return redirect(folder_url(parent))
    wanted = names.clean(form.name.data)
    try:
        created = entries.place(Folder(name=wanted), parent)
    except tree.RefusedError as error:
        tell(str(error), "error")
    else:
        hint = taken_hint(wanted, created.name)
        done("create folder", created, say=f"Folder created: {shorten(created.name)}{hint}")
    return redirect(folder_url(parent))


@folders.get("/search")
@login_required
def search() -> ResponseReturnValue:
    """Find entries by a part of their names."""
    words = SearchQuery().q.data
    found = listing.search(current_account(), words)
    return render_template(
        "files/search.html",
        words=words,
        found=found[: listing.MOST_FOUND],
        more=len(found) > listing.MOST_FOUND,
        most=listing.MOST_FOUND,
        locations=tree.locations(found),
    )


def list_folder(folder: Folder) -> ResponseReturnValue:
    """Show a page of what is in a folder."""
    query = ListQuery()
    order, (direction, public_id) = query.sorting(), query.place()
    mark = entry_of(folder.owner_id, public_id)
    return render_template(
        "files/list.html",
        folder=folder,
        path=tree.path_to(folder.id),
        order=order,
        page=listing.page(folder, order, direction, mark),
        query=query,
        address=_address,
        here=request.full_path.removesuffix("?"),
        limit=min(current_app.config["MAX_CONTENT_LENGTH"], free_space(current_account())),
    )


def folder_url(folder: Folder) -> str:
    """Return the address of a folder's page."""
    if folder.parent_id is None:
        return url_for("files.index")
    return url_for("folders.show", public_id=folder.public_id)


def taken_hint(wanted: str, given: str) -> str:
    """Return a hint, where an entry did not get the name that was wanted."""
    return "" if wanted == given else f" ({shorten(wanted)} is taken)"


def _address(order: listing.Order, **place: str | None) -> str:
    """Return the address of this list in an order, from a place on."""
    query: dict[str, Any] = {**(request.view_args or {}), **place}
    if order != listing.Order():
        query |= {"sort": order.by, "order": "descending" if order.descending else None}
    return url_for(request.endpoint or "", **query)
