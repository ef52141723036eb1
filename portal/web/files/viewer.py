"""A file that is seen in the browser, between those beside it in its folder's list.

A script shows the same in a dialog over the list; see ``static/viewer.js``.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.core.models import StoredFile
from portal.files import listing
from portal.files.listing import Direction, Listed, Order
from portal.identity.current_user import login_required
from portal.web import markdown, shown_text
from portal.web.flashes import done
from portal.web.loaders import entry_and_path_or_404
from portal.web.previews import ViewType, view_type

from .files import ListQuery, url_to_show

viewer_pages = Blueprint("viewer", __name__)
_READ: frozenset[ViewType] = frozenset({"text", "markdown"})
"""What the page itself has; a browser asks for the rest by an address in the page."""


@viewer_pages.get("/files/<public_id>/view")
@login_required
def show(public_id: str) -> ResponseReturnValue:
    """Show a file, if it is safe to show; else what is known of it."""
    file, _ = entry_and_path_or_404(StoredFile, public_id, "read")
    kind = view_type(file.name)
    if kind is None:
        return redirect(url_for("entries.details", public_id=public_id))
    order = ListQuery().sorting()
    text = shown_text.read(file) if kind in _READ else None
    values = {
        "file": file,
        "kind": kind,
        "source": None if text or kind == "pdf" else url_to_show(file),
        "text": text,
        "prose": markdown.as_html(text.text) if text and kind == "markdown" else None,
        "previous": _address(_next_to_see(file, order, "before"), order),
        "next": _address(_next_to_see(file, order, "after"), order),
    }
    if text and request.method == "GET":
        done("view", file)
    return render_template("files/view.html", **values, most=shown_text.MOST)


def _next_to_see(file: StoredFile, order: Order, direction: Direction) -> Listed | None:
    found = listing.beside(file, order, direction)
    return next((one for one in found if view_type(one.name)), None)


def _address(file: Listed | None, order: Order) -> str | None:
    return url_for("viewer.show", public_id=file.public_id, **order.asked()) if file else None
