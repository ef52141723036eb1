"""One process: threads that answer requests until the master closes a pipe.

``python -m flask_delegate.scgi.worker`` is started by :mod:`.master` alone, anew for each process,
so that a reload loads all code anew.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import WSGIApplication

from .exchange import serve
from .forks import kept_from_children
from .logs import set_up
from .options import Options
from .sockets import is_closed

logger = logging.getLogger("flask_delegate.scgi")
_CLOSED = {errno.EINVAL, errno.EBADF}
"""What ``accept`` says of a listener that is closed, here or for all."""
CANNOT_LOAD = 3
"""The status of a process that cannot load the application."""


@dataclass
class Worker:
    """The threads of a process."""

    listener: socket.socket
    application: WSGIApplication
    options: Options
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the threads."""
        for number in range(1, self.options.threads + 1):
            # They do not keep the process from ending when the grace is over.
            thread = threading.Thread(target=self._work, name=f"scgi-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Wait until the threads have answered what they have begun, but no longer than allowed."""
        self._stopping.set()
        grace = self.options.grace
        deadline = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if busy := sum(thread.is_alive() for thread in self._threads):
            logger.warning("%d requests took more than %d s (--grace): broken off", busy, grace)

    def _work(self) -> None:
        limits, multiprocess = self.options.limits, self.options.processes > 1
        # Nobody else answers who has come before the listener was closed.
        while not self._stopping.is_set() or is_closed(self.listener):
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:  # nobody came: see sockets.listen
                continue
            except OSError as error:
                if error.errno in _CLOSED:
                    return
                # Such as too many open files.
                logger.error("cannot accept a connection: %s", error)  # noqa: TRY400
                self._stopping.wait(0.1)
                continue
            try:
                serve(connection, self.application, limits, multiprocess=multiprocess)
            except BaseException:
                logger.exception("a request failed")


def load(name: str) -> WSGIApplication:
    """Return the application that ``MODULE:NAME`` or ``MODULE:NAME()`` names."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.removesuffix("()").split("."):
        found = getattr(found, part)
    application: WSGIApplication = found() if path.endswith("()") else found
    if not callable(application):
        raise TypeError(f"{name} is no WSGI application")
    return application


def main() -> None:
    """Serve until the master, or its death, closes the pipe."""
    text, *descriptors = sys.argv[1:]
    options, (listening, lifeline, ready) = Options.of(text), map(int, descriptors)
    for descriptor in (listening, lifeline, ready):
        os.set_inheritable(descriptor, False)
    set_up()
    # The master is told by Ctrl-C, too, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listener = socket.socket(fileno=listening)
    with kept_from_children(listener):
        try:
            application = load(options.application)
        except BaseException:
            logger.exception("cannot load %s", options.application)
            sys.exit(CANNOT_LOAD)
        worker = Worker(listener, application, options)
        with suppress(_EndError):
            # Not before: nobody waits for what is still being loaded.
            signal.signal(signal.SIGTERM, _end)
            worker.start()
            os.write(ready, b".")
            os.read(lifeline, 1)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker.stop()


class _EndError(Exception):
    """The process was told to end."""


def _end(*_: object) -> None:
    raise _EndError


if __name__ == "__main__":
    main()
