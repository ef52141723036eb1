"""Stored files on disk. Nothing else opens, renames or deletes them, but permissions.py."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .base import Kept, Storage
from .deferred_delete import Deletions
from .incoming import Incoming, IncomingFile, is_key, naming_full_disk, sync_folder


class Disk(Storage):
    """Files on a local disk.

    :param incoming: where they arrive; on the same file system.
    :param reserve: bytes that are to stay free there.
    """

    def __init__(self, files: Path, incoming: Path, reserve: int = 0) -> None:
        super().__init__(Incoming(incoming, reserve))
        self.files = files
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

    def keep_all(self, incoming: Sequence[IncomingFile]) -> Sequence[str]:
        """See :class:`Storage`."""
        start = secrets.token_hex(1)  # one folder for all of them, which is written once
        keys = [start + secrets.token_hex(15) for _ in incoming]
        targets = [self.files / self.path(key) for key in keys]
        with naming_full_disk():
            for file in incoming:
                os.fchmod(file.fileno(), self.file_mode)
                os.fsync(file.fileno())
            folder = self._folder_for(targets[0])
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

    def put(self, key: str, file: IncomingFile) -> None:
        """Keep a complete file that comes from elsewhere, under the key that it has.

        :raises StorageFullError: if there is no room; it is not kept.
        """
        target = self.files / self.path(key)
        with naming_full_disk():
            os.fchmod(file.fileno(), self.file_mode)
            os.fsync(file.fileno())
            folder = self._folder_for(target)
            file.path.rename(target)
            sync_folder(folder)

    def _folder_for(self, target: Path) -> Path:
        """Return the folder that a file comes into, which is there by now."""
        folder = target.parent
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(self.folder_mode)  # the umask would take the group's rights
            sync_folder(self.files)
        return folder

    def mark(self, key: str, *, has_left: bool) -> None:
        """Note in the file's own mode whether it is to be had elsewhere, if it is there.

        The sticky bit means nothing for files, and comes with the ``stat`` that finds them.
        """
        with suppress(FileNotFoundError):
            mode = self.file_mode | stat.S_ISVTX if has_left else self.file_mode
            (self.files / self.path(key)).chmod(mode)

    def left_at(self, key: str) -> float | None:
        """Return when a file was marked as one that is elsewhere; none if it is not so."""
        found = self._found(key)
        return found.st_ctime if found and found.st_mode & stat.S_ISVTX else None

    def stays(self, key: str) -> bool:
        """Return whether a file is there, and not marked as one that is elsewhere."""
        found = self._found(key)
        return found is not None and not found.st_mode & stat.S_ISVTX

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

    def finish_deletions(self) -> int:
        """Delete what was put aside for a backup, unless one still reads."""
        return self.deletions.finish()

    def find(self, key: str) -> Kept | None:
        """See :class:`Storage`."""
        # The change time is that of the last rename or change of permissions; the first byte of an
        # upload may have arrived long before.
        found = self._found(key)
        return Kept(found.st_size, found.st_ctime) if found else None

    def _found(self, key: str) -> os.stat_result | None:
        """Return what the file system says of a file; none if there is no regular file."""
        try:
            found = (self.files / self.path(key)).lstat()
        except FileNotFoundError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def all_keys(self, unlisted: set[str] | None = None) -> Iterator[str]:
        """See :class:`Storage`."""
        for folder in sorted(self.files.glob("[0-9a-f][0-9a-f]/")):
            try:
                names = sorted(path.name for path in folder.iterdir())
            except PermissionError:
                if unlisted is None:
                    raise
                unlisted.add(folder.name)
            else:
                yield from filter(is_key, names)

    def open(self, key: str) -> io.BufferedReader:
        """Open a file to read it, even one that was put aside.

        :raises OSError: if it is not there, or not a regular file.
        """
        try:
            return _open_regular(self.files / self.path(key))
        except FileNotFoundError:
            return _open_regular(self.deletions.aside / key)

    def set_aside(self, key: str) -> str:
        """See :class:`Storage`."""
        self.unclaimed.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):  # its deletion was under way
            (self.files / self.path(key)).rename(self.unclaimed / key)
        return f"moved to {self.unclaimed}"

    def open_aside(self, key: str) -> io.BufferedReader:
        """See :class:`Storage`."""
        return _open_regular(self.unclaimed / key)

    def claim(self, key: str) -> str:
        """See :class:`Storage`."""
        target = self.files / self.path(key)
        target.parent.mkdir(mode=self.folder_mode, exist_ok=True)
        (self.unclaimed / key).rename(target)
        return f"moved back from {self.unclaimed}"

    def check(self) -> None:
        """See :class:`Storage`."""
        self.arriving.check()
        with naming_full_disk(), tempfile.TemporaryFile(dir=self.files, buffering=0) as file:
            file.write(b"x")


def _open_regular(path: Path) -> io.BufferedReader:
    """Open what is neither a link nor a pipe, which could block the reader forever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, or a socket
            raise _not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb")


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))
