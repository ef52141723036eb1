"""Where the doctor puts its probe files: the folder of an area, or its bucket."""

from __future__ import annotations

import errno
import os
import shutil
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from ..areas import Area
from ..exceptions import StoreUnavailable
from ..servers import server_of
from ..stores.objects import LONGEST_KEY
from ..stores.store import Store

_WIDTH = 255  # bytes of a name, in a store that keeps objects as files


class Place(Protocol):
    """Where an area has its files."""

    def put(self, name: str, content: bytes) -> None:
        """Create a file that the server can read, old enough for a strong ETag.

        :raises OSError: if it cannot be created.
        """

    def delete(self, name: str) -> None:
        """Delete a file, or a folder of them; there need not be one."""

    def longest(self, name: str) -> str:
        """Return the longest path that the area's server can open, in characters that URLs quote.

        :param name: what it begins with.
        """

    def seen(self, name: str) -> str:
        """Return ``readable``, or why a file is not."""


def place_of(area: Area) -> Place:
    """Return where an area has its files."""
    if area.store is not None:
        return _Bucket(area.store)
    return _Folder(area.root, server_of(area).longest_path)


class _Folder:
    def __init__(self, root: str, longest_path: int) -> None:
        self._root, self._longest_path = root, longest_path

    def put(self, name: str, content: bytes) -> None:
        old, path = time.time() - 3600, Path(self._root, name)
        # The web server must be able to enter. A chmod by root could be led elsewhere, by a link
        # that the area's owner puts in the way.
        usual = os.umask(0o022)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        finally:
            os.umask(usual)
        with path.open("xb", buffering=0) as file:
            file.write(content)
            # Whatever the umask: the application and the web server must be able to read it. Not by
            # the path, where the area's owner could put a link meanwhile.
            os.fchmod(file.fileno(), 0o644)
            os.utime(file.fileno(), (old, old))

    def delete(self, name: str) -> None:
        top = Path(self._root, name.partition("/")[0])
        if top.is_dir() and not top.is_symlink():
            shutil.rmtree(top, ignore_errors=True)
        else:
            top.unlink(missing_ok=True)

    def longest(self, name: str) -> str:
        room = self._longest_path - len(os.fsencode(f"{self._root}/{name}"))
        return name + _below(room, os.pathconf(self._root, "PC_NAME_MAX"))

    def seen(self, name: str) -> str:
        try:
            with Path(self._root, name).open("rb"):
                return "readable"
        except OSError as error:
            return str(error.strerror)


class _Bucket:
    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, name: str, content: bytes) -> None:
        # Some stores create a bucket that is missing.
        if (status := self._status("HEAD", "")) not in (HTTPStatus.OK, HTTPStatus.FORBIDDEN):
            reason = f"the store answers with {status} for the bucket {self._store.bucket!r}"
            raise OSError(errno.ENOENT, reason)
        status = self._status("PUT", name, content)
        if status != HTTPStatus.OK:
            reason = f"the store answers with {status}, and its keys may be for reading only"
            raise OSError(errno.EACCES, reason)

    def delete(self, name: str) -> None:
        with suppress(OSError):
            self._status("DELETE", name)

    def longest(self, name: str) -> str:
        return name + _below(LONGEST_KEY - len(f"{self._store.prefix}{name}"), _WIDTH)

    def seen(self, name: str) -> str:
        try:
            status = self._status("HEAD", name)
        except OSError as error:
            return str(error.strerror)
        return "readable" if status == HTTPStatus.OK else f"answered with {status} by the store"

    def _status(self, method: str, name: str, content: bytes | None = None) -> int:
        from ..stores import client  # which loads TLS

        try:
            with client.ask(self._store, method, name, {}, content) as answer:
                return answer.status
        except StoreUnavailable as error:
            raise OSError(errno.EIO, f"the store: {error.reason}") from error


def _below(room: int, width: int) -> str:
    return (f"/{'@' * width}" * (room // width + 1))[:room].rstrip("/")
