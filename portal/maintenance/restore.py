"""Backups are brought back: into an untouched data folder, whole or not at all."""

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
from pathlib import Path
from typing import IO

from portal.core.datafolder import locked, secret_key
from portal.storage import permissions
from portal.storage.disk import Storage, is_key

from .backup import DATABASE, FORMAT, MANIFEST, PIECE, SECRET_KEY, Advance, BackupError

DRAFT = "restore-"
"""How the name of the folder begins that a restore writes into, below ``incoming``."""

_FIRST = (DATABASE, SECRET_KEY)
_FILE = re.compile(r"files/([0-9a-f]{2})/(\1[0-9a-f]{30})", re.ASCII)
_LONGEST_LINE = 4096


def restore(source: Path, data: Path, storage: Storage, advance: Advance) -> int:
    """Restore a backup and tell how many files it had. The database's schema may be an older one.

    Sessions and one-time links are not restored: some may have been ended or used since.

    :param data: the data folder, as a first start makes it.
    :raises BackupError: if anything is wrong with the backup, or the folder is in use.
    :raises OSError: if the backup cannot be read, or something not be written.
    """
    with locked(data), _errors_named(source):
        _refuse_unless_untouched(data)
        size = _check_members(source)
        if (free := shutil.disk_usage(storage.incoming).free) < size:
            raise BackupError(
                f"Restoring needs {size} bytes, and {free} are free. Make room first."
            )
        # Below the folder that files arrive in, new ones get the group that files have.
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=storage.incoming) as name:
            draft = Path(name)
            (draft / "files").mkdir(0o700)
            keys = _extract(source, draft, advance)
            _check_database(draft / DATABASE, keys)
            os.sync()  # all of it at once, in place of each file by itself
            permissions.adopt(storage, draft / "files")
            (draft / SECRET_KEY).replace(data / SECRET_KEY)
            # Last, as the folder is an untouched one until then.
            (draft / DATABASE).replace(data / DATABASE)
            os.sync()
    return len(keys)


def schema_of(source: Path) -> str:
    """Tell the revision of a backup's schema.

    :raises BackupError: if it is not a backup.
    """
    with _errors_named(source):
        _check_members(source)
        with closing(_manifest(source)) as lines:
            return next(lines).schema


def _refuse_unless_untouched(data: Path) -> None:
    """Make sure that nothing is lost, and that no portal runs there."""
    found = []
    # The most telling first.
    for path in sorted(data.iterdir(), key=lambda path: (path.name != DATABASE, path.name)):
        if path.name in {"files", "incoming"}:
            # What an earlier restore left when it was killed is a draft; 'lost+found' comes
            # with a disk of its own.
            inside = [one for one in path.iterdir() if one.name != "lost+found"]
            found += [one for one in inside if not one.name.startswith(DRAFT)]
        elif path.name == DATABASE:
            found += [] if _has_no_tables(path) else [path]
        elif path.name != SECRET_KEY and not path.name.startswith("throttle.db"):
            found.append(path)
    if found:
        raise BackupError(
            f"{data} is in use: there is {found[0]}. Stop the portal, and restore into a new folder"
            " (PORTAL_DATA), or move what is in this one away first."
        )


def _has_no_tables(database: Path) -> bool:
    if database.with_name(f"{DATABASE}-wal").exists():  # somebody has it open
        return False
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


def _check_members(source: Path) -> int:
    """Look at all names and kinds before anything is written, and tell how many bytes there are."""
    size, last = 0, ""
    for number, member in enumerate(_members(source)):
        if not _belongs(member.name, number):
            raise BackupError(f"{source} has {member.name!r} where no backup has it.")
        if member.type != tarfile.REGTYPE or member.sparse is not None:
            raise BackupError(f"{source} has {member.name!r}, which is not a regular file.")
        size, last = size + member.size, member.name
    if last != MANIFEST:
        raise BackupError(f"{source} is cut short, or no backup: its manifest is missing.")
    return size


def _belongs(name: str, number: int) -> bool:
    """Tell whether a backup has that name there."""
    if number < len(_FIRST):
        return name == _FIRST[number]
    return name == MANIFEST or _FILE.fullmatch(name) is not None


def _extract(source: Path, draft: Path, advance: Advance) -> list[str]:
    """Write the members, each checked against the manifest's line for it; give the files' keys."""
    keys = list[str]()
    with closing(_manifest(source)) as lines, tarfile.open(source, "r:") as archive:
        next(lines)
        expected = (line for line in lines if not line.missing)
        for member in _each(archive):
            if member.name == MANIFEST:
                break
            line = next(expected, None)
            if line is None or line.name != member.name:
                raise BackupError(f"{source} has {member.name}, which is not in its manifest.")
            target = _place(draft, member.name, keys)
            if _write(_content(archive, member), target, advance) != line.sha256:
                raise BackupError(f"{source} is damaged: {member.name} is not what was backed up.")
        if line := next(expected, None):
            raise BackupError(f"{source} lacks {line.name}, which is in its manifest.")
    secret_key(draft)  # which refuses one that is of no use
    return keys


def _place(draft: Path, name: str, keys: list[str]) -> Path:
    if found := _FILE.fullmatch(name):
        keys.append(found[2])
        (draft / "files" / found[1]).mkdir(0o700, exist_ok=True)
        return draft / "files" / found[1] / found[2]
    return draft / name


def _write(content: IO[bytes], target: Path, advance: Advance) -> str:
    sha256 = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while piece := content.read(PIECE):
            sha256.update(piece)
            file.write(piece)
            advance(len(piece))
    return sha256.hexdigest()


def _check_database(path: Path, keys: list[str]) -> None:
    """Make sure that the database names the backup's files and no others; end its sessions."""
    kept = set(keys)
    with closing(sqlite3.connect(path)) as connection:
        if (found := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupError(f"The backup's database is damaged: {found}.")
        for (key,) in connection.execute("SELECT storage_key FROM entry WHERE is_file"):
            if not is_key(key):
                raise BackupError(
                    f"The backup's database has a file under an unusable key: {key!r}."
                )
            kept.discard(key)
        if kept:
            raise BackupError(f"The backup's database does not know its file {min(kept)}.")
        with connection:
            connection.execute("DELETE FROM sign_in")
            connection.execute("DELETE FROM one_time_link")


@dataclass(frozen=True)
class _Line:
    """A line of the manifest: the first one has a schema, the others have names."""

    format: str = ""
    schema: str = ""
    made_at: str = ""
    name: str = ""
    size: int = 0
    sha256: str = ""
    missing: bool = False


def _manifest(source: Path) -> Generator[_Line]:
    """Give the manifest's lines, the one about the backup first."""
    with tarfile.open(source, "r:") as archive:
        member = next(member for member in _each(archive) if member.name == MANIFEST)
        content = _content(archive, member)
        head = _parse(content.readline(_LONGEST_LINE))
        if head.format != FORMAT:
            raise BackupError(f"{source} has the format {head.format!r}; this is {FORMAT!r}.")
        yield head
        while line := content.readline(_LONGEST_LINE):
            yield _parse(line)


def _parse(line: bytes) -> _Line:
    try:
        return _Line(**json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise BackupError("The backup's manifest cannot be read.") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise BackupError(f"{member.name!r} is not a regular file.")
    return content


def _members(source: Path) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(source, "r:") as archive:
        yield from _each(archive)


def _each(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Give the members without keeping them, as the archive itself would."""
    while member := archive.next():
        archive.members.clear()  # type: ignore[attr-defined]
        yield member


@contextmanager
def _errors_named(source: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, sqlite3.Error) as error:
        raise BackupError(f"{source} is damaged, or no backup of a portal: {error}.") from error
