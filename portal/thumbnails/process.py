"""The process that makes thumbnails, as the portal sees it: started, sent to, and ended."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from . import worker

MOST_BYTES = 32 * 1024**2
"""Bytes of a picture that has a thumbnail."""
_PIECE = 64 * 1024
_START = 20
"""Seconds that the process may take to start."""
_SENDING = 60
"""Seconds in which a picture has to come from its store."""
_LENGTH = struct.Struct("!I")
_TRIES = 2


class CannotStartError(Exception):
    """The process cannot be started, or what it does cannot be confined."""


class Source(Protocol):
    """What a picture is read from."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes or fewer, none at the end."""


class _LostError(Exception):
    """The process does not answer any more."""


def pillow_folder() -> Path | None:
    """Return the folder that Pillow can be imported from, without importing it."""
    try:
        found = importlib.util.find_spec("PIL")
    except (ImportError, ValueError):
        return None
    return Path(found.origin).parents[1] if found and found.origin else None


def _interpreter() -> str:
    """Return a Python: inside a web server, the running program may be that."""
    names = (
        Path(sys.executable or "/"),
        *(Path(prefix) / "bin" / "python3" for prefix in (sys.prefix, sys.base_prefix)),
    )
    for path in names:
        if path.name.startswith("python") and os.access(path, os.X_OK):
            return str(path)
    raise CannotStartError("no Python interpreter was found")


class Process:
    """The process; it starts when it is first needed. For one thread at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._child.pid if self._child else None

    def make(self, opens: Callable[[], AbstractContextManager[Source]], size: int) -> bytes | None:
        """Return the thumbnail of a picture of so many bytes; none if it has none.

        :param opens: opens the picture, anew for each try.
        :raises CannotStartError: if there is no process.
        :raises OSError: if the picture cannot be read.
        """
        for _ in range(_TRIES):
            if self._child is None:
                self._start()
            try:
                with opens() as source:
                    return self._ask(source, size)
            except _LostError:
                # Somebody may have killed it, and not for the picture's sake.
                continue
        return None

    def stop(self) -> None:
        """End the process and what it has forked."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
        child.wait()

    def _start(self) -> None:
        folder = pillow_folder()
        if folder is None:
            raise CannotStartError("Pillow is not installed")
        command = [_interpreter(), "-I", "-S", "-B", worker.__file__, str(folder)]
        try:
            self._child = subprocess.Popen(  # noqa: S603  (our own program)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStartError(str(error)) from error
        try:
            said = self._read_answer(time.monotonic() + _START)
        except _LostError:
            said = None
        if said != worker.READY:
            self.stop()
            raise CannotStartError((said or b"it ended").decode(errors="replace"))
        os.set_blocking(self._pipes()[0], False)

    def _ask(self, source: Source, size: int) -> bytes | None:
        answered = False
        try:
            end = time.monotonic() + _SENDING
            self._send(_LENGTH.pack(size), end)
            left = size
            while left:
                piece = source.read(min(left, _PIECE))
                if not piece:
                    raise OSError("the content is shorter than the file")
                if time.monotonic() > end:
                    raise TimeoutError("the store takes too long")
                self._send(piece, end)
                left -= len(piece)
            made = self._read_answer(end + worker.PATIENCE)
            answered = True
        finally:
            if not answered:
                self.stop()
        if made is None:
            raise _LostError
        # Whoever has taken over the picture's process answers what they like.
        is_webp = made[:4] == b"RIFF" and made[8:12] == b"WEBP"
        return made if is_webp else None

    def _send(self, content: bytes, end: float) -> None:
        descriptor, _ = self._pipes()
        left = memoryview(content)
        while left:
            _wait(descriptor, select.POLLOUT, end)
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise _LostError from None

    def _read_answer(self, end: float) -> bytes | None:
        """Return what the process answers; none if its picture was killed."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, end))
        if length == worker.DIED:
            return None
        if length > worker.LARGEST:
            raise _LostError
        return self._read(length, end)

    def _read(self, length: int, end: float) -> bytes:
        _, descriptor = self._pipes()
        content = b""
        while len(content) < length:
            _wait(descriptor, select.POLLIN, end)
            if not (piece := os.read(descriptor, length - len(content))):
                raise _LostError
            content += piece
        return content

    def _pipes(self) -> tuple[int, int]:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise _LostError
        return child.stdin.fileno(), child.stdout.fileno()


def _wait(descriptor: int, event: int, end: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0, (end - time.monotonic()) * 1000)):
        raise _LostError
