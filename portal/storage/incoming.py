"""Files on their way in, on a local disk: counted, hashed, and kept elsewhere when complete."""

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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


class Incoming:
    """The folder that files arrive in.

    :param folder: where it is.
    :param reserve: bytes that are to stay free there.
    """

    def __init__(self, folder: Path, reserve: int) -> None:
        self.folder = folder
        self._reserve = reserve

    def remove_abandoned(self) -> int:
        """Delete uploads that killed processes left behind, and return how many."""
        count = 0
        for path in self.folder.iterdir():
            # Another process may finish with it now, and a start must not fail for litter.
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode) and is_abandoned(path):
                    path.unlink()
                    count += 1
        return count

    def receive(self, allowance: Allowance | None = None, name: str | None = None) -> IncomingFile:
        """Open a file to write an upload into.

        :param name: what the file is called, whose only writer this is; none: as no other one.
        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        check_space(self.folder, self._reserve)
        with naming_full_disk():
            path = self.folder / (name or secrets.token_hex(16))
            if name:  # left by a process that was killed
                path.unlink(missing_ok=True)
            return IncomingFile(path, self._reserve, allowance)

    def check(self) -> None:
        """Check that files can be received, by trying.

        :raises OSError: if they cannot.
        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        check_space(self.folder, self._reserve)
        with naming_full_disk(), tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
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
