"""Backups: the database, the files and the secret key in one archive, while the portal runs.

What is kept never changes, it is only deleted, and deletions are put off while a backup is made.
So the files that a snapshot of the database names are those of its moment, whenever they are read.

The archive is a tar, uncompressed: ``portal.db``, ``secret_key``, ``files/…`` in the order of their
keys, and last ``manifest.jsonl``: a line about the backup, and one for each member with its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

from portal.core.models import now
from portal.storage.disk import Storage, sync_folder

DATABASE, SECRET_KEY, MANIFEST = "portal.db", "secret_key", "manifest.jsonl"
FORMAT = "portal backup 1"
PIECE = 1024**2
"""Bytes that are copied at once."""

_PADDING = tarfile.RECORDSIZE
_LONGEST_LINE = 256
"""Bytes that the manifest has for each file, at most; with the file's header, about."""

Advance = Callable[[int], None]
"""Called with the bytes that were copied since the last call."""


class BackupError(Exception):
    """A backup cannot be made, or not be restored; the message says why."""


@dataclass
class Report:
    """What a backup holds.

    :param files: how many files.
    :param size: bytes of the archive.
    :param damaged: a line for each file that is missing or not what was uploaded.
    """

    files: int = 0
    size: int = 0
    damaged: list[str] = field(default_factory=list)


def room_needed(database: Path) -> tuple[int, int]:
    """Tell how many bytes of files there are, and how many a backup needs on its disk."""
    with closing(_read_only(database)) as connection:
        count, size = connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM entry WHERE is_file"
        ).fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    each = 2 * tarfile.BLOCKSIZE + 2 * _LONGEST_LINE
    # The snapshot, and its copy in the archive.
    return size, size + count * each + 2 * pages * page + 2 * _PADDING


def check_target(target: Path, data: Path, needed: int) -> int:
    """Tell how many bytes are free for a backup.

    :raises BackupError: if it cannot be written to that path.
    """
    if os.path.lexists(target):
        raise BackupError(f"{target} is there already. Choose another name, or move it away.")
    if not target.parent.is_dir():
        raise BackupError(f"There is no folder {target.parent}. Make it first.")
    if target.resolve().is_relative_to(data.resolve()):
        raise BackupError(
            f"{target} is inside the data folder. Choose a place outside, best elsewhere."
        )
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise BackupError(
            f"The backup needs {needed} bytes, and {target.parent} has {free} free."
            " Make room, or choose another disk."
        )
    return free


def make(target: Path, data: Path, storage: Storage, schema: str, advance: Advance) -> Report:
    """Write a backup.

    :param data: the data folder.
    :param schema: the revision of the database's schema.
    :raises BackupError: if another one is being made.
    :raises OSError: if something but a file cannot be read, or the backup not be written.
    """
    try:
        with (
            storage.deletions.put_off(),
            tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name,
        ):
            draft = Path(name)
            _snapshot(data / DATABASE, draft / DATABASE)
            report = _write(draft, data, storage, schema, advance)
            if os.path.lexists(target):
                raise BackupError(
                    f"{target} was made by somebody else meanwhile. Choose another name."
                )
            (draft / "backup.tar").rename(target)
            sync_folder(target.parent)
    except sqlite3.Error as error:
        raise BackupError(f"The database cannot be read: {error}.") from error
    except TimeoutError as error:
        raise BackupError("Another backup is being made. Wait for its end.") from error
    report.size = target.stat().st_size
    return report


def _snapshot(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment, whoever writes to it meanwhile."""
    target.touch(0o600)
    with closing(_read_only(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)  # in one step: one of several begins anew after each write
        # One file, that needs no journal beside it.
        copy.execute("PRAGMA journal_mode = DELETE")


def _write(draft: Path, data: Path, storage: Storage, schema: str, advance: Advance) -> Report:
    report = Report()
    with (
        closing(_read_only(draft / DATABASE)) as snapshot,
        _create(draft / "backup.tar") as file,
        _create(draft / MANIFEST) as lines,
    ):
        archive = _Archive(file, lines, advance)
        archive.note(format=FORMAT, schema=schema, made_at=now().isoformat(timespec="seconds"))
        if (found := snapshot.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            report.damaged.append(f"the database: {found}")
        for path in (draft / DATABASE, data / SECRET_KEY):
            with path.open("rb") as source:
                archive.add(path.name, source)
        for stored in _stored(snapshot):
            report.files += 1
            if problem := _add_stored(archive, storage, stored):
                report.damaged.append(
                    f"{stored.title}: {problem} (files/{storage.path(stored.key)})"
                )
        lines.flush()
        with (draft / MANIFEST).open("rb") as source:
            archive.add(MANIFEST, source)
        archive.finish()
    return report


@dataclass(frozen=True)
class _Stored:
    key: str
    size: int
    sha256: str
    title: str


def _stored(snapshot: sqlite3.Connection) -> Iterator[_Stored]:
    rows = snapshot.execute(
        "SELECT storage_key, size, sha256, account.name, entry.name FROM entry"
        " LEFT JOIN account ON account.id = owner_id WHERE is_file ORDER BY storage_key"
    )
    for key, size, sha256, owner, name in rows:
        yield _Stored(key, size, sha256, f"{name!r} of {owner!r}")


def _add_stored(archive: _Archive, storage: Storage, stored: _Stored) -> str | None:
    """Add a file as it is, and tell what is wrong with it."""
    name = f"files/{storage.path(stored.key)}"
    try:
        file = storage.open(stored.key)
    except OSError as error:
        archive.note(name=name, missing=True)
        return f"cannot be read: {error.strerror}"
    with file:
        if archive.add(name, file) == (stored.size, stored.sha256):
            return None
    # What there is may still be of use, so it is in the backup.
    return "is not what was uploaded"


class _Archive:
    """A tar that is being written, and the lines of its manifest."""

    def __init__(self, file: BinaryIO, lines: IO[bytes], advance: Advance) -> None:
        self._file = file
        self._lines = lines
        self._advance = advance
        self._time = int(time.time())

    def note(self, **values: object) -> None:
        """Write a line of the manifest."""
        self._lines.write(json.dumps(values).encode() + b"\n")

    def add(self, name: str, source: BinaryIO) -> tuple[int, str]:
        """Add a member, note it, and give its size and hash."""
        size = os.fstat(source.fileno()).st_size
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, self._time
        self._file.write(member.tobuf(tarfile.GNU_FORMAT))
        sha256 = hashlib.sha256()
        for piece in _pieces(source, size):
            sha256.update(piece)
            self._file.write(piece)
            self._advance(len(piece))
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))
        self.note(name=name, size=size, sha256=sha256.hexdigest())
        return size, sha256.hexdigest()

    def finish(self) -> None:
        """Write the end, down to the disk."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(bytes(-self._file.tell() % _PADDING))
        self._file.flush()
        os.fsync(self._file.fileno())


def _pieces(source: BinaryIO, size: int) -> Iterator[bytes]:
    """Read that many bytes; zeros stand for what a failing disk does not give."""
    position = 0
    while position < size:
        wanted = min(size - position, PIECE)
        try:
            piece = os.pread(source.fileno(), wanted, position)
        except OSError:
            piece = b""
        yield piece or bytes(wanted)
        position += len(piece) or wanted


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
