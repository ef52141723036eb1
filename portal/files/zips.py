"""Folders and selections as one ZIP, written while it is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import Row, select
from zipstream import ZipStream, ZipStreamInfo  # type: ignore[import-untyped]

from portal.core import text
from portal.core.database import db
from portal.core.language import ngettext
from portal.core.models import Entry, StoredFile
from portal.files import names
from portal.storage.base import ContentLostError, Storage
from portal.storage.content import current_storage

from . import tree

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_EARLIEST, _LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)


class TooManyEntriesError(Exception):
    """A ZIP would have too many files and folders in it; the message says what to do."""


class Member(NamedTuple):
    """A file or folder in a ZIP. A folder's path ends with a slash, and it has no key."""

    path: str
    changed_at: datetime
    key: str | None = None
    size: int = 0


def members(selected: Sequence[Entry]) -> Sequence[Member]:
    """Return what goes into a ZIP: the entries, and all that is in them.

    :raises ContentLostError: if a file's content is missing.
    :raises TooManyEntriesError: if that is more than ``ARCHIVE_ENTRIES``.
    """
    most = current_app.config["ARCHIVE_ENTRIES"]
    rows = _rows([entry.id for entry in selected], most + 1)
    if len(rows) > most:
        raise TooManyEntriesError(
            ngettext(
                "A ZIP can hold at most %(num)s item: files and folders together. Select fewer, or"
                " download folder by folder.",
                "A ZIP can hold at most %(num)s items: files and folders together. Select fewer, or"
                " download folder by folder.",
                most,
            )
        )
    listed = list(_named(rows))
    storage = current_storage()
    for member in listed:
        if member.key and not storage.holds(member.key, member.size):
            logger.error("no ZIP, for content is lost: %s", member.key)
            raise ContentLostError(member.path)
    return listed


class _Zip(ZipStream):  # type: ignore[misc]
    """A ZIP whose members have times of their own, which zipstream-ng takes from paths alone."""

    def __init__(self) -> None:
        super().__init__(sized=True)
        self.times: dict[str, tuple[int, ...]] = {}

    def _gen_file_entry(
        self,
        *,
        arcname: str,
        iterable: Iterable[bytes] | None = None,
        data: bytes | None = None,
        size: int | None = None,
        **_options: object,
    ) -> Iterator[bytes]:
        """Yield a member, as zipstream-ng does."""
        info = ZipStreamInfo(arcname, self.times[arcname])
        info.external_attr = 0o40775 << 16 | 0x10 if info.is_dir() else 0o600 << 16
        info.file_size, info.header_offset = size or 0, self._pos
        for piece in info._file_data(iterable if data is None else [data]):
            yield self._track(piece)
        self._filelist.append(info)


def stream(listed: Iterable[Member], storage: Storage, zone: tzinfo) -> tuple[int, Iterator[bytes]]:
    """Return the length of a ZIP, and the ZIP, which is read from the storage piece by piece.

    :param zone: of the members' times: a ZIP does not say in which zone they are.

    If a file vanishes meanwhile, the ZIP ends there: too short, and without the directory that
    every ZIP ends with.
    """
    zipped = _Zip()
    for member in listed:
        # A ZIP can have the years from 1980 on, without a zone.
        there = member.changed_at.astimezone(zone).timetuple()
        zipped.times[member.path] = min(max(_EARLIEST, tuple(there)[:6]), _LATEST)
        if member.key is None:
            zipped.mkdir(member.path)
        elif member.size:
            content = _content(storage, member.key, member.size)
            zipped.add(content, member.path, size=member.size)
        else:
            zipped.add(b"", member.path)
    return len(zipped), iter(zipped)


def _content(storage: Storage, key: str, left: int) -> Iterator[bytes]:
    """Read a file: as many bytes as were announced, or an error."""
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


def _rows(entry_ids: Sequence[int], most: int) -> Sequence[Row[Any]]:
    """Return entries and all that is in them, each folder before what it holds."""
    below = tree.descendants(entry_ids, Entry.trash_id.is_(None))
    # What is selected by itself and with its folder comes once, in its folder.
    depth = sa.func.max(below.c.depth).label("depth")
    deepest = select(below.c.id, depth).group_by(below.c.id).subquery()
    rows = (
        select(Entry.id, Entry.parent_id, Entry.is_file, Entry.name, Entry.size, Entry.created_at)
        .add_columns(StoredFile.__table__.c.storage_key)
        .join(deepest, deepest.c.id == Entry.id)
        .order_by(deepest.c.depth, Entry.sort_key, Entry.id)
    )
    return db.session.execute(rows.limit(most)).all()


def _named(rows: Sequence[Row[Any]]) -> Iterator[Member]:
    """Give each a path that no other has, not even in another case."""
    folders = {row.id: "" for row in rows if not row.is_file}
    taken: set[str] = set()
    held = {row.parent_id for row in rows}

    def is_taken(name: str) -> bool:
        return text.fold(around + name) in taken

    for row in rows:
        if row.parent_id is None:  # the root folder has no name; the rest lies in it
            continue
        around = folders.get(row.parent_id, "")
        path = around + names.first_free(names.portable(row.name), is_taken)
        taken.add(text.fold(path))
        if row.is_file:
            yield Member(path, row.created_at, row.storage_key, row.size)
            continue
        folders[row.id] = f"{path}/"
        if row.id not in held:
            yield Member(f"{path}/", row.created_at)
