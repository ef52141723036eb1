"""What has arrived of unfinished uploads, on disk."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import current_app

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

_PATIENCE = 0.2
"""Seconds for another request: one that only asks how much is there is done by then."""
_MOST_HASHES = 256
_hashes: OrderedDict[Path, tuple[int, _Hash]] = OrderedDict()
"""The sizes and hashes of the parts that this process added to last."""


class PartLockedError(Exception):
    """Another request is adding to it."""


class PartFile(IncomingFile):
    """What is there of an upload, to add to; locked until it is closed.

    :param length: bytes that it will have in all; more cannot be written.
    :raises FileNotFoundError: if it is not there any more.
    :raises PartLockedError: if another request has it open.
    """

    def __init__(self, path: Path, length: int, reserve: int) -> None:
        super().__init__(path, reserve, mode="r+b")
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
        size, known = _hashes.pop(self.path, (0, self._hash))
        if size == self.size:
            self._hash, self._is_hashed = known, True

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
            _hashes[self.path] = self.size, self._hash
            while len(_hashes) > _MOST_HASHES:
                with suppress(KeyError):  # another thread was faster
                    _hashes.popitem(last=False)
        super().close()

    def cut(self, size: int) -> None:
        """Cut off what was written after so many bytes, if there is any."""
        if size >= self.size:
            return
        self._allowance = Allowance(self._length - size)
        self.truncate(size)
        self.size = self.seek(size)
        self._is_hashed = size == 0
        self._hash = hashlib.sha256()

    def sync(self) -> int:
        """Write what has arrived through to the disk, and return how much that is."""
        with naming_full_disk():
            os.fdatasync(self.fileno())
        return self.size

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


class Parts:
    """The folder of unfinished uploads, below the one where others arrive.

    :param reserve: bytes that are to stay free on the disk.
    """

    def __init__(self, incoming: Path, reserve: int) -> None:
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
        return PartFile(self._folder / key, length, self._reserve)

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

    def forget(self, key: str) -> None:
        """Delete an upload, even one that a request adds to: it goes with that request's end."""
        (self._folder / key).unlink(missing_ok=True)

    def abandoned(self) -> Iterator[str]:
        """Yield the keys of uploads that nobody added to for a day."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with suppress(FileNotFoundError):
                    if is_key(path.name) and is_abandoned(path):
                        yield path.name
