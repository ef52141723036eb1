"""Folders and selections as one ZIP, made while it is sent."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy import select
from zipstream import ZipStream  # type: ignore[import-untyped]

from portal.core import text
from portal.core.database import db
from portal.core.models import Entry, StoredFile
from portal.files import names
from portal.storage.content import ContentStore
from portal.storage.disk import ContentLostError

from .uploads import current_storage

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_SLOTS = "portal.archives"
# What Windows does not take in a name, or takes for a part of a path.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


class TooManyEntriesError(Exception):
    """A ZIP would have too many files and folders in it."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"A ZIP may have {most} files and folders in it, and this would have more."
            " Choose fewer, or download folder by folder."
        )


class BusyError(Exception):
    """No more ZIPs are made for now."""


class Member(NamedTuple):
    """A file or folder in a ZIP.

    :param path: where it is in the ZIP; that of a folder ends with a slash.
    :param key: of the content; none for a folder.
    :param size: bytes.
    """

    path: str
    key: str | None = None
    size: int = 0


class Slots:
    """Places for the ZIPs that this process sends: each holds a thread for its whole length.

    :param total: how many there are. One account gets half of them at most, so that nobody is kept
        from theirs by one other.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._each = max(total // 2, 1)
        self._taken: Counter[int] = Counter()
        self._lock = threading.Lock()

    def take(self, account_id: int) -> None:
        """Take a place.

        :raises BusyError: if there is none.
        """
        with self._lock:
            if self._taken.total() >= self._total or self._taken[account_id] >= self._each:
                raise BusyError
            self._taken[account_id] += 1

    def give_back(self, account_id: int) -> None:
        """Let somebody else have a place."""
        with self._lock:
            self._taken[account_id] -= 1
            self._taken += Counter()  # forget who has none


def init_app(app: Flask) -> None:
    """Set the application up to make so many ZIPs at once."""
    app.extensions[_SLOTS] = Slots(app.config["ARCHIVES_AT_ONCE"])


def current_slots() -> Slots:
    """Give the application's places for ZIPs."""
    slots: Slots = current_app.extensions[_SLOTS]
    return slots


def members(chosen: Sequence[Entry]) -> Sequence[Member]:
    """List what goes into a ZIP: the entries, and all that is in them.

    :raises ContentLostError: if a file's content is missing.
    :raises TooManyEntriesError: if that is more than ``ARCHIVE_ENTRIES``.
    """
    most = current_app.config["ARCHIVE_ENTRIES"]
    rows = _below([entry.id for entry in chosen], most + 1)
    if len(rows) > most:
        raise TooManyEntriesError(most)
    listed = list(_named(rows))
    storage = current_storage()
    for member in listed:
        if member.key and not storage.holds(member.key, member.size):
            raise ContentLostError(member.path)
    return listed


def stream(listed: Iterable[Member], storage: ContentStore) -> tuple[int, Iterator[bytes]]:
    """Give the length of a ZIP, and the ZIP, which is read from the storage piece by piece.

    If a file vanishes meanwhile, the ZIP ends there: too short, and without the directory that
    every ZIP ends with.
    """
    zipped = ZipStream(sized=True)
    for member in listed:
        if member.key is None:
            zipped.mkdir(member.path)
        elif member.size:
            content = _content(storage, member.key, member.size)
            zipped.add(content, member.path, size=member.size)
        else:
            zipped.add(b"", member.path)
    return len(zipped), iter(zipped)


def safe_name(name: str) -> str:
    """Make a name that stays one component of a path, whatever takes the ZIP apart."""
    # Windows leaves dots and spaces at the end out, so that '.. ' would be '..'.
    return _UNSAFE.sub("_", name).rstrip(". ") or "unnamed"


def _content(storage: ContentStore, key: str, size: int) -> Iterator[bytes]:
    """Read a file: as many bytes as were announced, or an error."""
    left = size
    try:
        with storage.open(key) as file:
            while chunk := file.read(min(_CHUNK, left)):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise _lost(key) from error
    if left:
        raise _lost(key)


def _lost(key: str) -> ContentLostError:
    logger.error("a ZIP was cut short, for its content is lost: %s", key)
    return ContentLostError(key)


class _Row(NamedTuple):
    id: int
    parent_id: int | None
    is_file: bool
    name: str
    size: int
    key: str | None


def _below(entry_ids: Sequence[int], most: int) -> Sequence[_Row]:
    """Give entries and all that is in them, each folder before what it holds."""
    start = select(Entry.id, sa.literal(0).label("level")).where(Entry.id.in_(entry_ids))
    below = start.cte("below", recursive=True)
    below = below.union(
        select(Entry.id, below.c.level + 1).where(
            Entry.parent_id == below.c.id, Entry.trash_id.is_(None)
        )
    )
    # What is chosen by itself and with its folder comes once, in its folder.
    deepest = (
        select(below.c.id, sa.func.max(below.c.level).label("level"))
        .group_by(below.c.id)
        .subquery()
    )
    rows = (
        select(Entry.id, Entry.parent_id, Entry.is_file, Entry.name, Entry.size)
        .add_columns(StoredFile.__table__.c.storage_key)
        .join(deepest, deepest.c.id == Entry.id)
        .order_by(deepest.c.level, Entry.name_key, Entry.id)
    )
    found = db.session.execute(rows.limit(most))
    return [_Row(*row) for row in found]


def _named(rows: Sequence[_Row]) -> Iterator[Member]:
    """Give each a path that no other has, by case or otherwise."""
    folders = {row.id: "" for row in rows if not row.is_file}
    taken: set[str] = set()
    held = {row.parent_id for row in rows}
    for row in rows:
        if row.parent_id is None:  # the root folder has no name; the rest lies in it
            continue
        around = folders.get(row.parent_id, "")
        name = names.first_free(safe_name(row.name), partial(_is_taken, taken, around))
        path = around + name
        taken.add(text.fold(path))
        if row.is_file:
            yield Member(path, row.key, row.size)
            continue
        folders[row.id] = f"{path}/"
        if row.id not in held:
            yield Member(f"{path}/")


def _is_taken(taken: Container[str], around: str, name: str) -> bool:
    return text.fold(around + name) in taken
