"""The store of files' content, as pages see it; :class:`.disk.Storage` is one on disk.

An upload arrives on the local disk in any case, where it is counted and hashed; a store takes it
over once it is complete. So another store, such as one for objects, needs no more than this.
Backups and checks are about the data folder, and use :func:`disk_storage`.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol, cast

from flask import Flask, current_app

from .disk import Allowance, IncomingFile, Storage

_KEY = "portal.storage"


class ContentStore(Protocol):
    """Content by keys, which say nothing of a file's name or owner."""

    def receive(self, allowance: Allowance | None = None) -> IncomingFile:
        """Open a file to write an upload into."""

    def keep(self, incoming: IncomingFile) -> str:
        """Take over a complete file, and return its key; after a crash it is there or not."""

    def holds(self, key: str, size: int) -> bool:
        """Return whether content is there, in the size that it was kept with."""

    def open(self, key: str) -> BinaryIO:
        """Open content to read it from its beginning."""

    def delete(self, key: str) -> None:
        """Delete content, if it is there."""

    def path(self, key: str) -> str:
        """Return where content is in the private area, for a hand-off."""

    def is_writable(self) -> bool:
        """Return whether content can be received and kept."""


def init_app(app: Flask, storage: Storage) -> None:
    """Set the application up with its store."""
    app.extensions[_KEY] = storage


def current_storage() -> ContentStore:
    """Return the store that the files' content is in."""
    return disk_storage()


def disk_storage() -> Storage:
    """Return that store for what is about the disk itself: backups, checks, cleaning up."""
    return cast("Storage", current_app.extensions[_KEY])
