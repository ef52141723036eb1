"""The one door to stored files on disk. Nothing else opens, renames or deletes them.

A file is known by its key, which says nothing about its name, owner or content.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ABANDONED = 24 * 60 * 60
"""Seconds without a byte after which an incoming file belongs to a process that was killed."""


_SPACE_CHECKED_EVERY = 4 * 1024**2
"""Bytes of a file after which the free space is looked at again."""


class StorageFullError(Exception):
    """There is no room for a file."""


class ContentLostError(Exception):
    """A file is in the database, but not on disk, or not in the size that it has there."""


class IncomingFile(io.FileIO):
    """A file on its way in: counted and hashed while it is written, and not read back.

    :param path: where to write; nothing may be there yet.
    :param reserve: bytes that are to stay free on the disk.
    """

    def __init__(self, path: Path, reserve: int = 0) -> None:
        super().__init__(path, "xb", opener=_open_private)
        self.path = path
        self.size = 0
        self._reserve = reserve
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it.

        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        rest = memoryview(data).cast("B")
        length = len(rest)
        if self.size // _SPACE_CHECKED_EVERY < (self.size + length) // _SPACE_CHECKED_EVERY:
            _check_space(self.fileno(), self._reserve)
        self._hash.update(rest)
        with _no_room_named():
            while rest:
                rest = rest[super().write(rest) :]
        self.size += length
        return length

    def discard(self) -> None:
        """Close the file, and remove it unless it was kept."""
        self.close()
        self.path.unlink(missing_ok=True)


class Storage:
    """Files on a local disk.

    :param files: where they are kept.
    :param incoming: where they arrive; on the same file system.
    :param reserve: bytes that are to stay free there.
    """

    def __init__(self, files: Path, incoming: Path, reserve: int = 0) -> None:
        self.files = files
        self.incoming = incoming
        self._reserve = reserve
        self._group_reads = False

    def prepare(self) -> None:
        """Make the folders, and remove what killed processes left behind.

        Where the folder of all files is readable for its group, each file will be, too: that is how
        a web server reads them that is another user.
        """
        for folder in (self.files, self.incoming):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._group_reads = bool(self.files.stat().st_mode & stat.S_IRGRP)
        for path in self.incoming.iterdir():
            # Another process may finish with it just now; and a start must not fail for litter.
            with suppress(OSError):
                _remove_abandoned(path)

    def receive(self) -> IncomingFile:
        """Open a file to write an upload into.

        :raises StorageFullError: if the disk is full, or its reserve is reached.
        """
        _check_space(self.incoming, self._reserve)
        with _no_room_named():
            return IncomingFile(self.incoming / secrets.token_hex(16), self._reserve)

    def keep(self, incoming: IncomingFile) -> str:
        """Keep a file that is complete, and give its key. After a crash it is there or not.

        :raises StorageFullError: if the disk is full.
        """
        key = secrets.token_hex(16)
        target = self.files / self.path(key)
        with _no_room_named():
            os.fchmod(incoming.fileno(), 0o640 if self._group_reads else 0o600)
            os.fsync(incoming.fileno())
            incoming.close()
            self._make_folder(target.parent)
            try:
                incoming.path.rename(target)
                _sync_folder(target.parent)
                _sync_folder(self.files)
            except OSError:
                target.unlink(missing_ok=True)
                raise
        return key

    def _make_folder(self, folder: Path) -> None:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self._group_reads:
                folder.chmod(0o750)

    def holds(self, key: str, size: int) -> bool:
        """Tell whether a file is there, in the size that it was kept with."""
        try:
            return (self.files / self.path(key)).stat().st_size == size
        except OSError:
            return False

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""
        (self.files / self.path(key)).unlink(missing_ok=True)

    def path(self, key: str) -> str:
        """Tell where a file is, relative to the folder of all files."""
        return f"{key[:2]}/{key}"

    def is_writable(self) -> bool:
        """Tell whether files can be received and kept, by trying."""
        try:
            for folder in (self.files, self.incoming):
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError:
            return False
        return True


def _remove_abandoned(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > _ABANDONED:
        path.unlink()


def _check_space(path: Path | int, reserve: int) -> None:
    """Keep room for the database: on a full disk it could not even note that a file is deleted."""
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    if free < reserve:
        raise StorageFullError(f"{free} bytes are free, {reserve} are kept in reserve")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _no_room_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError from error
        raise
