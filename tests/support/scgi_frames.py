"""Frames of SCGI, proper and hostile ones, and what has to become of each."""

from __future__ import annotations

import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse

from flask_delegate.scgi.exchange import Limits, serve

USUAL = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a",
    "PATH_INFO": "/a",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
}
LIMITS = Limits(head=4096, body=2048, silence=5)
_NEEDED = (b"REQUEST_METHOD", b"SERVER_PORT", b"SERVER_PROTOCOL")


def frame(body: bytes = b"", /, **values: str) -> bytes:
    """Return a proper frame."""
    pairs = {"CONTENT_LENGTH": str(len(body)), "SCGI": "1", **USUAL, **values}
    return netstring(encoded(pairs.items())) + body


def encoded(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return the content of a head."""
    return "".join(f"{name}\0{value}\0" for name, value in pairs).encode("latin-1")


def netstring(content: bytes) -> bytes:
    """Return a netstring."""
    return b"%d:%s," % (len(content), content)


@dataclass
class Application:
    """A WSGI application that notes what it is asked."""

    asked: list[tuple[dict[str, Any], bytes | None]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        try:
            body: bytes | None = environ["wsgi.input"].read()
        except OSError:
            body = None
        self.asked.append((environ, body))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]


def exchange(sent: bytes, application: Any, limits: Limits = LIMITS) -> bytes:
    """Return what a client gets that sends something and then nothing more.

    :raises ConnectionResetError: where what it gets is not whole.
    """
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, application, limits, multiprocess=False)
        got = b""
        while data := ours.recv(65536):
            got += data
        return got


def meaning(sent: bytes) -> tuple[dict[bytes, bytes], bytes | None] | None:
    """Read a frame by the specification, in another way than the server does.

    :returns: its names and values, and its body, or none for one that is cut short; none for what
        the server has to refuse.
    """
    found = re.match(rb"([1-9]\d{0,8}):", sent)
    if not found or int(found[1]) > LIMITS.head:
        return None
    end = found.end() + int(found[1])
    if sent[end : end + 1] != b",":
        return None
    pairs = re.findall(rb"([^\0]*)\0([^\0]*)\0", head := sent[found.end() : end])
    if b"".join(name + b"\0" + value + b"\0" for name, value in pairs) != head or not pairs:
        return None
    values: dict[bytes, bytes] = {}
    for name, value in pairs:
        if not re.fullmatch(rb"[!-~]+", name):
            return None
        if name in values and (name == b"HTTP_HOST" or not name.startswith(b"HTTP_")):
            return None
        joint = b"; " if name == b"HTTP_COOKIE" else b", "
        values[name] = values[name] + joint + value if name in values else value
    length = values[b"CONTENT_LENGTH"] if pairs[0][0] == b"CONTENT_LENGTH" else b""
    is_proper = re.fullmatch(rb"\d{1,18}", length) and values.get(b"SCGI") == b"1"
    if not is_proper or int(length) > LIMITS.body or not all(map(values.get, _NEEDED)):
        return None
    if b"PATH_INFO" not in values:
        return None
    body = sent[end + 1 : end + 1 + int(length)]
    return values, body if len(body) == int(length) else None


def hostile(random_: random.Random) -> bytes:
    """Return a frame that is proper, or as wrong as somebody may want it to be."""
    body = random_.randbytes(random_.choice([0, 0, 0, 1, 2, 30, 2048, 2049]))
    pairs = [("CONTENT_LENGTH", str(len(body))), ("SCGI", "1"), *USUAL.items()]
    pairs += [
        (random_.choice(_NAMES), random_.choice(_VALUES)) for _ in range(random_.choice(_FEW))
    ]
    for _ in range(random_.choice(_FEW)):
        random_.choice(_CHANGES)(pairs, random_)
    content = encoded(pairs)
    length = random_.choice(_LENGTHS)(len(content)) if random_.random() < 0.2 else len(content)
    made = b"%s:%s%s" % (
        str(length).encode(),
        content,
        b"," if random_.random() < 0.9 else random_.choice([b"", b".", b",,", b"\0"]),
    )
    made += body
    for _ in range(random_.choice(_FEW)):
        made = _damaged(made, random_)
    return made


_FEW = (0, 0, 0, 1, 1, 2)
_NAMES = (
    *("HTTP_COOKIE", "HTTP_X", "HTTP_HOST", "SCGI", "CONTENT_LENGTH", "PATH_INFO", "wsgi.input"),
    *("", "scgi", "content_length", "é", "a b", "flask_delegate.0", "HTTPS", "X" * 5000, "HTTP_X"),
)
_VALUES = ("", "0", "1", "-1", "1e3", "x" * 100, "a\r\nb", "/", "é", "9" * 30, "x" * 4000)
_LENGTHS: tuple[Callable[[int], object], ...] = (
    lambda right: right - 1,
    lambda right: right + 1,
    lambda right: right + 100_000,
    lambda right: f"0{right}",
    lambda right: f"+{right}",
    lambda right: f" {right}",
    lambda right: f"{right} ",
    lambda right: f"{right:x}",
    lambda _: "",
    lambda _: "99999999999999999999",
    lambda _: "-1",
    lambda _: 0,
    lambda _: "١٢٣",
)


def _drop(pairs: list[tuple[str, str]], random_: random.Random) -> None:
    if pairs:
        del pairs[random_.randrange(len(pairs))]


def _swap(pairs: list[tuple[str, str]], random_: random.Random) -> None:
    random_.shuffle(pairs)


def _replace(pairs: list[tuple[str, str]], random_: random.Random) -> None:
    if pairs:
        place = random_.randrange(len(pairs))
        pairs[place] = (pairs[place][0], random_.choice(_VALUES))


def _double(pairs: list[tuple[str, str]], random_: random.Random) -> None:
    pairs += pairs[random_.randrange(len(pairs) + 1) :]


_CHANGES = (_drop, _swap, _replace, _double)


def _damaged(made: bytes, random_: random.Random) -> bytes:
    place = random_.randrange(len(made) + 1)
    match random_.randrange(7):
        case 0:
            return made[:place]
        case 1:
            return made[:place] + random_.randbytes(1) + made[place + 1 :]
        case 2:
            return made[:place] + random_.choice([b"\0", b":", b",", b"1", b"\0\0"]) + made[place:]
        case 3:
            return made[:place] + made[place + 1 :]
        case 4:
            return made + made
        case 5:
            return made[place:]
    return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def try_hostile_frames(count: int, seed: int) -> Counter[str]:
    """Send so many frames, and count what became of them.

    :raises AssertionError: if that is not what the specification says.
    """
    random_, outcomes = random.Random(seed), Counter[str]()  # noqa: S311
    for number in range(count):
        sent = hostile(random_)
        outcomes[_tried(sent, f"frame {number} of seed {seed}: {sent[:2000]!r}")] += 1
    return outcomes


def _tried(sent: bytes, said: str) -> str:
    application, expected = Application(), meaning(sent)
    try:
        got = exchange(sent, application)
    except ConnectionResetError:
        got = None
    if expected is None:
        assert application.asked == [], said
        assert not got or re.match(rb"Status: (400|413|431) ", got), said
        return "refused" if got else "broken off"
    values, body = expected
    ((environ, read),) = application.asked
    assert read == body, said
    own = {b"SCRIPT_NAME", b"SERVER_NAME", b"wsgi.input"}
    for name, value in values.items():
        assert name in own or environ[name.decode()] == value.decode("latin-1"), said
    assert environ["wsgi.version"] == (1, 0), said
    if body is None:
        return "without all of its body"
    is_head = values[b"REQUEST_METHOD"] == b"HEAD"
    head = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"
    assert got in (None, head + (b"" if is_head else b"ok")), said
    return "answered"
