"""What a web server sends for a request: a netstring of names and values, then the body.

The server in front is trusted with the values, but not with the form: whatever is not exactly as
the specification says is refused, and nothing of it is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Receive = Callable[[int], bytes]
"""Returns at least one byte and at most so many; raises where there are none."""

SHORTEST = 27
"""Bytes of the shortest frame, without its comma: so many may be read at once without looking."""
_LENGTH = re.compile(rb"([1-9][0-9]{0,8}):")
_DIGITS = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[\x21-\x7e]+")
_LISTS = {"HTTP_COOKIE": "; "}
"""How values of one name are joined; others by a comma (RFC 9110, 5.3)."""


class BadFrameError(Exception):
    """A request is not as the specification says.

    :param status: the status line to answer with.
    """

    def __init__(self, reason: str, status: str = "400 Bad Request") -> None:
        super().__init__(reason)
        self.status = status


def read_head(receive: Receive, most: int) -> bytes:
    """Return the content of a frame's netstring. The comma behind it is not read.

    :param most: bytes that it may have.
    :raises BadFrameError: if it is no netstring, or has more.
    """
    data = receive(SHORTEST)
    while not (found := _LENGTH.match(data)):
        # Nine digits and a colon are what there may be.
        if not re.fullmatch(rb"(?:[1-9][0-9]{0,8})?", data):
            raise BadFrameError("it does not begin with the length of a netstring")
        data += receive(SHORTEST - len(data))
    length, head = int(found[1]), data[found.end() :]
    if length > most:
        reason = f"its head has {length} bytes, and {most} are the limit (--max-head)"
        raise BadFrameError(reason, "431 Request Header Fields Too Large")
    if length < len(head):
        raise BadFrameError("its head is shorter than any can be")
    parts, missing = [head], length - len(head)
    while missing:
        parts.append(receive(missing))
        missing -= len(parts[-1])
    return b"".join(parts)


def parse(head: bytes) -> dict[str, str]:
    """Return the names and values of a head, in Latin-1, as WSGI has them.

    :raises BadFrameError: if they are not as specified.
    """
    text = head.decode("latin-1")
    parts = text.split("\0")
    # The last value is ended, too.
    if parts.pop() or len(parts) % 2:
        raise BadFrameError("its head does not end with the end of a value")
    names, values = parts[::2], parts[1::2]
    if names[:1] != ["CONTENT_LENGTH"] or not _DIGITS.fullmatch(values[0]):
        raise BadFrameError("its head does not begin with CONTENT_LENGTH, a number")
    found = dict(zip(names, values, strict=True))
    if len(found) != len(names):
        found = _joined(names, values)
    if not _NAME.fullmatch("".join(names)) or "" in found:
        raise BadFrameError("a name is empty, or has other characters than those of ASCII")
    if found.get("SCGI") != "1":
        raise BadFrameError("SCGI is not 1")
    return found


def _joined(names: list[str], values: list[str]) -> dict[str, str]:
    """Join a client's headers of one name, which nginx before 1.23 passes on one by one.

    :raises BadFrameError: if anything else is there twice.
    """
    found: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if name not in found:
            found[name] = value
        elif name.startswith("HTTP_") and name != "HTTP_HOST":
            found[name] += _LISTS.get(name, ", ") + value
        else:
            raise BadFrameError(f"{name[:100]!r} is there twice")
    return found
