"""Reports of the record: of a file, of one account, of all accounts; in pages or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from http import HTTPStatus
from typing import NamedTuple

from sqlalchemy import Row, Select, and_, false, func, or_, select, union

from portal.core import references, text
from portal.core.clock import within
from portal.core.database import db
from portal.core.models import Activity, Entry, Receipt, StoredFile
from portal.core.paging import Page, newest_first
from portal.core.references import reference

from . import archives
from .downloads import Downloads
from .record import bring_in

_MOST_COUNTED = 1000
_PATIENCE = 250
"""Milliseconds for what another process brings into the record, which takes some of them."""
_COUNTED = ("download", "resume")
_OWNERS = frozenset(
    {
        *("share", "change share", "revoke share"),
        *("request files", "change request", "revoke request"),
    }
)
"""What is done with a link, and not by it."""
_CONFIRMED_WITHIN = timedelta(hours=1)
PENDING = "still being confirmed"
"""The outcome of a download whose end may still be told."""
PAGE = 100
"""Rows of a page."""
_HEADINGS = ("action", "by", "address", "name", "detail", "outcome", "bytes sent")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


_NOBODY = Activity.actor_key == ""
BY = {
    "Visitor": and_(_NOBODY, Activity.address.not_in(["", "command line"])),
    "A command": and_(_NOBODY, Activity.address == "command line"),
    "The portal": and_(_NOBODY, Activity.address == ""),
}
"""Who did something, if that was no account."""


class Line(NamedTuple):
    """A row of the record and, for a download whose end is known, its receipt.

    :param has_names: whether the reader may see names of files, and what members wrote about them.
    """

    activity: Activity
    receipt: Receipt | None
    has_names: bool

    @property
    def name(self) -> str:
        """The name of the file or folder, or its reference."""
        return self.activity.name if self.has_names else reference(self.activity.entry)

    @property
    def detail(self) -> str:
        """More in a few words: of a file, earlier names, folders and notes may be among them."""
        return self.activity.detail if self.has_names or not self.activity.entry else ""

    @property
    def via(self) -> str:
        """What its owner called the link that it was done by; empty for one without a name."""
        is_by_link = self.has_names and self.activity.action not in _OWNERS
        return self.activity.link_name if is_by_link else ""

    @property
    def by(self) -> str:
        """Who did it, in English words; empty for whom the address tells."""
        if not self.via:
            return self.activity.actor
        return f"{self.activity.actor or 'Visitor'} via “{self.via}”"

    @property
    def outcome(self) -> str:
        """How a download ended, in a word or a few in English; empty for anything else."""
        if not self.activity.handoff:
            return ""
        if self.receipt:
            return self.receipt.outcome
        return PENDING if _is_pending(self.activity) else "unknown"


class History(NamedTuple):
    """What is recorded of a file or folder.

    :param lines: the latest activity, newest first. With it come ZIPs that it was in, and what
        visitors did by links to a folder with the files in it.
    :param downloads: of a file by itself; none of a folder.
    :param zips: those that it was in, of the latest hundred events of folders around it.
    """

    lines: Sequence[Line]
    downloads: Downloads | None
    zips: Sequence[Activity]


def history(entry: Entry, around: Sequence[str]) -> History:
    """Return the latest activity of a file or folder, and count a file's downloads.

    :param around: the public ids of the folders around it, from the root folder on.

    Of these, the latest thousand requests count. A download is complete when what the server sent
    to one person at one address covers the file: one that was resumed, or fetched in segments,
    counts once.
    """
    path = [*around, entry.public_id]
    latest = _latest(entry, path)
    found = _read(_lines().where(Activity.id.in_(latest)).order_by(Activity.id.desc()))
    zips = archives.containing((activity for activity, _ in found), path, entry.created_at)
    about = {activity.id for activity in zips}
    lines = [
        Line(activity, receipt, has_names=True)
        for activity, receipt in found
        if entry.public_id in {activity.entry, activity.linked_entry} or activity.id in about
    ]
    downloads = _downloads(entry, found) if isinstance(entry, StoredFile) else None
    return History(lines[:PAGE], downloads, zips)


def _latest(entry: Entry, path: Sequence[str]) -> Select[int]:
    """Return the ids of the rows that a history needs, by the two indexes."""
    here, linked = Activity.entry == entry.public_id, Activity.linked_entry == entry.public_id
    wanted = [(PAGE, here), (PAGE, linked), (PAGE, archives.rows_about(path))]
    if entry.is_file:
        wanted.append((_MOST_COUNTED, and_(here, Activity.action.in_(_COUNTED))))
    ids = (
        select(Activity.id).where(one).order_by(Activity.id.desc()).limit(most).subquery()
        for most, one in wanted
    )
    return union(*(select(one.c.id) for one in ids)).subquery().select()


def _downloads(file: StoredFile, found: Sequence[Row[Activity, Receipt]]) -> Downloads:
    latest = [
        (activity, receipt)
        for activity, receipt in found
        if activity.entry == file.public_id and activity.action in _COUNTED
    ][_MOST_COUNTED - 1 :: -1]
    completed = pending = unknown = 0
    last = None
    sent_to: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for activity, receipt in latest:
        if receipt and receipt.status == HTTPStatus.NOT_MODIFIED:
            continue  # from the browser's cache
        last = activity.at
        if receipt is None and _is_pending(activity):
            pending += 1
            continue
        if receipt is None or receipt.outcome == "unknown":
            unknown += 1
            continue
        pieces = sent_to.setdefault((activity.actor, activity.address), [])
        # Where several ranges at once lie in the file, the log does not say.
        is_placed = receipt.status != HTTPStatus.PARTIAL_CONTENT or receipt.total is not None
        if receipt.outcome != "failed" and is_placed:
            pieces.append((receipt.start, receipt.start + receipt.sent))
        if receipt.outcome == "completed" and _covers(pieces, receipt.total or file.size):
            completed += 1
            pieces.clear()
    incomplete = sum(1 for pieces in sent_to.values() if pieces)
    return Downloads(completed, incomplete, pending, unknown, last)


def _is_pending(activity: Activity) -> bool:
    """Return whether the end of a download without a receipt may still be told."""
    oldest, latest = within(_CONFIRMED_WITHIN)
    return oldest < activity.at <= latest


def _covers(pieces: Sequence[tuple[int, int]], size: int) -> bool:
    """Return whether pieces, each from its first byte to before its last, cover the whole."""
    reached = 0
    for start, end in sorted(pieces):
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= size


def matching(
    *,
    owner_id: int | None = None,
    actor: str = "",
    by: str = "",
    action: str = "",
    name: str = "",
    link: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    has_names: bool,
) -> Select[Activity, Receipt]:
    """Return the rows to report. What is empty does not filter.

    :param owner_id: the account whose files, or which itself, it concerns.
    :param by: a key of :data:`BY`.
    :param actor: a name, and ``name`` a part of the file's: without regard to case and accents.
    :param name: a part of the file's name, or its reference.
    :param link: the public id of the link that it was done by, or with.
    :param has_names: as for :class:`Line`: without names, none is compared either.
    """
    who = text.search_key(actor)
    equal = {Activity.owner_id: owner_id, Activity.actor_key: who, Activity.action: action}
    equal[Activity.link] = link
    rows = _lines().where(*(key == value for key, value in equal.items() if value or value == 0))
    if name:
        part = text.search_key(name)
        is_named = Activity.name_key.contains(part, autoescape=True) if has_names else false()
        is_meant = func.substr(Activity.entry, 1, references.LENGTH) == name
        rows = rows.where(or_(is_named, is_meant))
    rows = rows.where(BY[by]) if by else rows
    rows = rows.where(Activity.at >= since) if since else rows
    return rows.where(Activity.at <= until) if until else rows


def page(
    rows: Select[Activity, Receipt], before: int | None = None, *, has_names: bool
) -> Page[Line]:
    """Return a page of rows, newest first: those older than the row ``before``."""
    bring_in(wait=False, patience=_PATIENCE)
    place = None if before is None else (before,)
    found = newest_first(rows, (Activity.id,), place, PAGE)
    return found.fitting(
        lambda row: f"{row[0].name}{row[0].detail}{row[0].actor}{row[0].link_name}"
    ).map(lambda row: Line(row[0], row[1], has_names))


def as_csv(rows: Select[Activity, Receipt], zone: tzinfo, *, has_names: bool) -> Iterator[str]:
    """Yield rows, oldest first, in batches: there may be very many.

    :param zone: of the times, which say how far that is from UTC.
    """
    yield "\ufeff"  # tells spreadsheets that this is UTF-8
    yield csv_row(f"time ({zone})", *_HEADINGS)
    after = 0
    rows = rows.order_by(Activity.id).limit(1000)
    while found := _read(rows.where(Activity.id > after)):
        # Whoever reads them may take hours, and no transaction waits for that.
        db.session.expunge_all()
        db.session.rollback()
        for line in (Line(*row, has_names) for row in found):
            activity, receipt = line.activity, line.receipt
            yield csv_row(
                activity.at.astimezone(zone).isoformat(timespec="seconds"),
                *(activity.action, line.by, activity.address, line.name, line.detail),
                line.outcome,
                str(receipt.sent) if receipt else "",
            )
        after = activity.id


def _lines() -> Select[Activity, Receipt]:
    return select(Activity, Receipt).outerjoin(Receipt, Receipt.handoff == Activity.handoff)


def _read(
    rows: Select[Activity, Receipt],
) -> Sequence[Row[Activity, Receipt]]:
    bring_in(wait=False)
    return db.session.execute(rows).all()


def csv_row(*cells: str) -> str:
    """Return a row of CSV, of which no cell is a formula."""
    # A spreadsheet would run a cell that begins like a formula, and anybody can choose a name.
    safe = [f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell for cell in cells]
    row = io.StringIO()
    # In quotes, since some spreadsheets take a semicolon for the end of a cell.
    csv.writer(row, quoting=csv.QUOTE_ALL).writerow(safe)
    return row.getvalue()
