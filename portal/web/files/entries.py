"""Files and folders alike, one or several: details, renaming, moving, the trash, ZIPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField  # type: ignore[import-untyped]

from flask_delegate.delivery import clean_name, content_disposition
from portal.activity import report
from portal.core.database import db
from portal.core.language import gettext
from portal.core.models import Entry, Folder, StoredFile
from portal.core.paging import Page
from portal.files import entries, listing, names, trash, tree, versions, zips
from portal.files.policy import Action
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing.status import status_of
from portal.storage.base import ContentLostError
from portal.storage.content import current_storage
from portal.web import marks, places
from portal.web.flashes import (
    count_items,
    done,
    list_names,
    list_placed,
    name_placed,
    shorten,
    tell,
)
from portal.web.forms import Query, page_before
from portal.web.loaders import entry_and_path_or_404, entry_or_404, selected_or_404
from portal.web.next_page import next_page
from portal.web.previews import preview_of
from portal.web.zone import current_zone

from .files import NameForm, SelectionQuery, folder_url, url_to_show
from .list_look import remembered_order

entry_pages = Blueprint("entries", __name__)
zip_downloads = Blueprint("zips", __name__)


_MOST_BACK = 16
"""Entries whose move a button can undo: a cookie holds their names in URLs until then."""
_LONGEST_BACK = 600
"""Bytes of those names that the move has changed, which it holds, too."""


class NewNameForm(NameForm):
    """Another name for a file or folder.

    :param exactly: whether to refuse a name that is taken, rather than to number it.
    """

    exactly = BooleanField()


class VersionsQuery(Query):
    """Before which version the page of a file's versions begins."""

    versions = page_before()


@entry_pages.get("/entries/<public_id>")
@login_required
def details(public_id: str) -> ResponseReturnValue:
    """Show what is known of a file or folder, and a file itself where that is safe."""
    entry, (*path, _) = entry_and_path_or_404(Entry, public_id, "change")
    file = entry if isinstance(entry, StoredFile) else None
    preview = preview_of(file.name) if file else None
    before = VersionsQuery().versions.data or None
    replaced = versions.of_file(file, before) if file else Page([])
    newer, number = versions.count_around(file, replaced) if file else (0, 0)
    return render_template(
        "files/details.html",
        entry=entry,
        path=path,
        preview=preview,
        source=url_to_show(file) if file and preview and preview.kind != "document" else None,
        history=report.history(entry, [step.public_id for step in path]),
        shares=links.shares_of(entry),
        requests=links.requests_into(entry),
        versions=replaced,
        senders=versions.senders(file, replaced.rows) if file and replaced.rows else [],
        has_newer=before is not None,
        newer_versions=newer,
        number_of_versions=number,
        expiry=trash.expiry,
        status_of=status_of,
    )


@entry_pages.get("/entries/<public_id>/folder")
@login_required
def show_in_folder(public_id: str) -> ResponseReturnValue:
    """Go on to the page of a folder that has this file on it."""
    entry = entry_or_404(StoredFile, public_id, "read")
    folder = entry_or_404(Folder, tree.path_to(entry.id)[-2].public_id, "read")
    order = remembered_order()
    before = listing.page(folder, order, "before", entry).entries
    is_first = entry.id in {one.id for one in before}
    after = None if is_first else marks.of_entries(reversed(before), order.place_of)
    return redirect(folder_url(folder, after))


@entry_pages.post("/entries/<public_id>/rename")
@login_required
def rename(public_id: str) -> ResponseReturnValue:
    """Rename a file or folder."""
    entry, form = entry_or_404(Entry, public_id, "change"), NewNameForm()
    try:
        before, name = entries.rename(entry, wanted := form.wanted(), form.exactly.data)
    except tree.RefusedError as error:
        tell(str(error), "error")
    else:
        if name != before:
            tell(gettext("Renamed to %(name)s", name=name_placed(wanted, name)))
        elif name != wanted:
            tell(gettext("Not renamed: %(name)s", name=name_placed(wanted, name)))
    return redirect(next_page(url_for("entries.details", public_id=public_id)))


@entry_pages.post("/selection/trash")
@login_required
def put_into_trash() -> ResponseReturnValue:
    """Move the selection to the trash."""
    selected = _selection(SelectionQuery(), "change")
    names = [entry.name for entry in selected]
    if trashed := trash.put(selected):
        listed = list_names([thing.name for thing in trashed.things], count_items)
        said = gettext("Moved to the trash: %(items)s", items=listed)
        tell(said, undo=trashed.moment.isoformat())
    else:  # by another request at the same moment
        tell(gettext("Not here any more: %(items)s", items=list_names(names, count_items)))
    trash.purge_now_and_then()
    return redirect(next_page())


@entry_pages.post("/selection/move")
@login_required
def move_selection() -> ResponseReturnValue:
    """Go on to where the selection can be moved to."""
    query = SelectionQuery()
    selected = _selection(query, "change")
    return redirect(_move_url(selected, query.folder.data or None, next_page("")))


@entry_pages.get("/move")
@login_required
def select_folder() -> ResponseReturnValue:
    """Show folders to move the selection to, level by level."""
    query = SelectionQuery()
    selected = selected_or_404("change", query.entry.data) or abort(404)
    folder, asked = _target(query, "read"), query.after.data
    path, order = tree.path_to(folder.id), listing.Order()
    mark = marks.find_entry(folder.owner_id, asked, order.place_of)
    page = listing.page(folder, order, mark=mark, folders_only=True)
    return render_template(
        "files/move.html",
        selected=selected,
        folder=folder,
        path=path,
        page=page,
        after=marks.of_entries(reversed(page.entries), order.place_of),
        changed=marks.end_or_beginning(page.is_end, is_lost=bool(asked) and mark is None),
        is_here=all(entry.parent_id == folder.id for entry in selected),
        is_inside=bool({entry.id for entry in selected} & {step.id for step in path}),
        next_page=next_page(""),
    )


@entry_pages.post("/move")
@login_required
def move() -> ResponseReturnValue:
    """Move the selection to a folder."""
    query = SelectionQuery()
    selected, folder = _selection(query, "change"), _target(query, "add")
    page, target = next_page(""), folder_url(folder)
    home, before = _home_of(selected), {entry.public_id: entry.name for entry in selected}
    named = {
        public_id: names.clean(name)
        for public_id, name in zip(query.entry.data, query.name.data or [], strict=False)
        if name
    }
    try:
        moved = entries.move(selected, folder, named)
    except tree.RefusedError as error:
        tell(str(error), "error")
        return redirect(page or _move_url(selected, folder.public_id))
    items = list_placed(moved, count_items)
    where = shorten(folder.name or gettext("My files"))
    said = gettext("Moved to %(folder)s: %(items)s", folder=where, items=items)
    if not moved:
        items = list_names([entry.name for entry in selected], count_items)
        said = gettext("Already in %(folder)s: %(items)s", folder=where, items=items)
    elif not page:
        said = gettext("Moved here: %(items)s", items=items)
    has_left = moved and home and home.id != folder.id
    back = _way_back(home, selected, before) if home and has_left else []
    tell(said, move_back=back, place=(where, target) if page not in {"", target} else None)
    return redirect(page or target)


@zip_downloads.get("/folders/<public_id>/zip")
@login_required
def download_folder(public_id: str) -> ResponseReturnValue:
    """Send a folder, with all that is in it."""
    folder = entry_or_404(Folder, public_id, "read")
    begin = partial(done, "archive", folder)
    name, page = folder.name or gettext("My files"), folder_url(folder)
    return send_zip([folder], name, page, current_account().id, begin)


@zip_downloads.post("/selection/zip")
@login_required
def download_selection() -> ResponseReturnValue:
    """Send the selection."""
    selected = _selection(SelectionQuery(), "read")
    begin = partial(done, "archive", *selected)
    name = selected[0].name if len(selected) == 1 else gettext("Files")
    return send_zip(selected, name, next_page(), current_account().id, begin)


def send_zip(
    selected: Sequence[Entry], name: str, page: str, account_id: int, begin: Callable[[], object]
) -> ResponseReturnValue:
    """Send a ZIP, or say on a page why there is none.

    :param page: where to say it.
    :param account_id: whose place among the ZIPs it takes.
    :param begin: called once a ZIP is sure to be sent, but not for its headers alone.
    """
    with places.take(account_id) as taken:
        try:
            members = zips.members(selected)
        except (zips.TooManyEntriesError, ContentLostError) as error:
            tell(_reason(error), "error")
            return redirect(page)
        if request.method != "HEAD":
            begin()
        length, pieces = zips.stream(members, current_storage(), current_zone())
        response = places.PlacedResponse(pieces, mimetype="application/zip")
        response.call_on_close(taken.pop_all().close)
    response.content_length = length
    disposition = content_disposition("attachment", clean_name(f"{name}.zip"))
    response.headers["Content-Disposition"] = disposition
    return response


def _reason(error: Exception) -> str:
    if not isinstance(error, ContentLostError):
        return str(error)
    return gettext(
        "The content of %(name)s is missing or damaged, so there is no ZIP. Tell whoever runs the"
        " portal.",
        name=shorten(str(error)),
    )


def _home_of(selected: Sequence[Entry]) -> Folder | None:
    """Return the folder in which all of a selection lies."""
    home, *others = {entry.parent_id for entry in selected}
    return None if others else db.session.get_one(Folder, home)


def _way_back(
    home: Folder, moved: Sequence[Entry], before: Mapping[str, str]
) -> Sequence[tuple[str, str]]:
    """Return what moves a selection back to a folder, as :func:`tell` takes it; or nothing.

    :param before: the names before, by the entries' names in URLs.
    """
    back = [(home.public_id, "")]
    for entry in moved:
        name = before[entry.public_id]
        back.append((entry.public_id, "" if name == entry.name else name))
    is_long = sum(len(name.encode()) for _, name in back) > _LONGEST_BACK
    return [] if is_long or len(moved) > _MOST_BACK else back


def _selection(query: SelectionQuery, action: Action) -> Sequence[Entry]:
    """Return what was selected; if nothing was, say so on the page that the form was on."""
    selected = selected_or_404(action, query.entry.data)
    if not selected:
        tell(
            gettext("Select files or folders first, with the checkboxes before their names."),
            "error",
        )
        abort(redirect(next_page()))
    return selected


def _target(query: SelectionQuery, action: Action) -> Folder:
    if not query.folder.data:
        return entries.root_folder(current_account().id)
    return entry_or_404(Folder, query.folder.data, action)


def _move_url(selected: Sequence[Entry], folder: str | None, next_page: str = "") -> str:
    ids = [entry.public_id for entry in selected]
    return url_for("entries.select_folder", entry=ids, folder=folder, next=next_page or None)
