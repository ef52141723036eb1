"""Pages of what a folder holds, folders first: as fast for many entries as for a few.

A page begins after an entry, or ends before one, and the database finds that place in an index. It
is never told to skip or to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from portal.core import text
from portal.core.database import db
from portal.core.models import Account, Entry, Folder

PAGE = 100
"""Entries on a page."""
MOST_FOUND = 100
"""Entries that a search shows."""

SORTS: Mapping[str, InstrumentedAttribute[Any]] = {
    "name": Entry.sort_key,
    "size": Entry.size,
    "date": Entry.created_at,
}
"""What a list can be sorted by."""

Direction = Literal["after", "before"]


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: by a key of :data:`SORTS`."""

    by: str = "name"
    descending: bool = False

    def toggled(self, by: str) -> Order:
        """Return the order that a click on a column leads to."""
        return Order(by, by == self.by and not self.descending)

    def column(self, is_file: bool) -> InstrumentedAttribute[Any]:
        """Return what files, or folders, are sorted by."""
        has_no_size = self.by == "size" and not is_file
        return SORTS["name" if has_no_size else self.by]

    def place_of(self, entry: Entry) -> object:
        """Return what an entry is sorted by."""
        return getattr(entry, self.column(entry.is_file).key)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and whether something comes before and after it.

    :param is_end: whether it is the list's end, as nothing is left of the page that was asked for.
    """

    entries: Sequence[Entry]
    has_previous: bool
    has_next: bool
    is_end: bool = False


def page(
    folder: Folder,
    order: Order,
    direction: Direction = "after",
    mark: Entry | None = None,
    folders_only: bool = False,
) -> Page:
    """Return a page of what a folder holds.

    :param direction: the side of ``mark`` that the page is on.
    :param mark: an entry next to the page, which may have left the folder; none: the first page.
    """
    kinds = (False,) if folders_only else (False, True)
    direction = direction if mark else "after"
    found = _take(folder, order, kinds, direction, mark)
    more = len(found) > PAGE
    if mark and not found and direction == "after":
        last = _take(folder, order, kinds, "before", None)
        return Page(last[:PAGE][::-1], len(last) > PAGE, has_next=False, is_end=bool(last))
    if direction == "after":
        return Page(found[:PAGE], has_previous=mark is not None, has_next=more)
    if not more:  # the first page, and whole
        return page(folder, order, folders_only=folders_only)
    return Page(found[:PAGE][::-1], has_previous=True, has_next=True)


def search(account: Account, words: str) -> Sequence[Entry]:
    """Find an account's entries by a part of their names: one more than a search shows.

    Case and accents make no difference.
    """
    key = text.search_key(words)
    found = (
        select(Entry)
        .where(Entry.owner_id == account.id, Entry.trash_id.is_(None))
        .where(Entry.search_key.contains(key, autoescape=True))
        .order_by(Entry.sort_key, Entry.id)
        .limit(MOST_FOUND + 1)
    )
    return db.session.scalars(found).all() if key else []


def _take(
    folder: Folder, order: Order, kinds: Sequence[bool], direction: Direction, mark: Entry | None
) -> Sequence[Entry]:
    """Return one entry more than a page has, from the mark on in a direction."""
    taken: list[Entry] = []
    for is_file in kinds if direction == "after" else kinds[::-1]:
        here = mark
        if mark is not None and mark.is_file != is_file:
            # All of this kind lies on one side of the mark.
            if is_file != (direction == "after"):
                continue
            here = None
        query = _query(folder, order, is_file, direction, here)
        taken += db.session.scalars(query.limit(PAGE + 1 - len(taken)))
        if len(taken) > PAGE:
            break
    return taken


def _query(
    folder: Folder, order: Order, is_file: bool, direction: Direction, mark: Entry | None
) -> Select[Entry]:
    column = order.column(is_file)
    is_ascending = not order.descending or column.key != SORTS[order.by].key
    backwards = is_ascending == (direction == "before")
    query = select(Entry).where(
        Entry.parent_id == folder.id, Entry.trash_id.is_(None), Entry.is_file.is_(is_file)
    )
    if mark is not None:
        place = tuple_(column, Entry.id)
        at = tuple_(order.place_of(mark), mark.id)
        query = query.where(place < at if backwards else place > at)
    if backwards:
        return query.order_by(column.desc(), Entry.id.desc())
    return query.order_by(column, Entry.id)
