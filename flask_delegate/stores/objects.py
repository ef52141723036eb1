"""From an area in a store and a key to what can be sent. Nobody asks the store here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..exceptions import FileMissing, PathRefused
from .store import Store

LONGEST_KEY = 1024
"""Bytes of a key, its prefix included, says Amazon S3."""
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a store. Its key was checked; whether it is there, the store will say.

    Only :func:`locate` makes it.
    """

    store: Store
    relative: str  # its key, below the area's prefix
    size: int | None  # in bytes, if the view said so
    etag: str | None  # with its quotes, if the view said so

    @property
    def name(self) -> str:
        """The last component of the key."""
        return self.relative.rstrip("/").rpartition("/")[2]

    @property
    def root(self) -> str:
        """The URL of what the area has in the store."""
        return self.store.url

    @property
    def path(self) -> str:
        """Bucket and key, as the store's URLs have them before they are quoted."""
        return f"{self.store.path}{self.relative}"

    def missing(self, reason: str) -> FileMissing:
        """Return the error for an object that is not there."""
        return FileMissing(self.relative, self.root, reason)


def locate(
    store: Store, requested: str | os.PathLike[str], size: int | None, etag: str | None
) -> StoredObject:
    """Return an object of a store.

    :param requested: its key, below the area's prefix.
    :param size: in bytes, if it is known.
    :param etag: the store's, with or without quotes, if it is known.
    :raises PathRefused: if it can be no key, or one that servers on the way would change: it is
        empty or too long, has a component ``.`` or ``..``, NUL, or what UTF-8 cannot write.
    """
    key = os.fspath(requested)
    if not isinstance(key, str):
        raise TypeError(f"a key must be str or os.PathLike[str], not {type(key).__name__}")
    if reason := _why_refused(store, key):
        raise PathRefused(key, store.url, reason)
    return StoredObject(store, key, size, etag and f'"{etag.strip(chr(34))}"')


def _why_refused(store: Store, key: str) -> str:
    if not key.strip("/"):
        return "an empty key."
    if "\0" in key:
        return "it contains a NUL."
    if _DOTS.search(key):
        return "it has a component '.' or '..'."
    try:
        length = len(f"{store.prefix}{key}".encode())
    except UnicodeEncodeError:
        return "UTF-8 cannot write it."
    if length > LONGEST_KEY:
        return f"the key has {length} bytes, and {LONGEST_KEY} are the limit."
    return ""
