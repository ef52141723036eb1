"""Pages of lists, newest first. The database finds the place in an index; it never skips rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from markupsafe import escape
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from .database import db

R = TypeVar("R")
T = TypeVar("T")
_ROOM = 32 * 1024
"""Bytes of what people wrote on a page, as HTML: it stands there up to three times."""


def fitting(rows: Sequence[T], written: Callable[[T], str]) -> Sequence[T]:
    """Return the first rows that a page has room for; at least one, if there are any.

    A page stays short, whatever people wrote: see :mod:`portal.web.places`.

    :param written: what people wrote of a row.
    """
    room = _ROOM
    for number, row in enumerate(rows):
        room -= len(escape(written(row)).encode())
        if room < 0 and number:
            return rows[:number]
    return rows


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

    def fitting(self, written: Callable[[T], str]) -> Page[T]:
        """Return the rows that there is room for, as :func:`fitting`; of a list's end, the last."""
        if self.is_end:
            return Page(fitting(self.rows[::-1], written)[::-1], is_end=True)
        rows = fitting(self.rows, written)
        return Page(rows, self.has_next or len(rows) < len(self.rows))


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
