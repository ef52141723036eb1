"""A file's validators, and what a request makes depend on them (RFC 9110, 8.8 and 13).

They are those of Apache's static files, so that every server based on Apache agrees with streaming.
Apache follows RFC 2616 where several conditions meet: all of them have to hold for a 304.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

from werkzeug.http import http_date

from ..resolve import PrivateFile

_CERTAIN = 60  # seconds
_TAG = re.compile(r'[ \t,]*(W/)?("[^"]*"[^,]*)')
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH, _TIME = r"(?P<month>[A-Z][a-z]{2})", r"(?P<time>\d\d:\d\d:(?:[0-5]\d|6[01]))"
# IMF-fixdate, RFC 850 and asctime, as Apache reads them: without the weekday and the zone.
_DATES = (
    rf"\S+ (?P<day>\d\d?) {_MONTH} (?P<year>\d{{4}}) {_TIME} .*",
    rf"\S+ (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} .*",
    rf"\S+ {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}}).*",
)


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies a file's content at the time of a request.

    The ETag is made of size and modification time alone: copies on several hosts share it. It is
    weak for a file that could change again within the second. Where the view knows a hash of the
    content, and the server evaluates conditions by what is said here, the ETag is that.
    """

    etag: str
    modified: int  # seconds since the epoch, never later than the request; 0: not known
    now: int  # the time of the request, in seconds since the epoch

    @classmethod
    def of(cls, file: PrivateFile, sha256: str | None = None) -> Validators:
        """Return the validators of a file for the current request.

        :param sha256: of its content, in hexadecimal digits.
        """
        now = time.time_ns()
        weak = "W/" if now - file.mtime_ns < 10**9 else ""
        microseconds = file.mtime_ns // 1000 % 2**64
        etag = (
            f'{weak}"{file.size:x}-{microseconds:x}"' if sha256 is None else f'"{sha256.lower()}"'
        )
        return cls(etag, max(min(file.mtime_ns, now), 0) // 10**9, now // 10**9)

    @property
    def changed(self) -> int:
        """When the file may have changed for the last time, in seconds since the epoch."""
        return self.modified or self.now

    def is_certain(self) -> bool:
        """Return whether no other content can have the same date (RFC 9110, 8.8.2.2)."""
        return self.now - self.changed >= _CERTAIN

    def headers(self) -> dict[str, str]:
        """Return the response headers that show them."""
        return {"ETag": self.etag, "Last-Modified": http_date(self.modified)}


def evaluate(environ: WSGIEnvironment, current: Validators) -> HTTPStatus:
    """Return how a request's conditions are to be answered: 200, 304 or 412."""
    reads = environ["REQUEST_METHOD"] in {"GET", "HEAD"}
    partial = "HTTP_RANGE" in environ
    certain = not partial or current.is_certain()
    unchanged = []  # what each condition for a 304 says
    tags = environ.get("HTTP_IF_MATCH")
    if tags is not None and not _lists(tags, current.etag, weakly=False):
        return HTTPStatus.PRECONDITION_FAILED
    if (since := environ.get("HTTP_IF_UNMODIFIED_SINCE")) is not None:
        date = parse_date(since)
        if date is not None and current.changed > date and certain:
            return HTTPStatus.PRECONDITION_FAILED
        unchanged.append(False)
    if (tags := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        found = _lists(tags, current.etag, weakly=reads and not partial)
        if found and not reads:
            return HTTPStatus.PRECONDITION_FAILED
        unchanged.append(found)
    if (since := environ.get("HTTP_IF_MODIFIED_SINCE")) is not None:
        date = parse_date(since)
        recent = date is not None and current.changed <= date <= current.now
        unchanged.append(recent and certain)
    if partial and "HTTP_IF_RANGE" in environ:
        unchanged.append(False)
    is_unchanged = reads and unchanged and all(unchanged)
    return HTTPStatus.NOT_MODIFIED if is_unchanged else HTTPStatus.OK


def allows_range(environ: WSGIEnvironment, current: Validators) -> bool:
    """Return whether ``If-Range``, if there is one, allows an answer in part."""
    wanted = environ.get("HTTP_IF_RANGE")
    if wanted is None:
        return True
    if wanted.startswith('"'):
        return bool(wanted == current.etag)
    return parse_date(wanted) == current.changed and current.is_certain()


def parse_date(value: str) -> int | None:
    """Return an HTTP date (RFC 9110, 5.6.7) in seconds since the epoch.

    :returns: ``None`` for what is none. To Apache, nothing was before 1970 either.
    """
    found = next(filter(None, (re.fullmatch(form, value, re.ASCII) for form in _DATES)), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    year, day = int(found["year"]), int(found["day"])
    if len(found["year"]) == 2:
        year += 2000 if year < 70 else 1900
    hour, minute, second = map(int, found["time"].split(":"))
    try:
        date = datetime(year, _MONTHS.index(found["month"]) + 1, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    seconds = int(date.timestamp()) + second
    return seconds if seconds > 0 else None


def _lists(tags: str, etag: str, *, weakly: bool) -> bool:
    """Return whether a list of entity tags has this one, or is ``*``.

    The search ends at what is no tag, or no strong one where only those count.
    """
    if tags.startswith("*"):
        return True
    if not weakly and etag.startswith("W/"):
        return False
    position = 0
    while (found := _TAG.match(tags, position)) and (weakly or not found[1]):
        if found[2].rstrip() == etag.removeprefix("W/"):
            return True
        position = found.end()
    return False
