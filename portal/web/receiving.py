"""Where a phone sends files to that somebody shares with the portal from another app.

Any site can make a browser send files to that address. So a service worker keeps them in the
browser until somebody taps on the page here, which uploads them as any other; the portal itself
takes none.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.core.models import Folder
from portal.files import entries, listing, tree
from portal.identity.current_user import current_account, login_required
from portal.web import marks
from portal.web.forms import Query, csrf, name_in_url
from portal.web.loaders import entry_or_404

receiving = Blueprint("receiving", __name__)


class PlaceQuery(Query):
    """The folder to save in, and where the list of those in it begins."""

    folder = name_in_url("Folder")
    after = name_in_url("After", marks.LONGEST)


@receiving.post("/receive/files")
@csrf.exempt  # type: ignore[untyped-decorator]
def refuse() -> ResponseReturnValue:
    """Store nothing, and say so on the page: here is who has no service worker."""
    return redirect(url_for("receiving.show", again=1), 303)


@receiving.get("/receive/")
@login_required
def show() -> ResponseReturnValue:
    """Ask in which folder to save the files that wait in the browser."""
    query, account = PlaceQuery(), current_account()
    folder = (
        entry_or_404(Folder, query.folder.data, "add")
        if query.folder.data
        else entries.root_folder(account.id)
    )
    asked, order = query.after.data, listing.Order()
    mark = marks.find_entry(folder.owner_id, asked, order.place_of)
    page = listing.page(folder, order, mark=mark, folders_only=True)
    return render_template(
        "files/receive.html",
        folder=folder,
        path=tree.path_to(folder.id),
        page=page,
        after=marks.of_entries(reversed(page.entries), order.place_of),
        changed=marks.end_or_beginning(page.is_end, is_lost=bool(asked) and mark is None),
        is_refused="again" in request.args,
    )
