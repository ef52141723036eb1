"""A log and the files that it was rotated to, read as one, from where a reader stopped.

Names and inodes change when a log is renamed, compressed, or copied and truncated. What a file
begins with does not: a file is known by its first line, which must differ from other files'.
"""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import IO, cast

Position = dict[str, int]
"""How far a log was read: bytes by file, which a digest of its first line names."""

_State = tuple[int, int, int]
_LONGEST = 65536  # bytes of a line; what is longer is read as several
_MOST = 500  # lines at once
_UNREADABLE = frozenset({".bz2", ".lz4", ".lzma", ".xz", ".zst"})
_REMEMBERED = 100  # files that were not found, perhaps because they were being renamed

logger = logging.getLogger("flask_delegate")


class RotatedLog:
    """A log with its rotated files: those whose names are its own, then ``.`` or ``-`` and more.

    :ivar position: how far it was read.
    """

    def __init__(self, path: str | os.PathLike[str], position: Mapping[str, int]) -> None:
        self.position = dict(position)
        self._path = Path(path)
        # Files that were read to their ends: their names in the position, by what changes when
        # more is written.
        self._read: dict[_State, str] = {}
        self._warned: set[_State] = set()

    def news(self) -> Iterator[list[str]]:
        """Yield what is new, some lines at a time, from the oldest file to the newest.

        :raises OSError: if the log or its folder cannot be read. The log need not exist.
        """
        read = {}
        for file in self._files():
            # What disappears was renamed or compressed, and is found the next time.
            with suppress(FileNotFoundError):
                state = _state(file.stat())
                if state in self._read:
                    read[state] = self._read[state]
                else:
                    state, name = yield from self._rest_of(file, state)
                    if name is not None:
                        read[state] = name
        self._read = read
        gone = [name for name in self.position if name not in read.values()]
        for name in gone[:-_REMEMBERED]:
            del self.position[name]

    def _files(self) -> list[Path]:
        rotated, name = [], self._path.name
        with suppress(FileNotFoundError):
            for file in self._path.parent.iterdir():
                if file.name.startswith((f"{name}.", f"{name}-")):
                    with suppress(OSError):  # gone, or a link that leads nowhere
                        found = file.stat()
                        if S_ISREG(found.st_mode):
                            rotated.append((found.st_mtime_ns, file))
        return [*(file for _, file in sorted(rotated)), self._path]

    def _rest_of(
        self, file: Path, state: _State
    ) -> Generator[list[str], None, tuple[_State, str | None]]:
        """Yield the lines after the position; return what the file was, and its name in that.

        It has none if it cannot be read: that may pass.
        """
        name: str | None = ""
        try:
            with open_log(file) as log:
                state = _state(os.fstat(log.fileno()))
                name = yield from self._rest_of_open(log)
        except EOFError:
            pass  # gzip is still writing it
        except (OSError, zlib.error) as error:
            if file == self._path or isinstance(error, FileNotFoundError):
                raise
            name = None
            if state not in self._warned:
                self._warned.add(state)
                logger.warning("%s cannot be read, and is left out: %s", file, error)
        return state, name

    def _rest_of_open(self, log: IO[bytes]) -> Generator[list[str], None, str]:
        first = log.readline(_LONGEST)
        if not _is_whole(first):
            return ""
        name, full = sha256(first).hexdigest()[:16], True
        log.seek(self.position.get(name, 0))
        while full and (lines := list(islice(whole_lines(log), _MOST))):
            if not _begins_with(log, first):
                return ""  # it was truncated meanwhile
            # Added at the end: what was read last is forgotten last.
            self.position[name] = self.position.pop(name, 0) + sum(map(len, lines))
            yield [line.decode("utf-8", "replace") for line in lines]
            full = len(lines) == _MOST
        return name


def _state(found: os.stat_result) -> _State:
    return found.st_ino, found.st_size, found.st_mtime_ns


def open_log(file: Path) -> IO[bytes]:
    """Open a file of a log, compressed with gzip or not; raise OSError if it cannot be read."""
    if file.suffix in _UNREADABLE:
        raise OSError(f"files that end in {file.suffix} are not read; have logrotate use gzip")
    return cast("IO[bytes]", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def whole_lines(log: IO[bytes]) -> Iterator[bytes]:
    """Yield until the end; what the server is still writing is left for the next time."""
    with suppress(EOFError):
        while _is_whole(line := log.readline(_LONGEST)):
            yield line


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") or len(line) == _LONGEST


def _begins_with(log: IO[bytes], first: bytes) -> bool:
    # A compressed file is not truncated, and its beginning would be dear to read again.
    return isinstance(log, gzip.GzipFile) or os.pread(log.fileno(), len(first), 0) == first
