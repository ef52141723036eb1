"""How downloads ended, read from the web server's log.

The application only knows that it allowed a download. The server knows how it ended, and writes a
line for each hand-off, with its id, if the configuration was generated with ``--receipts FILE``.
"""

from __future__ import annotations

import errno
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from .rotation import Position, RotatedLog, logger, open_log, whole_lines
from .signals import receipt_read

Outcome = Literal["completed", "cut short", "failed", "unknown"]

APACHE_FORMAT = (
    "flask-delegate id=%{DELEGATE_ID}e time=%{sec}t method=%{DELEGATE_METHOD}e status=%>s"
    ' protocol=%H end=%X body=%B length=%{Content-Length}o sent=%O range=\\"%{Content-Range}o\\"'
)
"""For Apache's ``LogFormat``; ``%O`` is mod_logio's."""
APACHE_SHRUNK = " file=shrunk"
"""What follows if the file is smaller than it was when its sending began."""

NGINX_FORMAT = (
    "flask-delegate id=$arg_id time=$msec method=$request_method status=$status"
    " end=$request_completion body=$body_bytes_sent length=$sent_http_content_length"
    ' sent=$bytes_sent range="$sent_http_content_range"'
)
"""For nginx's ``log_format``."""

LIGHTTPD_FORMAT = (
    "flask-delegate id=%{X-Flask-Delegate-Id}o time=%{sec}t method=%m status=%s"
    ' end=%X body=%B length=%{Content-Length}o sent=%O range="%{Content-Range}o"'
)
"""For lighttpd's ``accesslog.format``, which other requests write as well."""

# An id of "-" is that of a hand-off that the server refused.
_BEGINNING = re.compile(r"flask-delegate id=(?!- )\S")
_N = "[0-9]{1,18}"  # what a database's integers hold
_LINE = re.compile(
    # The last of these seconds are in the year 5138.
    r"flask-delegate id=(?P<id>[A-Za-z0-9_-]{16}) time=(?P<time>[0-9]{1,11})(?:\.[0-9]*)?"
    r" method=(?P<method>\S+) status=(?P<status>[0-9]{3})"
    r"(?: protocol=(?P<protocol>\S+))? end=(?P<end>\S*)"
    rf" body=(?P<body>{_N})(?: length=(?P<length>{_N}|-))? sent=(?P<sent>{_N})"
    rf' range="(?:bytes (?P<first>{_N})-(?P<last>{_N})/(?P<total>{_N})|[^"=]*)"'
    rf"(?P<shrunk>{APACHE_SHRUNK})?"
)
_DELIVERED = frozenset({"200", "206", "304"})
# %X of Apache and lighttpd, and nginx's $request_completion.
_COMPLETED, _CUT_SHORT = ("+", "-", "OK"), ("X", "")


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the server's answer to one hand-off ended.

    :param id: the hand-off's: ``delivery.id`` in the signal ``file_delegated``.
    :param time: when it began (Apache, lighttpd) or ended (Caddy, nginx), in UTC, to the second.
    :param method: the request's method; nothing is sent for ``HEAD``.
    :param status: 200 for the whole file, 206 for a part, 304 for none, since the browser had it.
    :param sent: bytes of the file that the server passed to the network: an upper bound of what
        the client received.
    :param part: first and last byte of a 206 and the file's size; none for several ranges.
    :param outcome: ``completed`` if the server sent all that it had announced, ``cut short`` if it
        sent less, ``failed`` if it answered with an error, ``unknown`` if the log does not say.
    """

    id: str
    time: datetime
    method: str
    status: int
    sent: int
    part: tuple[int, int, int] | None
    outcome: Outcome


def parse(line: str) -> Receipt | None:
    """Parse one line of the log; none if it is not a receipt.

    :raises ValueError: if it is one that cannot be read.
    """
    if line.startswith("{"):  # whatever a client wrote into it is no receipt
        from .caddy_log import as_text

        line = as_text(line)
    found = _LINE.search(line)
    if not found:
        if _BEGINNING.search(line):
            raise ValueError(f"not a readable receipt: {line[:300]!r}")
        return None
    # Apache's %B is what was to be sent, and %O what was, with the headers; nginx counts both.
    asked = int(found["body"]) if _has_body(found) else 0
    part = None
    if found["first"] is not None:
        part = int(found["first"]), int(found["last"]), int(found["total"])
    return Receipt(
        id=found["id"],
        time=datetime.fromtimestamp(int(found["time"]), UTC),
        method=found["method"],
        status=int(found["status"]),
        sent=min(asked, int(found["sent"])),
        part=part,
        outcome=_outcome(found, asked) if found["status"] in _DELIVERED else "failed",
    )


def _has_body(found: re.Match[str]) -> bool:
    return found["method"] != "HEAD" and found["status"] != "304"


def _outcome(found: re.Match[str], asked: int) -> Outcome:
    # What was sent includes the headers: it is more than the body, or the body is not complete.
    is_sent = int(found["sent"]) > asked
    is_taken = found["protocol"] == "HTTP/2.0" and is_sent and not found["shrunk"]
    if found["end"] not in _COMPLETED + _CUT_SHORT:
        return "unknown"
    # Over HTTP/2 Apache also logs "X" where the client had everything and closed the connection
    # before Apache ended the request, as curl does.
    if not is_sent or (found["end"] in _CUT_SHORT and not is_taken):
        return "cut short"
    if not _has_body(found):
        return "completed"
    if found["length"] in (None, "-"):
        return "unknown"
    if asked < int(found["length"]):
        return "cut short"
    return "unknown" if found["shrunk"] else "completed"


def read(path: str | os.PathLike[str]) -> Iterator[Receipt]:
    """Yield the receipts that one file holds, compressed with gzip or not.

    Lines that cannot be read are logged.

    :raises OSError: if it cannot be read.
    """
    try:
        with open_log(Path(path)) as log:
            lines = (line.decode("utf-8", "replace") for line in whole_lines(log))
            yield from _receipts(os.fspath(path), lines)
    except zlib.error as error:
        raise OSError(errno.EIO, f"it is damaged: {error}", os.fspath(path)) from error


def follow(
    path: str | os.PathLike[str],
    position: Position | None = None,
    *,
    wait: Callable[[], object] = lambda: time.sleep(0.5),
) -> Iterator[tuple[list[Receipt], Position]]:
    """Yield the receipts of a log and its rotated files, and those still to come, without end.

    The log may be rotated by renaming it, or copying and truncating it; rotated files may be
    compressed with gzip. It need not exist yet. Lines that cannot be read are logged.

    :param position: what came last with the receipts that are stored, to go on from there; none:
        begin with the oldest file.
    :param wait: called when there is nothing new; half a second's sleep by default.
    :return: some receipts at a time, perhaps none, and the position after them. Who stores both in
        one transaction has each receipt once.
    :raises OSError: if the log or its folder cannot be read.
    """
    log = RotatedLog(path, position or {})
    while True:
        for lines in log.news():
            yield list(_receipts(os.fspath(path), lines)), dict(log.position)
        wait()


def _receipts(path: str, lines: Iterable[str]) -> Iterator[Receipt]:
    for line in lines:
        try:
            receipt = parse(line)
        except ValueError as error:
            logger.warning("skipped a line: %s", error)
        else:
            if receipt:
                receipt_read.send(path, receipt=receipt)
                yield receipt
