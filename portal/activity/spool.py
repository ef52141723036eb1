"""A file of a fixed size, reserved beforehand, for lines that wait to be brought into the database.

Appending needs no room on the disk and waits for no writer of the database. The file begins with a
head: a random name, and the positions of the first line and behind the last one. Positions only
grow. The head is written after the lines, in one piece: who is killed before that has appended
nothing. The threads of a process append together what each of them has when it is their turn.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import struct
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = 4 * 1024**2
"""Bytes: about 15,000 downloads."""
_HEAD = struct.Struct("<8sQQ")
_Head = tuple[bytes, int, int]
_MOST = 2**63
"""No position comes near, so a larger one is damage."""
_LINES = 64
"""Where the lines begin."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """The lines in a spool at a moment; others may be appended meanwhile.

    :param name: of this spool; another file, such as one after a restore, has another name.
    :param first: the position of the first line.
    :param lines: all of them, each with a line feed at its end.
    """

    name: str
    first: int
    lines: bytes

    @property
    def end(self) -> int:
        """The position behind the last line."""
        return self.first + len(self.lines)

    def after(self, position: int) -> list[bytes]:
        """Return the lines from a position on: those before it were taken already."""
        lines = self.lines[max(0, position - self.first) :].splitlines()
        return [line for line in lines if line]


@dataclass(eq=False, slots=True)
class _Appending:
    """Lines that a thread wants to append, and what :meth:`Spool.append` returns of them."""

    lines: bytes
    grown: tuple[int, int] | None = None
    is_done: bool = False


class Spool:
    """The file; it is opened anew for each call, as locks belong to what was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted: deque[_Appending] = deque()
        self._turn = threading.Lock()

    def reserve(self) -> None:
        """Create the file with all its room; where there is none, it is tried again when needed."""
        try:
            with self._locked() as (file, _):
                os.posix_fallocate(file, 0, SIZE)
        except OSError as error:
            _log(error, f"no room is reserved for the record in {self._path}")

    def length(self) -> int:
        """Return how many bytes of lines wait; 0 where nobody can take them, which is logged."""
        try:
            # As who takes them opens it.
            with self._path.open("r+b", buffering=0) as file:
                _, first, end = _HEAD.unpack(file.read(_HEAD.size))
        except (FileNotFoundError, struct.error):
            return 0  # it is not there yet
        except OSError:
            logger.exception("%s cannot be written: what waits in it is recorded later", self._path)
            return 0
        return int(end - first)

    def append(self, lines: bytes) -> tuple[int, int] | None:
        """Append lines, each with a line feed at its end.

        One more is before them: a power cut may leave an end that was never written, without any.

        :returns: how many bytes of lines waited before, and wait now; none if there was no room for
            all of these. Of threads whose lines were appended together, one is told that they grew.
        """
        mine = _Appending(b"\n" + lines)
        self._wanted.append(mine)
        with self._turn:
            # Another thread has appended it, perhaps, while this one waited for its turn.
            if not mine.is_done:
                self._append([self._wanted.popleft() for _ in range(len(self._wanted))])
        return mine.grown

    def _append(self, wanted: Sequence[_Appending]) -> None:
        try:
            with self._locked() as (file, (name, first, end)):
                before, fitting = end - first, []
                room = SIZE - _LINES - before
                for one in wanted:
                    if len(one.lines) <= room:
                        room -= len(one.lines)
                        fitting.append(one)
                lines = b"".join(one.lines for one in fitting)
                if not fitting or os.pwrite(file, lines, _LINES + before) < len(lines):
                    return
                os.pwrite(file, _HEAD.pack(name, first, end + len(lines)), 0)
                for one in fitting:
                    one.grown = (before + len(lines),) * 2
                fitting[0].grown = before, before + len(lines)
        except OSError as error:
            _log(error, f"the spool {self._path} cannot be written")
        finally:
            for one in wanted:
                one.is_done = True

    @contextmanager
    def take(self) -> Iterator[Waiting]:
        """Yield the lines, and remove them at the end of the block, unless it raises.

        Nobody waits for the block to append. Who is killed in it, or shortly after, finds the lines
        again, and so may who takes them at the same time: the block has to remember the end of what
        it took, together with what it made of it.
        """
        with self._locked() as (file, (name, first, end)):
            if os.fstat(file).st_size < SIZE:
                logger.error("the spool of the record was cut: what was there is not recorded")
                os.posix_fallocate(file, 0, SIZE)
            waiting = Waiting(name.hex(), first, os.pread(file, end - first, _LINES))
        self._sync()
        yield waiting
        with self._locked() as (file, head):
            _remove(file, head, waiting)

    def _sync(self) -> None:
        """Have the head on the disk before the block says, for good, how far it took.

        After a power cut, what was appended next would otherwise seem to be taken already.
        """
        try:
            with self._path.open("rb") as file:
                os.fdatasync(file)
        except OSError:
            logger.exception("the spool %s cannot be written to the disk", self._path)

    @contextmanager
    def _locked(self) -> Iterator[tuple[int, _Head]]:
        """Yield the file, which nobody else changes meanwhile, and what its head says."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file, _read_head(file) or _reserve(file)
        finally:
            os.close(file)


def _log(error: OSError, what: str) -> None:
    """Log an error; without a traceback where the disk is full, which says all."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    logger.error("%s: %s", what, error.strerror, exc_info=None if is_full else error)


def _reserve(file: int) -> _Head:
    """Give the file all its room, which may have failed before."""
    os.posix_fallocate(file, 0, SIZE)
    head = secrets.token_bytes(8), 0, 0
    os.pwrite(file, _HEAD.pack(*head), 0)
    return head


def _remove(file: int, head: _Head, taken: Waiting) -> None:
    name, first, end = head
    if (name.hex(), first) != (taken.name, taken.first):
        return  # somebody else has taken, and removed, some of the same
    rest = os.pread(file, end - taken.end, _LINES + taken.end - first)
    # Until the head says so, the rest is still where it was.
    if len(rest) <= len(taken.lines):
        os.pwrite(file, rest, _LINES)
        os.pwrite(file, _HEAD.pack(name, taken.end, end), 0)


def _read_head(file: int) -> _Head | None:
    """Return the head, if there is a sound one: it is written when all the room is there."""
    read = os.pread(file, _HEAD.size, 0)
    if len(read) < _HEAD.size or not any(read[:8]):
        return None
    name, first, end = _HEAD.unpack(read)
    if not 0 <= end - first <= SIZE - _LINES or end >= _MOST:
        logger.error("the spool of the record is damaged: what waited in it is not recorded")
        return None
    return name, first, end
