"""How downloads ended, read from the web server's log.

The application only knows that it allowed a download. The server knows how it ended, and writes a
line for each hand-off, with its id, if the configuration was generated with ``--receipts FILE``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

Outcome = Literal["completed", "cut short", "failed", "unknown"]

APACHE_FORMAT = (
    "flask-delegate id=%{DELEGATE_ID}e time=%{sec}t method=%{DELEGATE_METHOD}e status=%>s"
    ' protocol=%H end=%X body=%B sent=%O range=\\"%{Content-Range}o\\"'
)
"""For Apache's ``LogFormat``; ``%O`` is mod_logio's."""

NGINX_FORMAT = (
    "flask-delegate id=$arg_id time=$msec method=$request_method status=$status"
    " end=$request_completion body=$body_bytes_sent sent=$bytes_sent"
    ' range="$sent_http_content_range"'
)
"""For nginx's ``log_format``."""

_LINE = re.compile(
    r"flask-delegate id=(?P<id>[A-Za-z0-9_-]{16}) time=(?P<time>[0-9]+)[0-9.]*"
    r" method=(?P<method>\S+) status=(?P<status>[0-9]{3})"
    r"(?: protocol=(?P<protocol>\S+))? end=(?P<end>\S*)"
    r" body=(?P<body>[0-9]+|-) sent=(?P<sent>[0-9]+)"
    r' range="(?:bytes (?P<first>[0-9]+)-(?P<last>[0-9]+)/(?P<total>[0-9]+)|[^"]*)"'
)
_DELIVERED = frozenset({200, 206, 304})
# Apache's %X, and nginx's $request_completion.
_COMPLETED, _CUT_SHORT = ("+", "-", "OK"), ("X", "")


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the server's answer to one hand-off ended.

    :param id: the hand-off's: ``delivery.id`` in the signal ``file_delegated``.
    :param time: when it began (Apache) or ended (nginx), in UTC, to the second.
    :param method: the request's method; nothing is sent for ``HEAD``.
    :param status: 200 for the whole file, 206 for a part, 304 for none, since the browser had it.
    :param sent: bytes of the file that the server passed to the network: an upper bound of what
        the client received.
    :param part: first and last byte of a 206 and the file's size; none for several ranges.
    :param outcome: ``completed`` if the server sent all that was asked for, ``cut short`` if the
        connection ended before, ``failed`` if it answered with an error, ``unknown`` otherwise.
    """

    id: str
    time: datetime
    method: str
    status: int
    sent: int
    part: tuple[int, int, int] | None
    outcome: Outcome


def parse(line: str) -> Receipt | None:
    """Parse one line of the log; none if it is not a receipt."""
    found = _LINE.search(line)
    if not found:
        return None
    status = int(found["status"])
    # Apache's %B is what was to be sent, and %O what was, with the headers; nginx counts both.
    asked = 0 if found["method"] == "HEAD" or found["body"] == "-" else int(found["body"])
    sent = int(found["sent"])
    part = None
    if found["first"] is not None:
        part = int(found["first"]), int(found["last"]), int(found["total"])
    return Receipt(
        id=found["id"],
        time=datetime.fromtimestamp(int(found["time"]), UTC),
        method=found["method"],
        status=status,
        sent=min(asked, sent),
        part=part,
        outcome=_outcome(found, whole=sent > asked) if status in _DELIVERED else "failed",
    )


def _outcome(found: re.Match[str], *, whole: bool) -> Outcome:
    # Over HTTP/2 Apache also logs "X" where the client had everything and closed the connection
    # before Apache ended the request, as curl does. There %O counts neither frames nor TLS, but the
    # headers: more than the body means that all of it was sent.
    if found["end"] in _COMPLETED or (whole and found["protocol"] == "HTTP/2.0"):
        return "completed"
    return "cut short" if found["end"] in _CUT_SHORT else "unknown"


def read(path: str | os.PathLike[str]) -> Iterator[Receipt]:
    """Yield the receipts that a log holds.

    :raises OSError: if it cannot be read.
    """
    with _open(path) as log:
        yield from _receipts(log)


def follow(
    path: str | os.PathLike[str], *, wait: Callable[[], object] = lambda: time.sleep(0.5)
) -> Iterator[Receipt]:
    """Yield the receipts that a log holds and those still to come, without end.

    The log may be rotated, by renaming or by truncating it, and need not exist yet.

    :param wait: called when there is nothing new; half a second's sleep by default.
    """
    while True:
        try:
            log = _open(path)
        except FileNotFoundError:
            wait()
            continue
        with log:
            while not _is_replaced(log, path):
                yield from _receipts(log)
                wait()
            # Read once more after the rotation: the server writes to the old file for a while.
            yield from _receipts(log)


def _receipts(log: IO[str]) -> Iterator[Receipt]:
    """Yield from whole lines; what the server is still writing is left for the next time."""
    while True:
        position = log.tell()
        line = log.readline()
        if not line.endswith("\n"):
            log.seek(position)
            return
        if receipt := parse(line):
            yield receipt


def _is_replaced(log: IO[str], path: str | os.PathLike[str]) -> bool:
    ours = os.fstat(log.fileno())
    try:
        there = Path(path).stat()
    except FileNotFoundError:
        return False
    return not os.path.samestat(there, ours) or there.st_size < log.tell()


def _open(path: str | os.PathLike[str]) -> IO[str]:
    return Path(path).open(encoding="utf-8", errors="replace", newline="\n")
