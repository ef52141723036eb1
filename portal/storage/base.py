"""What a store of files' content is to the portal: the base of the modules beside this one.

A file is known by its key, which says nothing about its name, owner or content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from .incoming import Allowance, Incoming, IncomingFile

AREA = "files"
"""The name of Flask-Delegate's area for files in a store, where a folder has the default one."""


class ContentLostError(Exception):
    """A file of the database is not in the store, or not in its size."""


class DamagedError(Exception):
    """Content is not what was uploaded: in its size, or by its hash."""


class StoreAwayError(Exception):
    """The store does not answer, or not as it should; that may pass."""


class Kept(NamedTuple):
    """What a store says of a file.

    :param changed_at: seconds since the epoch when it was last put or moved there.
    """

    size: int
    changed_at: float


class Content(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes or fewer, none at the end.

        :raises OSError: if they cannot be read.
        """


class Storage(ABC):
    """A store of files' content.

    :param incoming: where uploads arrive, on a local disk.
    """

    is_moving = False
    """Whether files may change their place, so that nobody may be told of it for long."""

    def __init__(self, incoming: Incoming) -> None:
        self.arriving = incoming

    @property
    def incoming(self) -> Path:
        """The folder where uploads arrive."""
        return self.arriving.folder

    def receive(self, allowance: Allowance | None = None) -> IncomingFile:
        """Open a file to write an upload into: see :meth:`Incoming.receive`."""
        return self.arriving.receive(allowance)

    def remove_abandoned(self) -> int:
        """Delete uploads that killed processes left behind, and return how many."""
        return self.arriving.remove_abandoned()

    def keep(self, incoming: IncomingFile) -> str:
        """Keep a complete file, and return its key: see :meth:`keep_all`."""
        (key,) = self.keep_all([incoming])
        return key

    def path(self, key: str) -> str:
        """Return where a file is, relative to where all of them are."""
        return f"{key[:2]}/{key}"

    def area(self, key: str) -> str | None:
        """Return the area that a file is handed off from; none: the only one, or the default."""
        del key
        return None

    @abstractmethod
    def prepare(self) -> None:
        """Create what has to be there, and delete what killed processes left behind."""

    @abstractmethod
    def keep_all(self, incoming: Sequence[IncomingFile]) -> Sequence[str]:
        """Keep complete files, and return their keys. After a crash, some may be there.

        :raises StorageFullError: if there is no room; none is kept.
        :raises StoreAwayError: if the store does not take them; none is kept.
        """

    @abstractmethod
    def holds(self, key: str, size: int) -> bool:
        """Return whether a file is there, in the size that it was kept with.

        A store that would have to be asked by a request of its own is trusted.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a file, if it is there.

        :raises OSError: if it cannot be deleted now.
        """

    @abstractmethod
    def finish_deletions(self) -> int:
        """Delete what was put off, and return how many files."""

    @abstractmethod
    def find(self, key: str) -> Kept | None:
        """Return what is known of a file; none if there is no regular file."""

    @abstractmethod
    def all_keys(self, unlisted: set[str] | None = None) -> Iterator[str]:
        """Yield the key of each file that is kept, in order.

        :param unlisted: takes the folders that may not be listed; without it, they raise.
        :raises PermissionError: if a folder may not be listed.
        """

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[Content]:
        """Open a file to read it.

        :raises OSError: if it is not there, or not a regular file.
        """

    @abstractmethod
    def set_aside(self, key: str) -> str:
        """Move a file that no row claims to where nobody reaches it; return what was done."""

    @abstractmethod
    def open_aside(self, key: str) -> AbstractContextManager[Content]:
        """Open a file that was set aside.

        :raises OSError: if it is not there.
        """

    @abstractmethod
    def claim(self, key: str) -> str:
        """Move a file back that was set aside, and return what was done."""

    @abstractmethod
    def check(self) -> None:
        """Check that files can be received and kept.

        :raises OSError: if they cannot.
        :raises StorageFullError: if the disk is full, or its reserve is reached.
        :raises StoreAwayError: if the store does not answer in time.
        """
