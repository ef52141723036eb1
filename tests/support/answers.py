"""A client that keeps its connection, and what matters of a file's server's answers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPResponse

from .questions import File, Question

_ENOUGH = 1 << 20  # bytes of a body that are read
_SHOWN = 1 << 16  # bytes of a part that are compared
_PLACE = re.compile(r"\{(modified|now)([+-]\d+)?(?::([bc]))?\}")
_FORMS = {
    None: "%a, %d %b %Y %H:%M:%S GMT",
    "b": "%A, %d-%b-%y %H:%M:%S GMT",
    "c": "%a %b %e %H:%M:%S %Y",
}


@dataclass(frozen=True)
class Answer:
    """What matters of a response; of an error and of a 304, only what is said of the file.

    :param type: ``multipart`` for several parts, whose length depends on what is between them.
    :param body: the first bytes of each part, after its headers; empty where several are too long.
    """

    status: int
    etag: str | None = None
    span: str | None = None
    type: str | None = None
    length: str | None = None
    accepts: str | None = None
    modified: str | None = None
    body: tuple[tuple[str, bytes], ...] = ()

    def differences(self, other: Answer) -> set[str]:
        """Return the names of what differs: ``status`` alone, if it does."""
        if self.status != other.status:
            return {"status"}
        names = self.__dataclass_fields__
        return {name for name in names if getattr(self, name) != getattr(other, name)}


class Client:
    """One server, asked over one connection as long as it keeps that.

    :param prefix: what stands before a file's name in the target.
    """

    def __init__(self, port: int, prefix: str, host: str = "127.0.0.1") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._prefix, self._host = prefix, host
        self._known: dict[File, Answer] = {}
        self.asked = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def ask(self, question: Question) -> Answer:
        """Send a request, and one for the file's validators before it where these are needed."""
        headers = question.headers
        if any("{" in value for value in headers.values()):
            known = self._validators(question.file)
            headers = {name: _filled(value, known) for name, value in headers.items()}
        return self._send(question.method, question.file, headers)

    def _validators(self, file: File) -> Answer:
        known = self._known.get(file) or self._send("HEAD", file, {})
        if file.age is None:
            self._known[file] = known
        return known

    def _send(self, method: str, file: File, headers: Mapping[str, str]) -> Answer:
        self.asked += 1
        request = (method, self._prefix + file.name, b"a=1" if method == "POST" else None)
        fields = {"Host": self._host, **headers}
        try:
            self._connection.request(*request, fields)
            response = self._connection.getresponse()
        except ConnectionError:  # it was idle for too long
            self._connection.close()
            self._connection.request(*request, fields)
            response = self._connection.getresponse()
        body = response.read(_ENOUGH)
        whole = response.isclosed() or not response.read(1)
        if not whole:
            self._connection.close()
        answer = _seen(response, body, whole=whole and method != "HEAD")
        if method != "HEAD":
            _check_content(answer, file)
        return answer


def _check_content(answer: Answer, file: File) -> None:
    """Whatever the answer is, its bytes are those of the file that it says they are."""
    for head, content in answer.body:
        span = re.search(r"bytes (\d+)-(\d+)/(\d+)", head or answer.span or "")
        first, last, size = map(int, span.groups()) if span else (0, file.size - 1, file.size)
        assert size == file.size
        assert content == file.content(first, min(last - first + 1, _SHOWN))


def _filled(value: str, known: Answer) -> str:
    etag = known.etag or ""
    modified = parsedate_to_datetime(known.modified).timestamp() if known.modified else 0

    def date(place: re.Match[str]) -> str:
        base = modified if place[1] == "modified" else time.time()
        return time.strftime(_FORMS[place[3]], time.gmtime(base + int(place[2] or 0)))

    value = value.replace("{etag}", etag).replace("{opaque}", etag.removeprefix("W/"))
    return _PLACE.sub(date, value)


def _seen(response: HTTPResponse, body: bytes, *, whole: bool) -> Answer:
    get, status = response.headers.get, response.status
    if status == 304:
        assert not body
        return Answer(status, etag=get("ETag"))
    if status not in (200, 206):
        return Answer(status, span=get("Content-Range"))
    kind, length = get("Content-Type", ""), get("Content-Length")
    shown: tuple[tuple[str, bytes], ...] = (("", body[:_SHOWN]),)
    if whole and length is not None:
        assert length == str(len(body))
    if kind.startswith("multipart/byteranges"):
        shown = _parts(body, kind.partition("boundary=")[2]) if whole else ()
        kind, length = "multipart", None
    described = (get("ETag"), get("Content-Range"), kind, length)
    return Answer(status, *described, get("Accept-Ranges"), get("Last-Modified"), shown)


def _parts(body: bytes, boundary: str) -> tuple[tuple[str, bytes], ...]:
    """Split a body; a server may leave out the empty line before it, and order headers."""
    if body.startswith(b"--"):
        body = b"\r\n" + body
    before, *parts, after = body.split(f"\r\n--{boundary}".encode())
    assert (before, after) == (b"", b"--\r\n")
    split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
    heads = ("\r\n".join(sorted(head.decode().lower().split("\r\n"))) for head, *_ in split)
    return tuple(zip(heads, (content[:_SHOWN] for *_, content in split), strict=True))
