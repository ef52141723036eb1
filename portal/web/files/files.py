"""A person's files and folders: listed, searched, created, uploaded, downloaded, shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectMultipleField  # type: ignore[import-untyped]
from wtforms.validators import DataRequired  # type: ignore[import-untyped]

from flask_delegate import FileRefused, Handoff, HandoffUnavailable, delegated, signed_url
from portal.activity.record import RecordedHandoff
from portal.core import paging
from portal.core.language import gettext, lazy_gettext
from portal.core.models import Folder, StoredFile, Via
from portal.files import entries, listing, names, tree, unfinished
from portal.files.downloads import Found, find_own
from portal.files.listing import SORTS, Direction, Order
from portal.files.quota import QuotaExceededError, usage_of
from portal.files.uploads import accept_files, put_file, received_files
from portal.identity.current_user import (
    current_account,
    login_required,
    require_sign_in,
    session_key,
)
from portal.storage.content import current_storage
from portal.web import marks
from portal.web.flashes import done, list_uploaded, name_placed, tell
from portal.web.forms import Form, Query, csrf, name_in_url, text
from portal.web.loaders import entry_and_path_or_404, entry_or_404, find_entry
from portal.web.next_page import next_page
from portal.web.previews import preview_of, type_to_save

from . import list_look

files = Blueprint("files", __name__)
folders = Blueprint("folders", __name__)
_SHOWN = 6 * 60 * 60
"""Seconds for which a page may show a file: longer than a film."""


class NameForm(Form):
    """A name for a file or folder."""

    name = text(lazy_gettext("Name"), 255, DataRequired(lazy_gettext("Enter a name.")))

    def wanted(self) -> str:
        """Return the name, without what no name can have.

        :raises tree.RefusedError: for none, one that is too long, or one of which nothing stays.
        """
        if not self.validate():
            raise tree.RefusedError(self.name.errors[0])
        if {"/", "\\"} & set(self.name.data):
            raise tree.RefusedError(gettext("A name cannot contain / or \\. Enter another one."))
        if cleaned := names.clean_or_none(self.name.data):
            return cleaned
        raise tree.RefusedError(
            gettext(
                "A name cannot be . or .., and needs a character that can be seen. Enter another"
                " one."
            )
        )


class SearchQuery(Query):
    """A part of a name."""

    q = text("Search all my files by name", 255)


class ListQuery(Query):
    """Which page of a list, and how it is sorted."""

    sort = text("Sort by", 8)
    order = text("Order", 16)
    before = name_in_url("Before", marks.LONGEST)
    after = name_in_url("After", marks.LONGEST)
    select = text("Select", 8)

    def sorting(self) -> Order:
        """Return the order; the one before, if there is no other."""
        if self.sort.data not in SORTS:
            return list_look.remembered_order()
        return Order(self.sort.data, self.order.data == "descending")

    def place(self) -> tuple[Direction, str]:
        """Return on which side of which mark the page is."""
        return ("before", self.before.data) if self.before.data else ("after", self.after.data)


class SelectionQuery(Query):
    """Files and folders that were selected, and where to move them.

    The names are those that they had there before, if they have others now; empty, if not.
    """

    entry = SelectMultipleField(validate_choice=False)
    name = SelectMultipleField(validate_choice=False)
    folder = name_in_url("Folder")
    after = name_in_url("After", marks.LONGEST)


@files.get("/")
@login_required
def index() -> ResponseReturnValue:
    """List what is in my root folder."""
    root = entries.root_folder(current_account().id)
    return list_folder(root, [tree.Step.of(root)])


@folders.get("/folders/<public_id>")
@login_required
def show(public_id: str) -> ResponseReturnValue:
    """List what is in a folder."""
    return list_folder(*entry_and_path_or_404(Folder, public_id, "read"))


@folders.post("/folders/<public_id>/folders")
@login_required
def create(public_id: str) -> ResponseReturnValue:
    """Create a folder in a folder."""
    parent = entry_or_404(Folder, public_id, "add")
    try:
        wanted = NameForm().wanted()
        created = entries.place(Folder(name=wanted), parent)
    except tree.RefusedError as error:
        tell(str(error), "error")
    else:
        tell(gettext("Folder created: %(name)s", name=name_placed(wanted, created.name)))
    return redirect(next_page(folder_url(parent)))


@folders.get("/search")
@login_required
def search() -> ResponseReturnValue:
    """Find entries by a part of their names."""
    words = SearchQuery().q.data
    found = listing.search(current_account(), words)
    places = tree.places([one.parent_id for one in found])
    shown = found[: listing.MOST_FOUND]
    shown = paging.fitting(
        shown, lambda entry: listing.written(entry) + "".join(places[entry.parent_id])
    )
    more = len(shown) < len(found)
    values = {"words": words, "found": shown, "more": more, "places": places}
    values["here"] = url_for("folders.search", q=words)
    return render_template("files/search.html", **values)


# To check the form's token, the form must be read, and its files with it. The check for all forms
# comes before anybody knows who is asking, so this view makes it: after @login_required.
@files.post("/uploads/folders/<public_id>")
@csrf.exempt  # type: ignore[untyped-decorator]
@login_required
def upload(public_id: str) -> ResponseReturnValue:
    """Keep the files that a form sends."""
    folder = entry_or_404(Folder, public_id, "add")
    accept_files(current_account())
    csrf.protect()
    placed: list[tuple[str, str]] = []
    replaced: list[str] = []
    try:
        replaces = request.form.get("taken") == "replace"
        for client_name, incoming in received_files("file"):
            stored = put_file(folder, incoming, client_name, replaces=replaces)
            if stored.has_replaced:
                replaced.append(stored.file.name)
            else:
                placed.append((names.clean(client_name), stored.file.name))
    except QuotaExceededError as error:
        error.stored = len(placed) + len(replaced)
        raise
    finally:
        # Where it ended early, the next page says what was kept nevertheless.
        if uploaded := list_uploaded(placed, replaced):
            tell(uploaded)
    if not uploaded:
        tell(gettext("Select a file, then upload it."), "error")
    return redirect(folder_url(folder))


def find_readable(public_id: str) -> Found | None:
    """Find the file that this request asks for, if it may have it."""
    if found := find_own(session_key(), public_id):
        return found
    require_sign_in()
    file = find_entry(StoredFile, public_id, "read")
    return Found.of(file) if file else None


@files.get("/files/<public_id>")
@delegated(find_readable, conceal=True)
def download(file: Found, public_id: str) -> Handoff:  # noqa: ARG001  (find_readable's)
    """Hand over the file, for Apache to send."""
    return as_download(file)


def find_viewable(public_id: str) -> Found | None:
    """Find the file that this request asks for, if it may have it and it is safe to show."""
    file = find_readable(public_id)
    return file if file and preview_of(file.thing.name) else None


@files.get("/files/<public_id>/preview")
@delegated(find_viewable, conceal=True)
def preview(file: Found, public_id: str) -> Handoff:  # noqa: ARG001
    """Hand over a file for the browser to show."""
    return _recorded(file, "view", **_shown_as(file))


def as_download(
    file: Found, detail: str = "", linked: str | None = None, via: Via | None = None
) -> Handoff:
    """Return the hand-off of a file to save, which is recorded.

    :param detail: as for :func:`portal.activity.record.record`, like the next two.
    """
    return _recorded(
        file,
        "download",
        as_attachment=True,
        download_name=file.thing.name,
        mimetype=type_to_save(file.mimetype),
        csp="default-src 'none'; sandbox",
        detail=detail,
        linked=linked,
        via=via,
    )


def url_to_show(stored: StoredFile) -> str:
    """Return the address by which a page shows a file, and record that it does.

    Where Apache can verify it by itself, not even a film of which hundreds of ranges are asked for
    comes by here again: for some hours, in this browser, until somebody signs out there.
    """
    # The view says what is wrong, or sends the file itself.
    by_view = url_for("files.preview", public_id=stored.public_id)
    storage, how = current_storage(), _shown_as(Found.of(stored))
    # What is moved meanwhile would not be where the address says.
    if storage.is_moving or not storage.holds(stored.storage_key, stored.size):
        return by_view
    try:
        path = storage.path(stored.storage_key)
        url = signed_url(path, expires_in=_SHOWN, bind_to_browser=True, **how)
    except (HandoffUnavailable, FileRefused):
        return by_view
    done("view", stored)
    return url


def _recorded(file: Found, action: Literal["download", "view"], **how: Any) -> Handoff:
    storage, key = current_storage(), file.storage_key
    path, given = storage.path(key), {"area": storage.area(key), "size": file.thing.size, **how}
    return RecordedHandoff(path, thing=file.thing, actor=file.actor, action=action, **given)


def _shown_as(file: Found) -> dict[str, Any]:
    """Return the options of a file's hand-off to a browser that shows it."""
    preview = preview_of(file.thing.name)
    if preview is None:
        raise AssertionError("only what is safe to show is shown")
    return {
        "download_name": file.thing.name,
        "mimetype": preview.mimetype,
        "csp": preview.policy,
    }


def list_folder(folder: Folder, path: Sequence[tree.Step]) -> ResponseReturnValue:
    """Show a page of what is in a folder, which lies at a path."""
    query = ListQuery()
    order, (direction, asked) = query.sorting(), query.place()
    mark = marks.find_entry(folder.owner_id, asked, order.place_of)
    page = listing.page(folder, order, direction, mark)
    account = current_account()
    usage = usage_of(account)
    address = partial(_address, order)
    page_shown = render_template(
        "files/list.html",
        folder=folder,
        path=path,
        order=order,
        page=page,
        before=marks.of_entries(page.entries, order.place_of),
        after=marks.of_entries(reversed(page.entries), order.place_of),
        changed=marks.end_or_beginning(page.is_end, is_lost=bool(asked) and mark is None),
        query=query,
        address=address,
        view=list_look.view(),
        # Without what is selected: after it is moved away, that would be what is left.
        here=address(order, after=query.after.data or None, before=query.before.data or None),
        limit=min(current_app.config["MAX_CONTENT_LENGTH"], usage.free),
        usage=usage,
        unfinished=unfinished.of_owner(account, folder) if usage.uploads else [],
    )
    return list_look.remember_order(page_shown, order)


def folder_url(folder: Folder, after: str | None = None) -> str:
    """Return the address of a folder's page.

    :param after: the mark that the page begins after; none: the first page.
    """
    if folder.parent_id is None:
        return url_for("files.index", after=after)
    return url_for("folders.show", public_id=folder.public_id, after=after)


def _address(shown: Order, order: Order, **place: str | None) -> str:
    """Return the address of this list in an order, from a place on.

    :param shown: the order of this page, in which the next comes if its address says no other.
    """
    query: dict[str, Any] = {**(request.view_args or {}), **place}
    if order != Order() or shown != Order():
        query |= {"sort": order.by, "order": "descending" if order.descending else None}
    return url_for(request.endpoint or "", **query)
