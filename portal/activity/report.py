"""The record as people ask for it: of a file, of one's own things, of all; as a table or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, select

from ..database import db
from ..models import Activity, Entry, Receipt

PAGE = 100
"""Rows of a page."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Line(NamedTuple):
    """Something that was done and, for a download, how it ended; none: not known."""

    activity: Activity
    receipt: Receipt | None


@dataclass(frozen=True)
class Downloads:
    """How often a file was downloaded.

    :param completed: how often the server sent all of it; a resumed download counts once.
    :param incomplete: how often the connection ended before, and nobody resumed it.
    :param unknown: how often nothing is known of the end: it goes on, or the server was killed.
    :param last: when the last one began.
    """

    completed: int
    incomplete: int
    unknown: int
    last: datetime | None


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which rows are asked for; what is empty does not matter.

    :param owner_id: of whose things, or by whom.
    :param actor: who did it.
    :param action: what was done.
    :param name: what the file's name contains.
    :param since: not before.
    :param until: before.
    """

    owner_id: int | None = None
    actor: str = ""
    action: str = ""
    name: str = ""
    since: datetime | None = None
    until: datetime | None = None


def of_file(entry: Entry) -> Sequence[Line]:
    """Give what was done to a file, the latest first."""
    rows = _lines().where(Activity.entry == entry.public_id)
    return _read(rows.order_by(Activity.id.desc()).limit(PAGE))


def downloads(entry: Entry) -> Downloads:
    """Count a file's downloads."""
    rows = _lines().where(
        Activity.entry == entry.public_id, Activity.action.in_(["download", "resume"])
    )
    completed = incomplete = unknown = 0
    last = None
    # By whom a download was cut short, as long as the rest was not fetched.
    waiting: dict[tuple[str, str], int] = {}
    for activity, receipt in _read(rows.order_by(Activity.id)):
        who = (activity.actor, activity.address)
        outcome = receipt.outcome if receipt else "unknown"
        if activity.action == "download":
            last = activity.at
        elif waiting.get(who):
            waiting[who] -= 1
            incomplete -= 1
        if outcome == "completed":
            completed += 1
        elif outcome == "unknown":
            unknown += 1
        else:
            incomplete += 1
            waiting[who] = waiting.get(who, 0) + 1
    return Downloads(completed, incomplete, unknown, last)


def page(wanted: Filter, before: int | None = None) -> Sequence[Line]:
    """Give a page of rows, the latest first.

    :param before: the id of the row after which to go on.
    """
    rows = _filtered(wanted)
    if before is not None:
        rows = rows.where(Activity.id < before)
    return _read(rows.order_by(Activity.id.desc()).limit(PAGE))


def as_csv(wanted: Filter) -> Iterator[str]:
    """Write all rows, the oldest first, in pieces: there may be very many."""
    yield _csv_row("time", "action", "by", "address", "name", "detail", "outcome", "bytes sent")
    after = 0
    while lines := _read(
        _filtered(wanted).where(Activity.id > after).order_by(Activity.id).limit(1000)
    ):
        for activity, receipt in lines:
            yield _csv_row(
                activity.at.isoformat(timespec="seconds"),
                activity.action,
                activity.actor,
                activity.address,
                activity.name,
                activity.detail,
                receipt.outcome if receipt else ("unknown" if activity.handoff else ""),
                str(receipt.sent) if receipt else "",
            )
        after = lines[-1].activity.id


def _lines() -> Select[Activity, Receipt]:
    return select(Activity, Receipt).outerjoin(Receipt, Receipt.handoff == Activity.handoff)


def _filtered(wanted: Filter) -> Select[Activity, Receipt]:
    rows = _lines()
    if wanted.owner_id is not None:
        rows = rows.where(Activity.owner_id == wanted.owner_id)
    if wanted.actor:
        rows = rows.where(Activity.actor == wanted.actor)
    if wanted.action:
        rows = rows.where(Activity.action == wanted.action)
    if wanted.name:
        rows = rows.where(Activity.name.icontains(wanted.name, autoescape=True))
    if wanted.since:
        rows = rows.where(Activity.at >= wanted.since)
    if wanted.until:
        rows = rows.where(Activity.at < wanted.until)
    return rows


def _read(rows: Select[Activity, Receipt]) -> Sequence[Line]:
    return [Line(activity, receipt) for activity, receipt in db.session.execute(rows)]


def _csv_row(*cells: str) -> str:
    # Spreadsheets would run a cell that begins like a formula; names are anybody's.
    safe = [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]
    text = io.StringIO()
    csv.writer(text).writerow(safe)
    return text.getvalue()
