"""The master: it opens the socket, and keeps the processes running that serve it."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .options import Options
from .sockets import Listener

logger = logging.getLogger("flask_delegate.scgi")

_PAUSE = 1.0
"""Seconds between the starts of processes that end by themselves."""
_LATE = 5.0
"""Seconds that a process may take to end after its grace."""


@dataclass
class Process:
    """A process that serves, or is about to.

    :param lifeline: what is closed to have it end.
    :param status: where it says that it is ready; closed: -1.
    """

    running: subprocess.Popen[bytes]
    lifeline: int
    status: int
    is_ready: bool = False

    @classmethod
    def start(cls, options: Options, listener: socket.socket) -> Process:
        """Start one."""
        their_lifeline, lifeline = os.pipe()
        status, their_status = os.pipe()
        passed = (listener.fileno(), their_lifeline, their_status)
        command = [sys.executable, "-m", "flask_delegate.scgi.worker", options.as_text()]
        try:
            running = subprocess.Popen([*command, *map(str, passed)], pass_fds=passed)  # noqa: S603
        except BaseException:
            os.close(lifeline)
            os.close(status)
            raise
        finally:
            os.close(their_lifeline)
            os.close(their_status)
        return cls(running, lifeline, status)

    def end(self) -> None:
        """Have it answer what it has begun, and end."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1


class Master:
    """The processes of a server."""

    def __init__(self, options: Options, listener: Listener) -> None:
        self._options, self._listener = options, listener
        self._serving: list[Process] = []
        self._coming: list[Process] = []  # of a reload
        self._ending: dict[int, tuple[Process, float]] = {}  # with the time to kill it
        self._selector = selectors.DefaultSelector()
        self._restart_at = 0.0  # no process that is missing is started before
        self._has_begun = self._is_stopping = self._is_reload_wanted = False
        self._exit_status = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit status."""
        with _signals() as told:
            self._selector.register(told, selectors.EVENT_READ)
            self._serving = self._started(self._options.processes)
            while self._ending or not self._is_stopping:
                self._turn(told)
        return self._exit_status

    def _turn(self, told: int) -> None:
        events = [key for key, _ in self._selector.select(self._wait())]
        for key in events:
            if isinstance(key.data, Process):
                self._hear(key.data)
        if any(key.fd == told for key in events):
            self._obey({*os.read(told, 4096)})
        self._kill_late()
        self._start()

    def _obey(self, signals: set[int]) -> None:
        if signals & {signal.SIGTERM, signal.SIGINT}:
            self._stop()
        if signal.SIGCHLD in signals:
            for one in [*self._serving, *self._coming, *(one for one, _ in self._ending.values())]:
                if one.running.poll() is not None:
                    self._note_end(one)
        if signal.SIGHUP in signals and not self._is_stopping:
            self._is_reload_wanted = True
            if self._is_starting:
                logger.info("processes are starting: reloading when they are ready")

    @property
    def _is_starting(self) -> bool:
        return bool(self._coming) or not self._has_begun

    @property
    def _missing(self) -> int:
        """How many processes are to be started, now or after a pause."""
        if self._is_starting or self._is_stopping:
            return 0
        return self._options.processes - len(self._serving)

    def _wait(self) -> float | None:
        times = [late for _, late in self._ending.values()]
        times += [self._restart_at] if self._missing else []
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _start(self) -> None:
        """Start the processes of a reload, or those that are missing."""
        if self._is_reload_wanted and not self._is_starting and not self._is_stopping:
            self._is_reload_wanted = False
            logger.info("reloading")
            self._coming = self._started(self._options.processes)
        elif self._missing and time.monotonic() >= self._restart_at:
            self._serving += self._started(self._missing)

    def _started(self, count: int) -> list[Process]:
        started = [Process.start(self._options, self._listener.socket) for _ in range(count)]
        for one in started:
            self._selector.register(one.status, selectors.EVENT_READ, one)
        return started

    def _hear(self, process: Process) -> None:
        """Note what a process says of itself: that it is ready, or, at last, nothing."""
        if os.read(process.status, 1):
            process.is_ready = True
            self._note_ready()
        else:
            self._close(process)

    def _close(self, process: Process) -> None:
        if process.status >= 0:
            self._selector.unregister(process.status)
            os.close(process.status)
            process.status = -1

    def _note_end(self, process: Process) -> None:
        """Do what has to be done where a process has ended.

        What it has started may keep its end of a pipe open: that says nothing.
        """
        self._close(process)
        process.end()
        number, code = process.running.pid, process.running.returncode
        if self._ending.pop(number, None):
            return
        self._restart_at = time.monotonic() + _PAUSE
        if process in self._coming:
            rest = "the old ones go on" if self._serving else "none is left, trying again"
            logger.error("the new processes do not start: %s. Status: %d", rest, code)
            others, self._coming = self._coming, []
            self._let_end([one for one in others if one is not process])
            return
        self._serving.remove(process)
        if self._has_begun:
            logger.error("process %d has ended with status %d", number, code)
        else:
            logger.error("the processes do not start: status %d", code)
            self._exit_status = 1
            self._stop()

    def _note_ready(self) -> None:
        if not self._has_begun and all(one.is_ready for one in self._serving):
            self._has_begun = True
            logger.info("ready, with %d processes", len(self._serving))
            notify("READY=1")
        if self._coming and all(one.is_ready for one in self._coming):
            old, self._serving, self._coming = self._serving, self._coming, []
            logger.info("reloaded")
            self._let_end(old)

    def _let_end(self, processes: list[Process]) -> None:
        late = time.monotonic() + self._options.grace + _LATE
        for one in processes:
            one.end()
            self._ending[one.running.pid] = (one, late)

    def _kill_late(self) -> None:
        for number, (one, late) in self._ending.items():
            if time.monotonic() >= late:
                one.running.kill()
                self._ending[number] = (one, time.monotonic() + 1)

    def _stop(self) -> None:
        """Let all processes end; at once, if it was said before."""
        if self._is_stopping:
            self._ending = {number: (one, 0.0) for number, (one, _) in self._ending.items()}
            return
        self._is_stopping = True
        notify("STOPPING=1")
        self._listener.close()
        self._let_end([*self._serving, *self._coming])
        self._serving, self._coming = [], []


@contextmanager
def _signals() -> Iterator[int]:
    """Yield a descriptor from which the numbers of signals can be read."""
    told, writing = os.pipe()
    for descriptor in (told, writing):
        os.set_blocking(descriptor, False)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    before = signal.set_wakeup_fd(writing)
    try:
        yield told
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
        os.close(writing)


def notify(state: str) -> None:
    """Tell systemd, if it wants to know: see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
            service.sendto(state.encode(), address.replace("@", "\0", 1))
