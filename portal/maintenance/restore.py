"""Restoring a backup: into an unused data folder, completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, NamedTuple

from sqlalchemy.exc import DBAPIError

from portal.core.database import revisions
from portal.core.datafolder import KEY_LENGTH, create_private, locked, write_private
from portal.storage import permissions
from portal.storage.base import Storage
from portal.storage.disk import Disk

from . import archives, restored_database
from .archives import DATABASE, MANIFEST, PIECE, SECRET_KEY, Advance
from .backup import FORMAT, BackupError, on_disk

DRAFT = "restore-"
"""The prefix of the folder below ``incoming`` that a restore writes to."""

_FIRST = (DATABASE, SECRET_KEY)
_FILE = re.compile(r"files/([0-9a-f]{2})/\1[0-9a-f]{30}", re.ASCII)
_LONGEST_LINE = 4096
_STORED = "SELECT storage_key, size, sha256 FROM entry WHERE is_file ORDER BY storage_key"


class Restored(NamedTuple):
    """How many files a backup has, how many it lacks, and how many are not what was uploaded."""

    files: int
    missing: int
    damaged: int


def restore(source: Path, data: Path, storage: Storage, advance: Advance) -> Restored:
    """Restore a backup, of this or an older schema, and return what it had.

    Sessions and one-time links are not restored: some may have ended or been used since. Nor are
    unfinished uploads, of which a backup has no content.

    :param data: the data folder, as a first start creates it.
    :raises BackupError: if anything is wrong with the backup, or the folder is in use.
    :raises OSError: if the backup cannot be read, or the folder cannot be written.
    """
    storage = on_disk(storage)
    if source.is_dir():
        if not (source / MANIFEST).is_file():
            raise BackupError(
                f"The folder {source} is no backup. Name a file, or one of the folders that"
                " backup --keep writes, such as portal-20260503T021542Z."
            )
    elif not source.is_file():
        raise BackupError(f"There is no file {source}.")
    with locked(data), _errors_named(source):
        _check_unused(data)
        # What is left is from a restore that was killed. Its draft, the sign of it, goes last.
        permissions.remove_all(storage)
        for left in storage.incoming.glob(f"{DRAFT}*"):
            shutil.rmtree(left)
        size = _check_members(source)
        if (free := shutil.disk_usage(storage.incoming).free) < size:
            raise BackupError(
                f"Restoring needs {size} bytes, and {free} are free. Free some space first."
            )
        # Below the folder for new files, what is created gets the group of the files.
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=storage.incoming) as name:
            draft = Path(name)
            _extract(source, draft, advance)
            restored_database.prepare(draft / DATABASE)
            restored = _compare(source, draft / DATABASE, storage)
            _install(draft, data, storage)
    return restored


def _install(draft: Path, data: Path, storage: Disk) -> None:
    """Move what was extracted to where it belongs, or leave what was there."""
    os.sync()  # once, which is faster than once for each file
    key = (data / SECRET_KEY).read_bytes()
    try:
        permissions.adopt(storage, draft / "files")
        (draft / SECRET_KEY).replace(data / SECRET_KEY)
        # Last: until then, the folder counts as unused.
        (draft / DATABASE).replace(data / DATABASE)
    except BaseException:
        if (draft / DATABASE).exists():
            permissions.remove_all(storage)
            write_private(data / SECRET_KEY, key)
        raise
    os.sync()


def _check_unused(data: Path) -> None:
    """Raise if the folder has anything to lose, or a portal runs there."""
    found = []
    # It has moved the database last.
    was_killed = any((data / "incoming").glob(f"{DRAFT}*/{DATABASE}"))
    # The database first: it says most.
    for path in sorted(data.iterdir(), key=lambda path: (path.name != DATABASE, path.name)):
        if path.name in {"files", "incoming"}:
            # A restore that was killed leaves a draft; a disk of its own has 'lost+found'.
            inside = [one for one in path.iterdir() if one.name != "lost+found"]
            found += [one for one in inside if not _is_left(one, was_killed=was_killed)]
        elif path.name == DATABASE:
            found += [] if _has_no_tables(path) else [path]
        elif not path.name.startswith((SECRET_KEY, "throttle.db", "activity.spool", "lost+found")):
            found.append(path)
    if found:
        raise BackupError(
            f"{data} is in use: it has {found[0]}. Stop the portal, and restore into a new folder"
            " (PORTAL_DATA), or move the content of this one away first."
        )


def _is_left(path: Path, *, was_killed: bool) -> bool:
    """Return whether a restore that was killed has left it."""
    return path.name.startswith(DRAFT) or (was_killed and path.parent.name == "files")


def _has_no_tables(database: Path) -> bool:
    if database.with_name(f"{DATABASE}-wal").exists():  # a process has it open
        return False
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


def _check_members(source: Path) -> int:
    """Check all names and types before anything is written, and return the total size."""
    size, last = 0, ""
    with archives.members(source) as members:
        for number, member in enumerate(members):
            if not _belongs(member.name, number):
                raise BackupError(f"{source} has {member.name!r} where no backup has it.")
            if not member.is_file:
                raise BackupError(f"{source} has {member.name!r}, which is not a regular file.")
            # The rows of the database are copied into a new one.
            size += member.size * (2 if member.name == DATABASE else 1)
            last = member.name
    if last != MANIFEST:
        raise BackupError(f"{source} is cut short, or not a backup: it has no manifest.")
    return size


def _belongs(name: str, number: int) -> bool:
    """Return whether the member with that number may have that name."""
    if number < len(_FIRST):
        return name == _FIRST[number]
    return name == MANIFEST or _FILE.fullmatch(name) is not None


def _extract(source: Path, draft: Path, advance: Advance) -> None:
    """Write the members, checked against the manifest."""
    (draft / "files").mkdir(0o700)
    with closing(_manifest(source)) as lines, archives.members(source) as members:
        expected = (line for line in lines if not line.missing)
        for member in members:
            if member.name == MANIFEST:
                break
            line = next(expected, None)
            if line is None or line.name != member.name:
                raise BackupError(f"{source} has {member.name}, which is not in its manifest.")
            target = draft / member.name
            target.parent.mkdir(0o700, exist_ok=True)
            with member.open() as content:
                sha256 = _write(content, target, advance)
            if sha256 != line.sha256:
                raise BackupError(f"{source} is damaged: {member.name} is not what was backed up.")
        if line := next(expected, None):
            raise BackupError(f"{source} lacks {line.name}, which is in its manifest.")
    if (length := (draft / SECRET_KEY).stat().st_size) < KEY_LENGTH:
        raise BackupError(
            f"The secret key in {source} has {length} bytes, and a key needs at least {KEY_LENGTH}."
            " Somebody changed the backup, or the key before it. Restore another backup."
        )


def _compare(source: Path, database: Path, storage: Disk) -> Restored:
    """Compare the manifest with the database, which names all files of the backup, and no others.

    Files that are missing or not what was uploaded were so when the portal was backed up.
    """
    files = missing = damaged = 0
    with closing(_manifest(source)) as lines, closing(sqlite3.connect(database)) as connection:
        others = (line for line in lines if line.name not in _FIRST)
        # Both are in the order of the keys.
        for line, stored in zip_longest(others, connection.execute(_STORED)):
            path = f"files/{storage.path(stored[0])}" if stored else None
            if line is None or (path is not None and path < line.name):
                raise BackupError(f"{source} lacks {path}, which its database names.")
            if path != line.name:
                raise BackupError(f"The backup's database does not know the file {line.name}.")
            files += not line.missing
            missing += line.missing
            damaged += not line.missing and (line.size, line.sha256) != stored[1:]
    return Restored(files, missing, damaged)


def _write(content: IO[bytes], target: Path, advance: Advance) -> str:
    sha256 = hashlib.sha256()
    with create_private(target) as file:
        while piece := content.read(PIECE):
            sha256.update(piece)
            file.write(piece)
            advance(len(piece))
    return sha256.hexdigest()


@dataclass(frozen=True)
class _Line:
    """A line of the manifest: the first has a schema, the others have names."""

    format: str = ""
    schema: str = ""
    made_at: str = ""
    name: str = ""
    size: int = 0
    sha256: str = ""
    missing: bool = False


def _manifest(source: Path) -> Generator[_Line]:
    """Yield the manifest's lines about files, if this version can restore the backup."""
    with (
        archives.members(source) as members,
        next(member for member in members if member.name == MANIFEST).open() as content,
    ):
        head = _parse(content.readline(_LONGEST_LINE))
        if head.format != FORMAT:
            raise BackupError(f"{source} has the format {head.format!r}, not {FORMAT!r}.")
        if head.schema not in revisions():
            raise BackupError(
                f"{source} has the schema {head.schema}, which this version of the portal does not"
                " know: a newer version of the portal created it, or one from before the first"
                " release. Restore it with that version."
            )
        while line := content.readline(_LONGEST_LINE):
            yield _parse(line)


def _parse(line: bytes) -> _Line:
    try:
        return _Line(**json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise BackupError("The backup's manifest cannot be read.") from error


@contextmanager
def _errors_named(source: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise BackupError(f"The database in {source} cannot be upgraded: {error.orig}.") from error
    # The library raises the latter for some headers.
    except (tarfile.TarError, sqlite3.Error, ValueError) as error:
        raise BackupError(f"{source} is damaged, or not a backup of a portal: {error}.") from error
