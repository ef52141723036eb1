"""What a store of files' content has to do for the pages; :class:`.storage.Storage` is one on disk.

An upload arrives on the local disk in any case, where it is counted and hashed; a store takes it
over once it is complete. So another store, such as one for objects, needs no more than this.
Backups and checks are about the data folder, and go on using :func:`.uploads.disk_storage`.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol

from .disk import Allowance, IncomingFile


class ContentStore(Protocol):
    """Content by keys, which say nothing of a file's name or owner."""

    def receive(self, allowance: Allowance | None = None) -> IncomingFile:
        """Open a file to write an upload into."""

    def keep(self, incoming: IncomingFile) -> str:
        """Take over a file that is complete, and give its key; after a crash it is there or not."""

    def holds(self, key: str, size: int) -> bool:
        """Tell whether content is there, in the size that it was kept with."""

    def open(self, key: str) -> BinaryIO:
        """Open content to read it from its beginning."""

    def delete(self, key: str) -> None:
        """Remove content, if it is there."""

    def path(self, key: str) -> str:
        """Tell where content is in the private area, for a hand-off."""

    def is_writable(self) -> bool:
        """Tell whether content can be received and kept."""
