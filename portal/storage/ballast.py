"""A file that does nothing but take up room, so that people can delete on a disk that is full.

To delete a file, the database has to write first. Where something else than the portal fills the
disk, the ballast makes room for the length of one small request or command. Whoever fills the disk
may take that room meanwhile. So what does not delete gets a part of it, and the rest stays.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from flask import Flask, current_app

P = ParamSpec("P")
R = TypeVar("R")

SIZE = 8 * 1024**2
"""Bytes."""
KEPT = SIZE // 2
"""Bytes that only deleting gets: the database's journal takes 4 MiB before it is cleared."""
_SMALL = 1024**2
"""Bytes that one other request gets."""
_BLOCK = 4096
_EXTENSION = "portal.ballast"


class Ballast:
    """The file of that name in a data folder, once it was created there."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def prepare(self) -> None:
        """Create the file, or fill it again, if the disk has room for it."""
        if _free(self._path.parent) > 2 * SIZE:
            with suppress(OSError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))
                self._fill()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Make room for a small request for the length of the block, on a disk that is full."""
        with self._dropped(_SMALL, KEPT):
            yield

    @contextmanager
    def room_to_delete(self) -> Iterator[None]:
        """Make all the room that there is for the length of the block, on a disk that is full."""
        with self._dropped(SIZE, 0):
            yield

    @contextmanager
    def _dropped(self, wanted: int, kept: int) -> Iterator[None]:
        if _free(self._path.parent) >= wanted:
            yield
            return
        before = self._size()
        if kept < before:
            with suppress(OSError):
                os.truncate(self._path, max(before - wanted, kept))
        try:
            yield
        finally:
            # What was needed meanwhile is missing from then on, until somebody deletes. What
            # deletes leaves the request around it the room that this had.
            with suppress(OSError):
                self._fill(SIZE if kept else before)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _fill(self, wanted: int = SIZE) -> None:
        """Take up so much, or as much as the disk has, to the last block."""
        descriptor, step = os.open(self._path, os.O_WRONLY), SIZE
        try:
            while (size := os.fstat(descriptor).st_size) < wanted and step >= _BLOCK:
                try:
                    os.posix_fallocate(descriptor, size, min(step, wanted - size))
                except OSError as error:
                    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                        raise
                    step //= 2
        finally:
            os.close(descriptor)


def init_app(app: Flask, folder: Path) -> None:
    """Set up the ballast of a data folder."""
    app.extensions[_EXTENSION] = Ballast(folder)


def current_ballast() -> Ballast:
    """Return the ballast of the application's data folder."""
    return cast("Ballast", current_app.extensions[_EXTENSION])


def with_room_to_delete(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that deletes, or puts into the trash, for somebody who may."""

    @wraps(function)
    def deleting(*args: P.args, **kwargs: P.kwargs) -> R:
        with current_ballast().room_to_delete():
            return function(*args, **kwargs)

    return deleting


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
