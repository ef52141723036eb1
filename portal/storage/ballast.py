"""A file that does nothing but take up room, so that people can delete on a disk that is full.

To delete a file, the database has to write first. Where something else than the portal fills the
disk, the ballast makes room for the length of one small request or command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from flask import Flask, current_app

SIZE = 8 * 1024**2
"""Bytes: the database's journal takes 4 MiB before it is cleared."""
_STEP = 1024**2
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
    def dropped_if_full(self) -> Iterator[None]:
        """Empty the file for the length of the block, if the disk is nearly full."""
        if _free(self._path.parent) >= SIZE:
            yield
            return
        try:
            with suppress(OSError):
                os.truncate(self._path, 0)
            yield
        finally:
            with suppress(OSError):  # what was needed meanwhile is missing from then on
                self._fill()

    def _fill(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            for start in range(0, SIZE, _STEP):
                os.posix_fallocate(descriptor, start, _STEP)
        finally:
            os.close(descriptor)


def init_app(app: Flask, folder: Path) -> None:
    """Set up the ballast of a data folder."""
    app.extensions[_EXTENSION] = Ballast(folder)


def current_ballast() -> Ballast:
    """Return the ballast of the application's data folder."""
    return cast("Ballast", current_app.extensions[_EXTENSION])


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
