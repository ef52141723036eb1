"""Where a page of a list begins: next to an item, which may have changed or left the list since.

A mark holds a few items, the nearest first, each with a signature of its place. A page begins next
to the first of them that is where it was: next to one that was renamed, it would leave out what
lies between its old place and the new one. What a place is, such as a name, no address tells.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from flask import current_app
from itsdangerous import Signer
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Entry
from portal.files.listing import Listed

_MOST = 4
"""Items of a mark: only where all of them change meanwhile does the list begin anew."""
LONGEST = 255
"""Characters of a mark."""

E = TypeVar("E", Entry, Listed)


def of_entries(nearest_first: Iterable[E], place_of: Callable[[E], object]) -> str:
    """Return the mark of a page that begins next to an entry.

    :param place_of: returns what an entry is sorted by.
    """
    some = islice(nearest_first, _MOST)
    return "~".join(
        f"{entry.public_id}.{_signature(entry.public_id, place_of(entry))}" for entry in some
    )


def find_entry(owner_id: int, mark: str, place_of: Callable[[Entry], object]) -> Entry | None:
    """Return the nearest entry of a mark that has its place still, if any, in the list or not."""
    signed = dict(one.partition(".")[::2] for one in mark.split("~"))
    mine = select(Entry).where(Entry.public_id.in_(signed), Entry.owner_id == owner_id)
    found = {entry.public_id: entry for entry in db.session.scalars(mine)} if mark else {}
    for public_id, signature in signed.items():
        entry = found.get(public_id)
        if entry and hmac.compare_digest(
            signature.encode(), _signature(public_id, place_of(entry)).encode()
        ):
            return entry
    return None


def of_ids(nearest_first: Iterable[int]) -> str:
    """Return a mark of items that never change their places, but may be deleted."""
    return "~".join(map(str, islice(nearest_first, _MOST)))


def read_ids(mark: str) -> list[int]:
    """Return the ids that :func:`of_ids` has written."""
    return [int(one) for one in mark.split("~") if one.isdecimal()]


def end_or_beginning(is_end: bool, *, is_lost: bool = False) -> str:
    """Return which part of a list is shown in place of a page; none: the page is what was asked.

    :param is_end: whether nothing was left of it.
    :param is_lost: whether no item that it was to begin after is where it was.
    """
    if is_end:
        return "end"
    return "beginning" if is_lost else ""


def _signature(public_id: str, place: object) -> str:
    signer = Signer(current_app.secret_key or "", salt="portal.mark")
    return signer.get_signature(f"{public_id} {place}")[:10].decode()
