"""Where the server listens: a port, a UNIX socket, or what systemd has opened.

Source: sd_listen_fds(3).
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 1024
"""Connections that may wait. A UNIX socket refuses those beyond, and Apache answers with 503."""
_TURN = 0.5
"""Seconds after which a thread that waits for a connection looks whether to stop."""
_FIRST = 3  # the first descriptor that systemd passes on
_PORT = re.compile(r"(?:(?P<host>[^\[\]:]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})")


class CannotListenError(Exception):
    """There is no socket to listen on; the message says why."""


@dataclass
class Listener:
    """A listening socket.

    :param is_ours: whether this server has opened it; or systemd, which keeps it.
    :param file: the path, the device and the inode of a UNIX socket's file that is ours.
    """

    socket: socket.socket
    is_ours: bool = True
    file: tuple[Path, int, int] | None = None

    def close(self) -> None:
        """Have the kernel refuse whoever comes from now on, whichever process has a copy.

        Who waits at a UNIX socket still is accepted. What systemd has opened goes on.
        """
        if self.file:
            with suppress(OSError):
                # As long as the socket is open, no other file gets its inode.
                if self.file == _identity(self.file[0]):
                    self.file[0].unlink()
            self.file = None
        if self.is_ours:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def listen(place: str | None, mode: int) -> Listener:
    """Return a listening socket, from which ``accept`` returns after a while without one, too.

    :param place: ``HOST:PORT``, or ``unix:PATH``; none: what systemd has opened.
    :param mode: of a UNIX socket.
    :raises CannotListenError: as the name says.
    """
    try:
        if place is None:
            listener = _from_systemd()
        elif place.startswith("unix:"):
            listener = _unix(place.removeprefix("unix:"), mode)
        else:
            listener = _port(place)
    except OSError as error:
        reason = f"cannot listen on {place or 'the socket of systemd'}: {error.strerror or error}"
        raise CannotListenError(reason) from error
    listener.socket.setblocking(True)
    # The kernel wakes one thread of all processes for a connection, the one that waits longest:
    # poll() would wake all of them.
    wait = struct.pack("ll", 0, int(_TURN * 1_000_000))
    listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
    return listener


def is_local(listener: socket.socket) -> bool:
    """Return whether only this machine reaches it."""
    if listener.family == socket.AF_UNIX:
        return True
    host = str(listener.getsockname()[0])
    return host.startswith("127.") or host == "::1"


def is_closed(listener: socket.socket) -> bool:
    """Return whether nobody else comes, as :meth:`Listener.close` was called in any process."""
    poll = select.poll()
    poll.register(listener, select.POLLRDHUP)
    return bool(poll.poll(0))


def _from_systemd() -> Listener:
    count = os.environ.pop("LISTEN_FDS", "0")
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or count == "0":
        raise CannotListenError(
            "--bind is missing, and systemd has passed no socket on. Write --bind 127.0.0.1:4000,"
            " --bind unix:/run/app/scgi, or a unit with ListenStream=."
        )
    if count != "1":
        raise CannotListenError(f"systemd has passed {count} sockets on. Write one ListenStream=.")
    listener = socket.socket(fileno=_FIRST)
    if listener.type != socket.SOCK_STREAM or not listener.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        raise CannotListenError("systemd has passed on what does not listen. Write Accept=no.")
    listener.set_inheritable(False)
    return Listener(listener, is_ours=False)


def _port(place: str) -> Listener:
    found = _PORT.fullmatch(place)
    if not found or int(found["port"]) > 65535:
        raise CannotListenError(f"{place!r} is neither HOST:PORT nor unix:PATH.")
    host = (found["host"] or "127.0.0.1").strip("[]")
    (family, _, _, _, address), *_ = socket.getaddrinfo(
        host, int(found["port"]), type=socket.SOCK_STREAM
    )
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    return Listener(listener)


def _unix(path: str, mode: int) -> Listener:
    if not path:
        raise CannotListenError("'unix:' has no path. Write --bind unix:/run/app/scgi.")
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    usual = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
    finally:
        os.umask(usual)
    file = _identity(Path(path))
    listener.listen(BACKLOG)
    return Listener(listener, file=file)


def _identity(path: Path) -> tuple[Path, int, int]:
    found = path.lstat()
    return path, found.st_dev, found.st_ino


def _remove_stale(path: str) -> None:
    """Delete what a server has left that was killed.

    :raises OSError: if one listens there, or it is something else.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file which is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
