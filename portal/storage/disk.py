"""Stored files on disk. Nothing else opens, renames or deletes them, but permissions.py.

A file is known by its key, which says nothing about its name, owner or content.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .deferred_delete import Deletions

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ABANDONED = 24 * 60 * 60
"""Seconds without a byte after which an incoming file belongs to a process that was killed."""

_SPACE_CHECKED_EVERY = 4 * 1024**2
"""Bytes of a file after which the free space is checked again."""

_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_open_private = partial(os.open, mode=0o600)


class StorageFullError(Exception):
    """The disk has no room for a file."""


class ContentLostError(Exception):
    """A file of the database is not on disk, or not in its size."""


class OverAllowanceError(Exception):
    """More arrives than is allowed."""


class Allowance:
    """Bytes that may arrive, in several files together."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> None:
        """Count bytes that arrive, or raise :exc:`OverAllowanceError`."""
        if size > self.left:
            raise OverAllowanceError
        self.left -= size


class IncomingFile(io.FileIO):
    """A file on its way in: counted and hashed while it is written, and not read back.

    :param reserve: bytes that are to stay free on the disk.
    :param allowance: what it may have; none: as much as there is room for.
    """

    def __init__(
        self, path: Path, reserve: int = 0, allowance: Allowance | None = None, mode: str = "xb"
    ) -> None:
        super().__init__(path, mode, opener=_open_private)
        self.path = path
        self.size = 0
        self._reserve = reserve
        self._allowance = allowance
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it.

        :raises OverAllowanceError: if it is more than was allowed.
        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        rest = memoryview(data).cast("B")
        length = len(rest)
        if self._allowance:
            self._allowance.take(length)
        if self.size // _SPACE_CHECKED_EVERY < (self.size + length) // _SPACE_CHECKED_EVERY:
            check_space(self.fileno(), self._reserve)
            # Start to write it to the disk: else the end of a large upload would wait for it.
            os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._hash.update(rest)
        with naming_full_disk():
            while rest:
                rest = rest[super().write(rest) :]
        self.size += length
        return length

    def discard(self) -> None:
        """Close the file, and delete it unless it was kept."""
        self.close()
        self.path.unlink(missing_ok=True)


class Storage:
    """Files on a local disk.

    :param incoming: where they arrive; on the same file system.
    :param reserve: bytes that are to stay free there.
    """

    def __init__(self, files: Path, incoming: Path, reserve: int = 0) -> None:
        self.files = files
        self.incoming = incoming
        self._reserve = reserve
        self.file_mode, self.folder_mode = 0o600, 0o700
        self.deletions = Deletions(files, incoming / "deleted")
        self.unclaimed = files / "unclaimed"

    def prepare(self) -> None:
        """Create the folders, and delete what killed processes left behind.

        Where the folder of all files is readable for its group, each file will be, too: so a web
        server that runs as another user can read them.
        """
        for folder in (self.files, self.incoming):
            folder.mkdir(mode=0o700, exist_ok=True)
        if self.files.stat().st_mode & stat.S_IRGRP:
            self.file_mode, self.folder_mode = 0o640, 0o750
        self.remove_abandoned()

    def remove_abandoned(self) -> int:
        """Delete uploads that killed processes left behind, and return how many."""
        count = 0
        for path in self.incoming.iterdir():
            # Another process may finish with it now, and a start must not fail for litter.
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode) and is_abandoned(path):
                    path.unlink()
                    count += 1
        return count

    def receive(self, allowance: Allowance | None = None) -> IncomingFile:
        """Open a file to write an upload into.

        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        check_space(self.incoming, self._reserve)
        with naming_full_disk():
            return IncomingFile(self.incoming / secrets.token_hex(16), self._reserve, allowance)

    def keep(self, incoming: IncomingFile) -> str:
        """Keep a complete file, and return its key. After a crash it is there or not.

        :raises StorageFullError: if the disk is full.
        """
        (key,) = self.keep_all([incoming])
        return key

    def keep_all(self, incoming: Sequence[IncomingFile]) -> Sequence[str]:
        """Keep complete files, and return their keys. After a crash, some may be there.

        :raises StorageFullError: if the disk is full; none is kept.
        """
        start = secrets.token_hex(1)  # one folder for all of them, which is written once
        keys = [start + secrets.token_hex(15) for _ in incoming]
        targets = [self.files / self.path(key) for key in keys]
        with naming_full_disk():
            for file in incoming:
                os.fchmod(file.fileno(), self.file_mode)
                os.fsync(file.fileno())
            folder = targets[0].parent
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                folder.chmod(self.folder_mode)  # the umask would take the group's rights
                sync_folder(self.files)
            try:
                for file, target in zip(incoming, targets, strict=True):
                    file.path.rename(target)
                sync_folder(folder)
            except OSError:
                for target in targets:
                    target.unlink(missing_ok=True)
                raise
            # Not before: it may be locked until it is closed.
            for file in incoming:
                file.close()
        return keys

    def holds(self, key: str, size: int) -> bool:
        """Return whether a file is there, in the size that it was kept with."""
        try:
            return (self.files / self.path(key)).stat().st_size == size
        except OSError:
            return False

    def delete(self, key: str) -> None:
        """Delete a file, if it is there. While a backup reads, that is put off until its end."""
        self.deletions.delete(self.files / self.path(key))
        # A check may have moved it meanwhile, as no row claims it any more.
        (self.unclaimed / key).unlink(missing_ok=True)

    def find(self, key: str) -> os.stat_result | None:
        """Return what is known of a file on disk; none if there is no regular file."""
        try:
            found = (self.files / self.path(key)).lstat()
        except FileNotFoundError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def all_keys(self) -> Iterator[str]:
        """Yield the key of each file that is kept, in order."""
        for folder in sorted(self.files.glob("[0-9a-f][0-9a-f]/")):
            yield from sorted(path.name for path in folder.iterdir() if is_key(path.name))

    def open(self, key: str) -> io.BufferedReader:
        """Open a file to read it, even one that was put aside.

        :raises OSError: if it is not there, or not a regular file.
        """
        try:
            return _open_regular(self.files / self.path(key))
        except FileNotFoundError:
            return _open_regular(self.deletions.aside / key)

    def path(self, key: str) -> str:
        """Return where a file is, relative to the folder of all files."""
        return f"{key[:2]}/{key}"

    def check(self) -> None:
        """Check that files can be received and kept, by trying.

        :raises OSError: if they cannot.
        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        check_space(self.incoming, self._reserve)
        for folder in (self.files, self.incoming):
            with naming_full_disk(), tempfile.TemporaryFile(dir=folder, buffering=0) as file:
                file.write(b"x")


def is_abandoned(path: Path, after: float = ABANDONED) -> bool:
    """Return whether nobody has written a file or folder for so many seconds.

    What a clock that was ahead has written counts from now.

    :raises FileNotFoundError: if it is not there.
    """
    age = time.time() - path.lstat().st_mtime
    if age < 0:
        os.utime(path, follow_symlinks=False)
    return age > after


def is_key(name: str) -> bool:
    """Return whether a name could be a key."""
    return _KEY.fullmatch(name) is not None


def _open_regular(path: Path) -> io.BufferedReader:
    """Open what is neither a link nor a pipe, which could block the reader forever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def check_space(path: Path | int, reserve: int) -> None:
    """Keep room for the database: on a full disk it could not even record a deletion.

    :raises StorageFullError: if less than the reserve is free.
    """
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    if free < reserve:
        raise StorageFullError(f"{free} bytes are free, {reserve} are kept in reserve")


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming_full_disk() -> Iterator[None]:
    """Raise :exc:`StorageFullError` where the disk has no room for bytes, or for one more name."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError from error
        raise
