"""Backups: the database, the files and the secret key in one archive, while the portal runs.

Stored files never change, they are only deleted, and a backup postpones deletions. So the files
that a snapshot of the database names can be read at any time after it.

See :mod:`.archives` for what a backup consists of.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import click
from flask import current_app

from portal.core.datafolder import create_private, locked
from portal.core.models import now
from portal.core.references import name_or_reference
from portal.storage.base import Storage
from portal.storage.disk import Disk
from portal.storage.incoming import is_abandoned, sync_folder

from .archives import DATABASE, MANIFEST, SECRET_KEY, Advance, Folder, Tar, Uploaded, Writer

FORMAT = "portal backup 1"

_STORED = (
    "SELECT storage_key, size, sha256, public_id, entry.name, account.name FROM entry"
    " LEFT JOIN account ON account.id = owner_id WHERE is_file ORDER BY storage_key"
)
_LONGEST_LINE = 256
"""Bytes of a file's line in the manifest, and about the same in its header, at most."""

BLOCK = 512
"""Bytes of a folder's entry and of a file's line in the manifest, about."""
DRAFT = ".portal-backup-"
"""The prefix of the folder beside the target that a backup writes to."""
_YOUNG = 60
"""Seconds in which a draft may not be locked yet."""


class BackupError(click.ClickException):
    """A backup cannot be created or restored. A command prints the message alone."""


@dataclass
class Report:
    """What a backup holds: the number of files, its bytes, and a line for each damaged file."""

    files: int = 0
    size: int = 0
    damaged: list[str] = field(default_factory=list)


def space_needed(database: Path) -> tuple[int, int]:
    """Return the bytes of all files, and the bytes that a backup needs on its disk."""
    with closing(read_only(database)) as connection:
        count, size = connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM entry WHERE is_file"
        ).fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    each = 2 * tarfile.BLOCKSIZE + 2 * _LONGEST_LINE
    # The snapshot, and its copy in the archive.
    return size, size + count * each + 2 * pages * page + 2 * tarfile.RECORDSIZE


def check_target(target: Path, data: Path, needed: int) -> int:
    """Return the free bytes on the target's disk; raise BackupError if it cannot be written."""
    if os.path.lexists(target):
        raise BackupError(f"{target} already exists. Choose another name, or move it away.")
    if not target.parent.is_dir():
        raise BackupError(f"There is no folder {target.parent}. Create it first.")
    if target.resolve().is_relative_to(data.resolve()):
        raise BackupError(
            f"{target} is inside the data folder. Choose a path outside, best on another disk."
        )
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise BackupError(
            f"The backup needs {needed} bytes, and {target.parent} has {free} free."
            " Free some space, or choose another disk."
        )
    return free


def on_disk(storage: Storage) -> Disk:
    """Return the storage, if a backup can hold what it has.

    :raises BackupError: if the files lie in a bucket.
    """
    if not isinstance(storage, Disk):
        raise BackupError(
            "The files lie in a bucket (PORTAL_STORE), which this command does not copy. Enable"
            " the bucket's versioning, and back up the database first and the bucket after it."
        )
    return storage


def create(
    target: Path,
    data: Path,
    storage: Storage,
    schema: str,
    advance: Advance,
    *,
    as_folder: bool = False,
    earlier: Path | None = None,
) -> Report:
    """Write a backup of a data folder, whose database has that revision of the schema.

    :param as_folder: whether it is to be a folder, and no tar.
    :param earlier: a backup that is a folder, whose content this one shares.
    :raises BackupError: if another backup is in progress, or the folder cannot be written.
    :raises OSError: if anything but a file cannot be read, or the backup cannot be written.
    """
    storage = on_disk(storage)
    try:
        with (
            storage.deletions.put_off(),
            _draft_in(target.parent) as draft,
            locked(draft),
        ):
            _remove_killed(target.parent)
            _snapshot(data / DATABASE, draft / DATABASE)
            with create_private(draft / MANIFEST) as manifest, ExitStack() as stack:
                made = draft / ("backup" if as_folder else "backup.tar")
                archive: Writer
                if as_folder:
                    archive = Folder(made, earlier, manifest, advance)
                else:
                    file = stack.enter_context(create_private(made))
                    archive = Tar(file, manifest, advance)
                report = _write(draft, data, storage, schema, archive)
                _end(archive, manifest)
            if os.path.lexists(target):
                raise BackupError(f"Somebody else created {target} meanwhile. Choose another name.")
            made.rename(target)
            sync_folder(target.parent)
    except sqlite3.Error as error:
        raise BackupError(f"The database cannot be read: {error}.") from error
    except TimeoutError as error:
        raise BackupError("Another backup is in progress. Wait until it ends.") from error
    report.size = archive.size
    return report


@contextmanager
def _draft_in(folder: Path) -> Iterator[Path]:
    """Create a folder for the length of the block; raise BackupError if nothing can be created."""
    try:
        draft = tempfile.TemporaryDirectory(prefix=DRAFT, dir=folder)
    except OSError as error:
        raise BackupError(
            f"User id {os.geteuid()} cannot write to {folder.absolute()}: {error.strerror}. Choose"
            " another folder, or change the owner of this one."
        ) from error
    with draft as name:
        yield Path(name)


def _remove_killed(folder: Path) -> None:
    """Delete the drafts of backups that were killed; those that go on are locked."""
    for left in folder.glob(f"{DRAFT}*"):
        with suppress(OSError):
            if is_abandoned(left, _YOUNG):
                with locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(left)


def _snapshot(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment, whoever writes to it meanwhile."""
    target.touch(0o600)
    with closing(read_only(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)  # in one step: several would start again after each write
        # One file that needs no journal beside it.
        copy.execute("PRAGMA journal_mode = DELETE")


def _write(draft: Path, data: Path, storage: Disk, schema: str, archive: Writer) -> Report:
    report = Report()
    with closing(read_only(draft / DATABASE)) as snapshot:
        archive.note(format=FORMAT, schema=schema, made_at=now().isoformat(timespec="seconds"))
        if (found := snapshot.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            report.damaged.append(f"the database: {found}")
        key = current_app.config["SECRET_KEY_FILE"] or data / SECRET_KEY
        for name, first in ((DATABASE, draft / DATABASE), (SECRET_KEY, Path(key))):
            with first.open("rb") as source:
                archive.add(name, source)
        for key, size, sha256, public_id, name, owner in snapshot.execute(_STORED):
            report.files += 1
            path = f"files/{storage.path(key)}"
            if problem := _add_stored(archive, storage, key, path, (size, sha256)):
                named = name_or_reference(public_id, name)
                report.damaged.append(f"{named!r} of {owner!r}: {problem} ({path})")
    return report


def _end(archive: Writer, manifest: BinaryIO) -> None:
    manifest.flush()
    manifest.seek(0)
    archive.add(MANIFEST, manifest)
    archive.close()


def _add_stored(
    archive: Writer, storage: Disk, key: str, name: str, uploaded: Uploaded
) -> str | None:
    """Add a file as it is, or as an earlier backup has it, and return what is wrong with it."""
    try:
        file = storage.open(key)
    except OSError as error:
        if not archive.add_earlier(name, uploaded):
            archive.note(name=name, missing=True)
        return f"cannot be read: {error.strerror}"
    with file:
        # What is left of a damaged file may still be of use, so it is in the backup.
        return None if archive.add(name, file, uploaded) == uploaded else "is not what was uploaded"


def read_only(path: Path) -> sqlite3.Connection:
    """Open a database that others may write to meanwhile."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
