"""Requests for a file, with ranges and conditions of every kind."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

GIB = 1024**3
# Apache's ETags have the microseconds of it.
OLD = 1_700_000_000_123_456_789
# What is larger ends in a hole.
_WRITTEN = b"".join(b"%07d\n" % number for number in range(8192))


@dataclass(frozen=True)
class File:
    """A file to ask for.

    :param size: in bytes.
    :param age: seconds since its modification whenever it is asked for; none: it is ``modified``.
    :param modified: in nanoseconds since the epoch.
    """

    name: str
    size: int
    age: int | None = None
    modified: int = OLD

    def write(self, path: Path) -> None:
        """Create the file."""
        with path.open("wb") as file:
            file.write(_WRITTEN)
            file.truncate(self.size)
        path.chmod(0o644)
        os.utime(path, ns=(self.modified, self.modified))

    def content(self, first: int, length: int) -> bytes:
        """Return some of the file's content."""
        return (_WRITTEN + bytes(length))[min(first, len(_WRITTEN)) :][:length]

    def touch(self, path: Path) -> None:
        """Make the file as old as it is to be."""
        if self.age is not None:
            modified = time.time_ns() - self.age * 10**9
            os.utime(path, ns=(modified, modified))


EMPTY, ONE, SHORT = File("empty.bin", 0), File("one.bin", 1), File("short.txt", 16)
PAGES, LARGE = File("pages.pdf", 12_000), File("large.bin", 5 * GIB + 3)
YOUNG, FRESH = File("young.txt", 5_000, age=30), File("fresh.txt", 5_000, age=0)
FUTURE, EPOCH = File("future.txt", 5_000, age=-86_400), File("epoch.txt", 5_000, modified=0)
FILES = (EMPTY, ONE, SHORT, PAGES, LARGE, YOUNG, FRESH, FUTURE, EPOCH)


@dataclass(frozen=True)
class Question:
    """A request.

    In the headers' values, ``{etag}`` stands for what a server says of the file, ``{opaque}`` for
    that without ``W/``, ``{modified}`` for its last modification and ``{now}`` for the time of the
    request; with ``+60``, that many seconds later, and with ``:b`` or ``:c`` in RFC 850's form or
    asctime's.
    """

    file: File
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Return whether it has one of these headers."""
        return any(name in self.headers for name in names)

    def values(self, *names: str) -> set[str]:
        """Return the values of those of these headers that it has."""
        return {self.headers[name] for name in names if name in self.headers}

    def parts(self) -> list[range] | None:
        """Return the parts it asks for, ``None`` if RFC 9110 does not allow its ``Range``."""
        items = self.headers.get("Range", "")[len("bytes=") :].split(",")
        found = [re.fullmatch(r"(\d{1,19})-(\d{0,19})|-([1-9]\d{0,18})", item) for item in items]
        size, parts = self.file.size, []
        for item in found:
            if item is None or any(int(number or 0) >= 2**63 for number in item.groups()):
                return None
            if item[2] and int(item[1]) > int(item[2]):
                return None
            start = max(size - int(item[3]), 0) if item[3] else int(item[1])
            parts.append(range(start, min(int(item[2]) + 1, size) if item[2] else size))
        return [part for part in parts if part]


TAGS = (
    *("{etag}", "{opaque}", "*", '"other"', "", '"other", {etag}', '{opaque}, "other"'),
    *('"a,b", {opaque}', '"other",{opaque} ', "{opaque}x, {opaque}"),
)
ODD_TAGS = (
    *("W/{opaque}", 'W/"other"', 'W/"other", {opaque}', "*, {etag}", "bare", "bare, {opaque}"),
    *(",, {opaque}", '"unclosed'),
)
DATES = (
    *("{modified}", "{modified:b}", "{modified:c}", "{modified-1}", "{modified+1}", "{now-2}"),
    *("{modified-90000:c}", "{modified+90000:b}", "{now-100000}", "Sun, 6 Nov 1994 08:49:37 GMT"),
    *("Sunday, 06-Nov-70 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"),
)
ODD_DATES = (
    *("{now+100000}", "{now+100000:b}", "yesterday", "", "0", "Sun, 06 Nov 1994"),
    *("06 Nov 1994 08:49:37 GMT", "Thu, 32 Jan 2024 00:00:00 GMT", "1994-11-06T08:49:37Z"),
    *("Wed, 30 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0200"),
    *("Sun,  6 Nov 1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT"),
    *("Sun Nov 6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37"),
    *("sun, 06 nov 1994 08:49:37 gmt", "Sun, 06 Nov 1994 24:49:37 GMT"),
    *("Sun, 06 Nov 1994 23:59:60 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
    *("Sun, 06 Nov 1904 08:49:37 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
    "Sunday, 06-Nov-69 08:49:37 GMT",
)
_ODD_ITEMS = (
    *("", "-", "5", "1-2-3", "x-1", "1-x", " 1-2", "1-2 ", "1 -2", "1- 2", " -2", "- 2", "\t1-3"),
    *("+1-2", "1-+2", "1.0-2", "--1", "1--1", "\xb2-\xb3", "0x1-2", "-0", "-00", "007-0009"),
    *("0-9223372036854775808", "99999999999999999999-", "bytes=1-2", "0-"),
)
_tags = st.sampled_from(TAGS + ODD_TAGS)
_dates = st.sampled_from(DATES + ODD_DATES)
CONDITIONS = {
    "If-Match": _tags,
    "If-None-Match": _tags,
    "If-Modified-Since": _dates,
    "If-Unmodified-Since": _dates,
    "If-Range": _tags | _dates,
}


def _listed(firsts: Iterable[int], length: int) -> str:
    return ",".join(f"{first}-{first + length}" for first in firsts)


@st.composite
def _ranges(draw: st.DrawFn, size: int) -> str:
    """Draw a value of ``Range``; half of them are well formed."""
    edges = {0, 1, 2, 5, 9, size // 2, size - 2, size - 1, size, size + 1, 20_000, 2**63 - 1}
    number = st.sampled_from(sorted(edges - {-1, -2})) | st.integers(0, 100)
    item = st.one_of(
        st.builds("{}-{}".format, number, number),
        st.builds(lambda first, more: f"{first}-{first + more}", number, st.integers(0, 300)),
        number.map("{}-".format),
        number.map("-{}".format),
    )
    odd = st.sampled_from(_ODD_ITEMS)
    many = st.one_of(
        st.integers(18, 24).map(lambda most: _listed(range(most), 2)),
        st.integers(18, 24).map(lambda most: _listed(range(2 * most, 0, -2), 2)),
        st.sampled_from([90, 102, 597, 600, 603]).map(lambda end: _listed(range(0, end, 3), 0)),
    )
    match draw(st.sampled_from(["one", "one", "several", "several", "odd", "odd", "many"])):
        case "one":
            items = [draw(item)]
        case "several":
            items = draw(st.lists(item, min_size=2, max_size=5))
        case "odd":
            items = draw(st.lists(odd, min_size=1, max_size=2))
            items = draw(st.permutations(items + draw(st.lists(item, max_size=2))))
        case "many":
            items = [draw(many)]
    unit = draw(st.sampled_from(["bytes="] * 8 + ["Bytes=", "lines=", "bytes ", "bytes =", ""]))
    return unit + draw(st.sampled_from([",", ",", ",", ", ", " ,", ",,"])).join(items)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Draw a request with any of these headers, and up to three conditions."""
    file = draw(st.sampled_from(FILES))
    method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"]))
    headers = {"Range": draw(_ranges(file.size))} if draw(st.booleans()) else {}
    for name in draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=3, unique=True)):
        headers[name] = draw(CONDITIONS[name])
    return Question(file, method, headers)
