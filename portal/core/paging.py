"""Pages of lists, newest first. The database finds the place in an index; it never skips rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from .database import db

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    :param has_next: whether more follow.
    :param is_end: whether it is the list's end, as nothing is left of the page that was asked for.
    """

    rows: Sequence[T]
    has_next: bool = False
    is_end: bool = False

    def map(self, read: Callable[[T], R]) -> Page[R]:
        """Return the page with what a function makes of each row."""
        return Page([read(row) for row in self.rows], self.has_next, self.is_end)


def newest_first(
    rows: Select[*tuple[Any, ...]],
    key: Sequence[InstrumentedAttribute[Any]],
    before: Sequence[Any] | None,
    size: int,
) -> Page[Any]:
    """Return a page of rows: those before a place, the last first.

    :param key: columns to sort by, which no two rows have in common.
    :param before: the key of the row that the page before ends with; none: the first page.
    """
    here = rows if before is None else rows.where(tuple_(*key) < tuple_(*before))
    latest = here.order_by(*(column.desc() for column in key)).limit(size + 1)
    found = db.session.execute(latest).all()
    if found or before is None:
        return Page(found[:size], has_next=len(found) > size)
    last = db.session.execute(rows.order_by(*key).limit(size)).all()
    return Page(last[::-1], is_end=bool(last))
