"""Stored files while they are moved: from disk into a bucket, or back.

New ones go where all of them will be. What is on the disk is read there, unless it is marked as one
that is to be had from the bucket by now; so nobody has to ask the bucket what it has.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from flask import Flask

from portal.core.datafolder import locked
from portal.core.setting_checks import SettingError

from .base import AREA, Content, Kept, Storage
from .disk import Disk
from .incoming import IncomingFile

if TYPE_CHECKING:
    from .bucket import Bucket


def hold_still(app: Flask, storage: Storage) -> None:
    """Keep a command from moving files for as long as this application lasts.

    It looks for each where the settings say, and not where the command brings them.

    :raises SettingError: if files are being moved now.
    """
    folder = os.open(storage.incoming, os.O_RDONLY | os.O_DIRECTORY)
    app.extensions["portal.still"] = weakref.finalize(app, os.close, folder)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingError(
            "A command moves files to or from the store now, and PORTAL_STORE_MOVING is not set."
            " Set it to what the command has, or wait for its end."
        ) from None


@contextmanager
def alone(storage: Storage) -> Iterator[None]:
    """Keep others from starting without knowing that files are moved; yield if nobody runs so.

    :raises BlockingIOError: if somebody does, or moves files, too.
    """
    with locked(storage.incoming, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


class Moving(Storage):
    """Files of which some are on disk, and some in a bucket.

    :param to_store: whether they move into the bucket, or out of it.
    """

    is_moving = True

    def __init__(self, disk: Disk, bucket: Bucket, *, to_store: bool) -> None:
        super().__init__(disk.arriving)
        self.disk, self.bucket, self.to_store = disk, bucket, to_store
        self.old: Storage = disk if to_store else bucket
        self.new: Storage = bucket if to_store else disk

    def area(self, key: str) -> str | None:
        """See :class:`Storage`."""
        return None if self.disk.stays(key) else AREA

    def prepare(self) -> None:
        """See :class:`Storage`."""
        self.disk.prepare()

    def keep_all(self, incoming: Sequence[IncomingFile]) -> Sequence[str]:
        """Keep complete files where all of them will be: see :class:`Storage`."""
        return self.new.keep_all(incoming)

    def holds(self, key: str, size: int) -> bool:
        """See :class:`Storage`."""
        return self._holder(key).holds(key, size)

    def delete(self, key: str) -> None:
        """Delete a file from both places: it may have a copy at the new one."""
        try:
            self.bucket.delete(key)
        finally:
            self.disk.delete(key)

    def finish_deletions(self) -> int:
        """See :class:`Storage`."""
        return self.disk.finish_deletions()

    def find(self, key: str) -> Kept | None:
        """See :class:`Storage`."""
        return self._holder(key).find(key) or self._holder(key).find(key)

    def all_keys(self, unlisted: set[str] | None = None) -> Iterator[str]:
        """Yield the key of each file that is kept, in order, and once."""
        merged = heapq.merge(self.disk.all_keys(unlisted), self.bucket.all_keys())
        return (key for key, _ in groupby(merged))

    @contextmanager
    def open(self, key: str) -> Iterator[Content]:
        """See :class:`Storage`."""
        with ExitStack() as stack:
            try:
                content = stack.enter_context(self._holder(key).open(key))
            except FileNotFoundError:  # it has moved at this moment
                content = stack.enter_context(self._holder(key).open(key))
            yield content

    def set_aside(self, key: str) -> str:
        """See :class:`Storage`."""
        holders = [place for place in (self.disk, self.bucket) if place.find(key)]
        return ", ".join(place.set_aside(key) for place in holders)

    @contextmanager
    def open_aside(self, key: str) -> Iterator[Content]:
        """See :class:`Storage`."""
        with ExitStack() as stack:
            try:
                content: Content = stack.enter_context(self.disk.open_aside(key))
            except FileNotFoundError:
                content = stack.enter_context(self.bucket.open_aside(key))
            yield content

    def claim(self, key: str) -> str:
        """See :class:`Storage`."""
        try:
            return self.disk.claim(key)
        except FileNotFoundError:
            return self.bucket.claim(key)

    def check(self) -> None:
        """See :class:`Storage`."""
        self.disk.check()
        self.bucket.check()

    def _holder(self, key: str) -> Storage:
        return self.disk if self.disk.stays(key) else self.bucket
