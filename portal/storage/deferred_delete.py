"""Files are deleted at once, or put aside while a backup may still read them.

A deletion holds a shared lock for its moment, and a backup an exclusive one for its length. Who
cannot get the shared one moves the file aside instead, where the backup reads it until it is done.
Locks end with the process that has them, however it ends.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from portal.core.datafolder import locked

_SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB
_PATIENCE = 10
"""Seconds that a backup waits for deletions that are under way."""


class Deletions:
    """How files leave a folder, which is locked; or wait aside, on the same file system."""

    def __init__(self, folder: Path, aside: Path) -> None:
        self.aside = aside
        self._folder = folder

    def delete(self, path: Path) -> None:
        """Delete a file, if it is there, or put it aside."""
        try:
            with locked(self._folder, _SHARED):
                path.unlink(missing_ok=True)
        except BlockingIOError:
            self.aside.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                path.rename(self.aside / path.name)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Have files put aside for the length of the block, and delete them at its end.

        :raises TimeoutError: if somebody else has them put aside.
        """
        # Waiting in the kernel could last forever where deletions never cease.
        deadline = time.monotonic() + _PATIENCE
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(locked(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB))
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError("deletions are put off already") from None
                    time.sleep(0.02)
            yield
        self.finish()

    def finish(self) -> int:
        """Delete what was put aside, and return how many files; none while a backup reads them."""
        count = 0
        with suppress(BlockingIOError, FileNotFoundError), locked(self._folder, _SHARED):
            for path in self.aside.iterdir():
                path.unlink(missing_ok=True)
                count += 1
        return count
