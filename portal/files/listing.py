"""Pages of what a folder holds, folders first: as fast for many entries as for a few.

A page begins after an entry, or ends before one, and the database finds that place in an index. It
is never told to skip or to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, bindparam, select, tuple_

from portal.core import paging, text
from portal.core.database import db
from portal.core.models import Account, Entry, Folder

PAGE = 100
"""Entries on a page; fewer where their names are long."""
MOST_FOUND = 100
"""Entries that a search shows; fewer where their names are long."""

SORTS: Mapping[str, str] = {"name": "sort_key", "size": "size", "date": "created_at"}
"""What a list can be sorted by, and the columns of it."""


class Listed(NamedTuple):
    """What a list shows of an entry, and is sorted by. Objects would take three times as long."""

    id: int
    public_id: str
    is_file: bool
    name: str
    mimetype: str | None
    size: int
    created_at: datetime
    sort_key: str
    parent_id: int
    storage_key: str | None


_OF_A_PICTURE = 120
"""Letters of a name that take as much of a page as the addresses of a picture."""
_COLUMNS = Entry.__table__.c
_LISTED = [_COLUMNS[name] for name in Listed._fields]

Direction = Literal["after", "before"]


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: by a key of :data:`SORTS`."""

    by: str = "name"
    descending: bool = False

    def toggled(self, by: str) -> Order:
        """Return the order that a click on a column leads to."""
        return Order(by, by == self.by and not self.descending)

    def column(self, is_file: bool) -> str:
        """Return the column that files, or folders, are sorted by."""
        has_no_size = self.by == "size" and not is_file
        return SORTS["name" if has_no_size else self.by]

    def asked(self) -> Mapping[str, Any]:
        """Return what an address says of it: nothing of the usual order."""
        if self == Order():
            return {}
        return {"sort": self.by} | ({"order": "descending"} if self.descending else {})

    def place_of(self, entry: Entry | Listed) -> object:
        """Return what an entry is sorted by."""
        return getattr(entry, self.column(entry.is_file))


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and whether something comes before and after it.

    :param is_end: whether it is the list's end, as nothing is left of the page that was asked for.
    """

    entries: Sequence[Listed]
    has_previous: bool
    has_next: bool
    is_end: bool = False


def page(
    folder: Folder,
    order: Order,
    direction: Direction = "after",
    mark: Entry | Listed | None = None,
    folders_only: bool = False,
) -> Page:
    """Return a page of what a folder holds.

    :param direction: the side of ``mark`` that the page is on.
    :param mark: an entry next to the page, which may have left the folder; none: the first page.
    """
    kinds = (False,) if folders_only else (False, True)
    direction = direction if mark else "after"
    found, more = _fitting(_take(folder, order, kinds, direction, mark))
    if mark and not found and direction == "after":
        last, more = _fitting(_take(folder, order, kinds, "before", None))
        return Page(last[::-1], more, has_next=False, is_end=bool(last))
    if direction == "after":
        return Page(found, has_previous=mark is not None, has_next=more)
    if not more:  # the first page, and whole
        return page(folder, order, folders_only=folders_only)
    return Page(found[::-1], has_previous=True, has_next=True)


def beside(file: Entry, order: Order, direction: Direction) -> Sequence[Listed]:
    """Return the files next to one in its folder's list, the nearest first: a page of them at most.

    :param direction: the side of it that they are on.
    """
    asked: dict[str, Any] = {"folder": file.parent_id, "is_file": True, "most": PAGE}
    asked |= {"place": order.place_of(file), "id": file.id}
    found = db.session.execute(_query(order, True, direction, True), asked)
    return [Listed(*row) for row in found]


def _fitting(found: Sequence[Listed]) -> tuple[Sequence[Listed], bool]:
    """Return what a page has room for, and whether something is left over."""
    kept = paging.fitting(found[:PAGE], written)
    return kept, len(kept) < len(found)


def written(entry: Listed) -> str:
    """Return what a row has of an entry, for :func:`portal.core.paging.fitting`.

    A row of a picture has addresses of its thumbnail and to see it, too, with what is around them.
    """
    is_picture = (entry.mimetype or "").startswith("image/")
    return entry.name + " " * (_OF_A_PICTURE if is_picture else 0)


def search(account: Account, words: str) -> Sequence[Listed]:
    """Find an account's entries by a part of their names: one more than a search shows.

    Case and accents make no difference.
    """
    key = text.search_key(words)
    found = (
        select(*_LISTED)
        .where(_COLUMNS.owner_id == account.id, _COLUMNS.trash_id.is_(None))
        .where(_COLUMNS.search_key.contains(key, autoescape=True))
        .order_by(_COLUMNS.sort_key, _COLUMNS.id)
        .limit(MOST_FOUND + 1)
    )
    return [Listed(*row) for row in db.session.execute(found)] if key else []


def _take(
    folder: Folder,
    order: Order,
    kinds: Sequence[bool],
    direction: Direction,
    mark: Entry | Listed | None,
) -> Sequence[Listed]:
    """Return one entry more than a page has, from the mark on in a direction."""
    taken: list[Listed] = []
    for is_file in kinds if direction == "after" else kinds[::-1]:
        here = mark
        if mark is not None and mark.is_file != is_file:
            # All of this kind lies on one side of the mark.
            if is_file != (direction == "after"):
                continue
            here = None
        most = PAGE + 1 - len(taken)
        asked: dict[str, Any] = {"folder": folder.id, "is_file": is_file, "most": most}
        if here is not None:
            asked |= {"place": order.place_of(here), "id": here.id}
        query = _query(order, is_file, direction, here is not None)
        taken += (Listed(*row) for row in db.session.execute(query, asked))
        if len(taken) > PAGE:
            break
    return taken


# Each is built once: to build it takes longer than to run it.
@cache
def _query(order: Order, is_file: bool, direction: Direction, has_mark: bool) -> Select[Any]:
    column, id_ = _COLUMNS[order.column(is_file)], _COLUMNS.id
    is_ascending = not order.descending or column.key != SORTS[order.by]
    backwards = is_ascending == (direction == "before")
    query = select(*_LISTED).where(
        _COLUMNS.parent_id == bindparam("folder"),
        _COLUMNS.trash_id.is_(None),
        _COLUMNS.is_file == bindparam("is_file"),
    )
    if has_mark:
        at = tuple_(bindparam("place", type_=column.type), bindparam("id"))
        place = tuple_(column, id_)
        query = query.where(place < at if backwards else place > at)
    ordered = (column.desc(), id_.desc()) if backwards else (column, id_)
    return query.order_by(*ordered).limit(bindparam("most"))
