"""The record as people ask for it: of a file, of one's own things, of all; as a table or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from sqlalchemy import Select, select

from portal.core.database import db
from portal.core.models import Activity, Entry, Receipt, StoredFile

_MOST_COUNTED = 1000
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

    :param completed: how often the server sent all of it.
    :param incomplete: to how many it sent a part, and not the rest.
    :param unknown: how often nothing is known of the end: it goes on, or the server was killed.
    :param last: when the last request came.
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


def downloads(file: StoredFile) -> Downloads:
    """Count a file's downloads, among the latest thousand requests for it.

    A download is complete when what the server sent to one person from one address covers the file,
    in one piece or in several: a resumed one counts once, as does one that was fetched in segments.
    """
    rows = _lines().where(
        Activity.entry == file.public_id, Activity.action.in_(["download", "resume"])
    )
    latest = _read(rows.order_by(Activity.id.desc()).limit(_MOST_COUNTED))[::-1]
    completed = unknown = 0
    last = None
    sent_to: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for activity, receipt in latest:
        if receipt and receipt.status == HTTPStatus.NOT_MODIFIED:
            continue  # the browser had it already
        last = activity.at
        if receipt is None or receipt.outcome == "unknown":
            unknown += 1
            continue
        pieces = sent_to.setdefault((activity.actor, activity.address), [])
        if receipt.outcome != "failed":
            pieces.append((receipt.start, receipt.start + receipt.sent))
        if receipt.outcome == "completed" and _covers(pieces, receipt.total or file.size):
            completed += 1
            pieces.clear()
    incomplete = sum(1 for pieces in sent_to.values() if pieces)
    return Downloads(completed, incomplete, unknown, last)


def _covers(pieces: Sequence[tuple[int, int]], size: int) -> bool:
    """Tell whether pieces, from one byte up to another, make up the whole."""
    reached = 0
    for start, end in sorted(pieces):
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= size


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
    yield "\ufeff"  # by which spreadsheets know UTF-8
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
    safe = [f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell for cell in cells]
    text = io.StringIO()
    # In quotes, as many a spreadsheet takes a semicolon for the end of a cell.
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(safe)
    return text.getvalue()
