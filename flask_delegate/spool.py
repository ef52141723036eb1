"""A folder of generated files on disk: made once, found again, and deleted in time.

Nothing here knows Flask or HTTP. A file is called ``KEY.EXPIRES.TAG…``: what it was asked for by,
the second at which it expires, and random text, so that no name is ever used twice. While it is
being written it is ``KEY.part``, on which its writer holds a lock: one without is what a crash has
left. Whoever looks for a file, begins or finishes one, or deletes some, holds the folder's lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from .exceptions import NotGenerated

TAG = 8
"""Characters of a name's random text with which the ids of its hand-offs begin."""
_PART = ".part"
_LOCK = "lock"
_STEP = 8 * 1024 * 1024  # bytes after which a writer looks again whether there is room
_BUFFER = 1024 * 1024
_GRACE = 60  # seconds for the server to open a file that was handed off as it expired
# A file is complete when it gets its name. Servers trust the date of one that is a minute older
# than the request, which may have begun long before: a fresh one could not be resumed.
_BACKDATED = 120
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Generated:
    """A file that is complete.

    :param expires: seconds since the epoch.
    :param used: when it was handed off for the last time.
    """

    name: str
    key: str
    expires: int
    tag: str
    size: int
    used: float

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> Generated | None:
        """Return what an entry of the folder is; none for another kind."""
        key, expires, rest = (*entry.name.split("."), "", "")[:3]
        if not expires.isdigit() or len(rest) <= TAG:
            return None
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # deleted meanwhile
            return None
        tag = rest[:TAG]
        return cls(entry.name, key, int(expires), tag, status.st_size, status.st_atime)


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder.

    :param limit: bytes that all its files may have. Each writer may exceed it by up to 8 MiB.
    :param free: bytes of the file system that are to stay free.
    """

    folder: Path
    limit: int
    free: int

    def get(
        self,
        key: str,
        write: Callable[[BinaryIO], object],
        *,
        lasts: int,
        most: int | None = None,
        patience: float = 60,
    ) -> Generated:
        """Return the file for a key; write it if there is none.

        :param write: called with a binary file, which can be sought in.
        :param lasts: seconds until it expires.
        :param most: bytes that it may have.
        :param patience: seconds to wait while somebody else writes it.
        :raises NotGenerated: if there is no room, or waiting has no end.
        """
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self.folder.mkdir(exist_ok=True)
        asked, deadline = time.time_ns(), time.monotonic() + patience
        while True:
            with self._locked():
                if found := self._find(digest):
                    return found
                descriptor = self._begin(digest)
            if descriptor is not None:
                date = asked - _BACKDATED * 10**9
                fill = partial(self._fill, descriptor, write, most)
                return self._write(descriptor, digest, lasts, date, fill)
            if time.monotonic() >= deadline:
                raise NotGenerated("another request is still writing it.", "Ask again later.")
            time.sleep(_POLL)

    def files(self) -> Iterator[Generated]:
        """Yield what is complete."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            yield from filter(None, map(Generated.of, entries))

    def clean(self, idle: Mapping[str, float] | None = None) -> list[Generated]:
        """Delete what has expired, and what a crash has left; return what was complete of it.

        :param idle: tags of files that are no longer needed, and since when they have to be unused.
        """
        if not self.folder.is_dir():
            return []
        with self._locked():
            return self._clean(idle or {})

    def room(self) -> int:
        """Return how many bytes there is room for."""
        system = os.statvfs(self.folder)
        with os.scandir(self.folder) as entries:
            used = sum(_size(entry) for entry in entries)
        return min(self.limit - used, system.f_bavail * system.f_frsize - self.free)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = _open(self.folder / _LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _find(self, digest: str) -> Generated | None:
        now = time.time()
        for one in self.files():
            if one.key == digest and one.expires > now:
                path = self.folder / one.name
                # The time of its last use; that of its last change is the server's validator.
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
                return one
        return None

    def _begin(self, digest: str) -> int | None:
        """Return an open, empty, locked file, or none if somebody writes it already."""
        descriptor = _open(self.folder / f"{digest}{_PART}")
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        try:
            os.ftruncate(descriptor, 0)
            self._clean({})
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _write(
        self,
        descriptor: int,
        digest: str,
        lasts: int,
        date: int,
        fill: Callable[[], object],
    ) -> Generated:
        part = self.folder / f"{digest}{_PART}"
        try:
            fill()
            now = time.time_ns()
            os.utime(descriptor, ns=(now, date))
            size, tag = os.fstat(descriptor).st_size, secrets.token_urlsafe(TAG)[:TAG]
            expires = now // 10**9 + lasts
            name = f"{digest}.{expires}.{tag}{secrets.token_hex(12)}"
            with self._locked():
                part.rename(self.folder / name)
        except BaseException:
            with self._locked():
                part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return Generated(name, digest, expires, tag, size, now / 10**9)

    def _fill(self, descriptor: int, write: Callable[[BinaryIO], object], most: int | None) -> None:
        """Have a file written, and on the disk."""
        # The writer may close what it gets. The lock is this descriptor's, too.
        limited = _Limited(os.dup(descriptor), self, most)
        try:
            with io.BufferedRandom(limited, _BUFFER) as file:
                write(file)
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            raise NotGenerated("the disk is full.", "Delete something.") from error
        if limited.failure:  # which the writer did not pass on
            raise limited.failure

    def _clean(self, idle: Mapping[str, float]) -> list[Generated]:
        now, deleted = time.time(), []
        for one in list(self.files()):
            is_over = one.expires <= now and one.used < now - _GRACE
            if is_over or one.used < idle.get(one.tag, 0):
                (self.folder / one.name).unlink(missing_ok=True)
                deleted.append(one)
        for part in self.folder.glob(f"*{_PART}"):
            descriptor = _open(part)
            if _lock(descriptor):
                part.unlink(missing_ok=True)
            os.close(descriptor)
        return deleted


class _Limited(io.FileIO):
    """A file that asks for room as it grows."""

    def __init__(self, descriptor: int, spool: Spool, most: int | None) -> None:
        super().__init__(descriptor, "w+b")
        self._spool, self._most, self._granted = spool, most, 0
        self.failure: NotGenerated | None = None

    def write(self, data: Any, /) -> int:
        """Write, unless there is no room.

        :raises NotGenerated: if there is none.
        """
        self._reach(self.tell() + memoryview(data).nbytes)
        return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        """Change the size, unless there is no room.

        :raises NotGenerated: if there is none.
        """
        self._reach(self.tell() if size is None else size)
        return super().truncate(size)

    def _reach(self, end: int) -> None:
        if self._most is not None and end > self._most:
            reason = f"it would have more than {self._most} bytes, the limit that the view sets."
            raise self._failed(reason, "Ask for less, or raise 'limit'.")
        if end <= self._granted:
            return
        size = os.fstat(self.fileno()).st_size
        room = self._spool.room()
        if end - size > room:
            self._spool.clean()
            room = self._spool.room()
        if end - size > room:
            reason = (
                f"generated files have {self._spool.limit} bytes together, or the disk is full."
            )
            cure = "Raise DELEGATE_GENERATED_LIMIT, or wait until some expire."
            raise self._failed(reason, cure)
        self._granted = size + min(room, end - size + _STEP)

    def _failed(self, reason: str, cure: str) -> NotGenerated:
        self.failure = NotGenerated(reason, cure)
        return self.failure


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
