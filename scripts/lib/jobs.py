"""The programs that a script starts, and the signals that end them all."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from pwd import struct_passwd
from typing import Any, Self

from .messages import fail

_prctl = ctypes.CDLL(None).prctl
_PR_SET_PDEATHSIG = 1  # prctl(2)
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_ORPHANS = 2
"""Seconds that what a program left behind has to end."""
_AWAY: Mapping[str, Any] = {"stdin": subprocess.DEVNULL, "start_new_session": True}
"""Away from our terminal."""


class Jobs:
    """Programs in sessions of their own: Ctrl-C reaches them through the script only.

    A signal ends the script where it waits, and nowhere else; so no moment is a wrong one for it.
    What was started ends with the block, and with the script, should that be killed.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        """The exit status after a signal; none: 128 and its number."""
        self._received = 0
        self._waiting = False
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._before.items():
            if handler != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if kind else handler)
        deadline = time.monotonic() + 15
        for process in self._running:
            self._end(process, deadline)

    def _receive(self, number: int, _frame: object = None) -> None:
        self._received = number
        if self._waiting:
            raise SystemExit(128 + number if self.status is None else self.status)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal end the script in this block, or at its start where one has come."""
        self._waiting = True
        try:
            if self._received:
                self._receive(self._received)
            yield
        finally:
            self._waiting = False

    def start(
        self, *command: object, dies_by: signal.Signals = signal.SIGTERM, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program; the options are those of ``subprocess.Popen``.

        :param dies_by: the signal that it gets if we are killed.
        """
        end_with_us = partial(_end_with, os.getpid(), dies_by)
        options = {**_AWAY, "preexec_fn": end_with_us, **options}
        process = subprocess.Popen([*map(str, command)], **options)
        self._running.append(process)
        return process

    def run(self, *command: object, **options: Any) -> int:
        """Run a program to its end, and return its status."""
        process = self.start(*command, **options)
        with self.waiting():
            process.wait()
        self._running.remove(process)
        return process.returncode

    def quietly(
        self, *command: object, failure: str, run: Callable[..., int] | None = None, **options: Any
    ) -> None:
        """Run a program; if it fails, show the end of what it printed, and fail.

        :param run: what to run it with, instead of :meth:`run`.
        """
        with tempfile.TemporaryFile() as output:
            if (run or self.run)(*command, stdout=output, stderr=output, **options):
                output.seek(0)
                sys.stderr.write(b"".join(output.readlines()[-40:]).decode(errors="replace"))
                fail(failure)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until it holds, and return whether it does."""
        deadline = time.monotonic() + seconds
        with self.waiting():
            while not (holds := condition()) and time.monotonic() < deadline:
                time.sleep(0.1)
        return holds

    @contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """Wait until nobody else holds the lock, and hold it."""
        with path.open("ab") as file:
            with self.waiting():
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _end(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        if process.poll() is not None:
            # Whoever it left behind has nobody to answer, and may wait for it to say that it ends.
            deadline = min(deadline, time.monotonic() + _ORPHANS)
        _signal(process, signal.SIGTERM)
        while _signal(process, 0) and time.monotonic() < deadline:
            process.poll()  # which takes an ended one out of its group
            time.sleep(0.02)
        _signal(process, signal.SIGKILL)
        process.wait()


def _end_with(script: int, number: signal.Signals) -> None:
    """Let this new process end with the script; setpriv(1) is a moment too late."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != script:  # which was killed before that
        os._exit(1)


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal the group, whose first one may have ended; return whether there is one."""
    with suppress(OSError):
        os.killpg(process.pid, number)
        return True
    return False


def hold(path: Path) -> bool:
    """Lock a path until the script ends; return whether it is ours.

    It is not where somebody else holds it, or its last holder has removed it since it was opened.
    """
    descriptor = os.open(path, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def in_foreground(*command: object, **options: Any) -> int:
    """Run a program that Ctrl-C reaches by itself, and return its status."""
    process = subprocess.Popen([str(word) for word in command], **options)
    signal.signal(signal.SIGINT, lambda *_: None)  # which it does not inherit
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, _: process.send_signal(number))
    return process.wait()


def as_user(user: struct_passwd | None) -> Mapping[str, Any]:
    """Return the options of ``subprocess.Popen`` for a program of this user; none: of our own.

    Other processes of the user must not type into our terminal through it.
    """
    if user is None:
        return {}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return {**_AWAY, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
