"""What has arrived of unfinished uploads, on disk; and where several hosts need it, in a bucket.

Each host writes into a file of its own. What it acknowledges is copied to a mirror first, and
another host fetches from there what its file lacks.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from flask import current_app

from .base import StoreAwayError
from .incoming import (
    Allowance,
    IncomingFile,
    check_space,
    is_abandoned,
    is_key,
    naming_full_disk,
    sync_folder,
)

if TYPE_CHECKING:
    from hashlib import _Hash

logger = logging.getLogger(__name__)

_PATIENCE = 0.2
"""Seconds for another request: one that only asks how much is there is done by then."""
_TRUSTED = "user.acknowledged"
_TRUSTED_EVERY = 16 * 1024**2
"""Bytes that are fetched again, at most, where the process was killed meanwhile."""
_MOST_JOINED = 64 * 1024
"""Bytes of a piece that takes in those before it."""
_MOST_HASHES = 256
_State = tuple[int, int, int]
_hashes: OrderedDict[Path, tuple[_State, _Hash]] = OrderedDict()
"""The hashes of the parts that this process added to last, and what they were like then."""


class PartLockedError(Exception):
    """Another request is adding to it."""


class PartFile(IncomingFile):
    """What is there of an upload, to add to; locked until it is closed.

    :param length: bytes that it will have in all; more cannot be written.
    :param mirror: where other hosts find what is acknowledged, if there are any.
    :raises FileNotFoundError: if it is not there any more.
    :raises PartLockedError: if another request has it open.
    """

    def __init__(self, path: Path, length: int, reserve: int, mirror: Mirror | None = None) -> None:
        super().__init__(path, reserve, mode="r+b")
        self._mirror, self._key = mirror, path.name
        self._pieces: list[Piece] = []  # what was acknowledged, in the mirror
        self._recorded = 0  # how many of them the database has
        self._added: list[Piece] = []  # what came since, in the mirror
        self.acknowledged = 0
        self._is_hashed = False
        try:
            self._lock()
        except BaseException:
            self.close()
            raise
        self.size = self.seek(0, os.SEEK_END)
        self._length = length
        self._allowance = Allowance(length - self.size)
        # What came in another request was hashed there.
        state, known = _hashes.pop(self.path, (None, self._hash))
        if state == self._state():
            self._hash = known
        self._is_hashed = state == self._state() or self.size == 0

    @property
    def sha256(self) -> str:
        """The hash of all of it, in hexadecimal; read again if another process took a part."""
        if not self._is_hashed:
            with self.path.open("rb") as file:
                self._hash = hashlib.file_digest(file, hashlib.sha256)
            self._is_hashed = True
        return super().sha256

    def close(self) -> None:
        """Close it, and remember its hash for the next piece."""
        if not self.closed and self.size and self._is_hashed:
            self.flush()
            _hashes[self.path] = self._state(), self._hash
            while len(_hashes) > _MOST_HASHES:
                with suppress(KeyError):  # another thread was faster
                    _hashes.popitem(last=False)
        super().close()

    def _state(self) -> _State:
        """Return what tells that another process has not written to the file since."""
        found = os.fstat(self.fileno())
        return found.st_ino, found.st_size, found.st_mtime_ns

    def cut(self, size: int) -> None:
        """Cut off what was written after so many bytes, if there is any."""
        if size >= self.size:
            return
        self._allowance = Allowance(self._length - size)
        self.truncate(size)
        self.size = self.seek(size)
        self._is_hashed = size == 0
        self._hash = hashlib.sha256()
        self._added = []

    def settle(self, acknowledged: int, pieces: Sequence[Piece] = ()) -> None:
        """Have it hold what was acknowledged: cut off what is more, fetch what is missing.

        Without a mirror less stays, where some of it is lost.

        :param pieces: of which it consists, where there is a mirror.
        :raises StoreAwayError: if the mirror does not have it, or does not answer.
        """
        if self._mirror is None:
            # What another host acknowledged is not here, where there was a mirror before.
            trusted = self._trusted(unknown=acknowledged)
            self.cut(min(acknowledged, trusted))
            return
        self._pieces, self._recorded = list(pieces), len(pieces)
        if not pieces and acknowledged:
            self._pieces = list(self._mirror.listed(self._key, acknowledged))
            if not self._pieces and self.size >= acknowledged:
                # It began before there was a mirror, so that all of it is here.
                self.cut(acknowledged)
                self._sync_fetched()
                return
        # What this host has not acknowledged itself may be what a power cut has left of it.
        self.cut(min(acknowledged, self._trusted(unknown=0)))
        if [0, *(piece.end for piece in self._pieces)] != [
            *(piece.start for piece in self._pieces),
            acknowledged,
        ]:
            raise StoreAwayError(f"no pieces make up the upload {self._key}")
        self.acknowledged = self.size
        try:
            for piece in self._pieces:
                if piece.end > self.size:
                    self.write(self._mirror.fetch(self._key, piece)[self.size - piece.start :])
                if self.size - self.acknowledged >= _TRUSTED_EVERY:
                    self._sync_fetched()
        finally:  # where that breaks off, another request goes on from there
            self._sync_fetched()

    def _sync_fetched(self) -> None:
        with naming_full_disk():
            os.fdatasync(self.fileno())
        self.acknowledged = self.size
        self._trust(self.size)

    @property
    def unrecorded(self) -> Sequence[Piece]:
        """The pieces that the database is to have once what is here is acknowledged.

        They take the place of those that begin with the first of them, or later.
        """
        return [*self._unchanged(self._recorded), *self._added]

    def acknowledge(self) -> None:
        """Have this host trust what it holds, which is acknowledged by now."""
        if self._mirror:
            self._pieces = [*self._unchanged(), *self._added]
            self._recorded, self._added = len(self._pieces), []
            self._trust(self.size)
        self.acknowledged = self.size

    def sync(self) -> int:
        """Write what has arrived through to the disk and the mirror; return how much that is.

        :raises StoreAwayError: if the mirror does not take it.
        """
        if self._mirror is None:
            # Now, so that it outlives a power cut as the bytes do: the database tells what was
            # acknowledged, and what this host has never trusted would be cut off. There may be
            # a mirror when it goes on.
            self._trust(self.size)
        with naming_full_disk():
            os.fsync(self.fileno())  # also for what it trusts
        if self._mirror and self.size > self._mirrored:
            new = self._mirror.put(self._key, self.fileno(), self._first_to_put(), self.size)
            self._added = list(new)
        return self.size

    def _first_to_put(self) -> int:
        """Return where the next piece begins.

        It takes in pieces before it that are no larger, up to a limit: another host would fetch
        very many small ones one by one.
        """
        start = self._pieces[-1].end if self._pieces else 0
        for piece in reversed(self._pieces):
            is_small = piece.end - piece.start <= self.size - start
            if not is_small or self.size - piece.start > _MOST_JOINED:
                break
            start = piece.start
        return start

    def _unchanged(self, since: int = 0) -> list[Piece]:
        """Return the acknowledged pieces from one on, but those of which new ones took the place.

        :param since: its number.
        """
        end = self._added[0].start if self._added else self.acknowledged
        return [piece for piece in self._pieces[since:] if piece.end <= end]

    @property
    def _mirrored(self) -> int:
        known = self._added or self._pieces
        return known[-1].end if known else 0

    def _trusted(self, unknown: int) -> int:
        """Return how much of the file is what was acknowledged.

        :param unknown: what to return if nobody can tell.
        """
        try:
            return int(os.getxattr(self.fileno(), _TRUSTED))
        except OSError:
            return unknown

    def _trust(self, size: int) -> None:
        try:
            os.setxattr(self.fileno(), _TRUSTED, str(size).encode())
        except OSError:  # a file system without such attributes, or without room for it
            with suppress(OSError):
                os.removexattr(self.fileno(), _TRUSTED)

    def _try_to_lock(self) -> bool:
        try:
            fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self._try_to_lock():
            if time.monotonic() > deadline:
                raise PartLockedError
            time.sleep(_PATIENCE / 20)
        # It may have been removed after it was opened.
        if not os.path.samestat(os.fstat(self.fileno()), self.path.stat()):
            raise FileNotFoundError(self.path)


def current_parts() -> Parts:
    """Return the application's unfinished uploads."""
    return cast("Parts", current_app.extensions["portal.parts"])


class Piece(NamedTuple):
    """A piece of an upload, in a mirror.

    :param nonce: tells it from others of the same place, which nobody may have acknowledged.
    """

    start: int
    end: int
    nonce: str


class Mirror(Protocol):
    """Where hosts find what others have acknowledged of an upload."""

    def put(self, key: str, descriptor: int, start: int, end: int) -> Iterator[Piece]:
        """Store a part of an open file, whose name may be gone, and yield its pieces.

        They count when the database has them.

        :raises StoreAwayError: if it cannot be stored.
        """

    def listed(self, key: str, acknowledged: int) -> Sequence[Piece]:
        """Return the pieces that a host with the schema 0006 has listed; none if it has not.

        :raises StoreAwayError: if the store does not answer.
        """

    def fetch(self, key: str, piece: Piece) -> bytes:
        """Return the content of a piece.

        :raises StoreAwayError: if the store does not answer.
        """

    def forget(self, key: str) -> None:
        """Delete all that there is of an upload.

        :raises StoreAwayError: if the store does not answer.
        """

    def all_uploads(self) -> Iterator[str]:
        """Yield the keys of uploads of which there is something."""


class Parts:
    """The folder of unfinished uploads, below the one where others arrive.

    :param reserve: bytes that are to stay free on the disk.
    :param mirror: where other hosts find what is acknowledged, if there are any.
    """

    def __init__(self, incoming: Path, reserve: int, mirror: Mirror | None = None) -> None:
        self._mirror = mirror
        self._incoming = incoming
        self._folder = incoming / "parts"
        self._reserve = reserve

    def create(self, length: int) -> str:
        """Create an upload of so many bytes that survives a power cut, and return its key.

        :raises StorageFullError: if the disk has no room for it.
        """
        check_space(self._incoming, self._reserve + length)
        key = secrets.token_hex(16)
        with naming_full_disk():
            if not self._folder.exists():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._incoming)
            (self._folder / key).touch(mode=0o600, exist_ok=False)
            sync_folder(self._folder)
        return key

    def open(self, key: str, length: int) -> PartFile:
        """Open an upload to add to it.

        :raises FileNotFoundError: if it is not there.
        :raises PartLockedError: if another request has it open.
        """
        return PartFile(self._folder / key, length, self._reserve, self._mirror)

    def resume(self, key: str, length: int) -> PartFile:
        """Open an upload to add to it, also one that began at another host: see :meth:`open`.

        :meth:`PartFile.settle` fetches what that has.
        """
        if self._mirror and not (self._folder / key).exists():
            if not self._incoming.is_dir():  # such as a disk that is not mounted
                raise StoreAwayError(f"there is no folder {self._incoming}")
            with naming_full_disk():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                (self._folder / key).touch(mode=0o600)
        return self.open(key, length)

    @property
    def are_shared(self) -> bool:
        """Whether other hosts may add to the same uploads."""
        return self._mirror is not None

    def take_over(self, part: PartFile) -> None:
        """Have a store take over what is complete; it stays here until it is removed."""
        copy = self._incoming / secrets.token_hex(16)
        with naming_full_disk():
            os.link(part.path, copy)
        part.path = copy

    def remove(self, key: str) -> None:
        """Delete an upload, if it is there and nobody adds to it.

        :raises PartLockedError: if a request has it open.
        """
        with suppress(FileNotFoundError), self.open(key, 0) as part:
            part.path.unlink(missing_ok=True)

    @contextmanager
    def unused(self, key: str) -> Iterator[None]:
        """Keep requests from adding to an upload meanwhile, if it is there.

        :raises PartLockedError: if a request has it open.
        """
        try:
            part = self.open(key, 0)
        except FileNotFoundError:
            yield
        else:
            with part:
                yield

    def drop(self, key: str) -> None:
        """Delete what this host has of an upload, even one that a request adds to."""
        (self._folder / key).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Delete an upload, even one that a request adds to: it goes with that request's end.

        What cannot be deleted from the mirror is out of reach, and is deleted by a clean-up.
        """
        self.drop(key)
        if self._mirror:
            try:
                self._mirror.forget(key)
            except StoreAwayError:
                logger.exception("no longer needed, but left in the store: %s", key)

    def abandoned(self) -> Iterator[str]:
        """Yield the keys of uploads that nobody added to for a day, or that are in the mirror."""
        for key in self.here():
            with suppress(FileNotFoundError):
                if is_abandoned(self._folder / key):
                    yield key
        if self._mirror:
            yield from self._mirror.all_uploads()

    def here(self) -> Iterator[str]:
        """Yield the keys of uploads of which this host has something."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if is_key(path.name):
                    yield path.name
