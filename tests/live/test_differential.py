"""Ranges and conditions are answered alike by Apache's static files and by each backend.

Where a backend differs, the difference stands in a table of the documentation, and here with a
request that shows it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase, digits

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.answers import Answer, Client
from tests.support.paths import PROJECT
from tests.support.questions import (
    EMPTY,
    EPOCH,
    FILES,
    FRESH,
    FUTURE,
    ODD_DATES,
    ODD_TAGS,
    OLD,
    PAGES,
    YOUNG,
    File,
    Question,
    questions,
)
from tests.support.servers import SERVERS
from tests.support.sites import express, new_site

BACKENDS = {
    "mod_wsgi": "mod_wsgi-daemon",
    "scgi": "scgi",
    "nginx": "nginx-gunicorn",
    "caddy": "caddy-gunicorn",
    "lighttpd": "lighttpd-gunicorn",
    "xsendfile": "xsendfile-mod_wsgi",
    "stream": "gunicorn",
}
ALIKE = dict.fromkeys(["nginx-scgi", "nginx-uwsgi", "nginx-fastcgi"], "nginx")
"""Servers that answer as another one does, without a difference."""
OF_THEIR_OWN = {"nginx", *ALIKE, "caddy"}
"""Those whose ETags are their own."""
PLAIN = """
Alias "/plain/" "{root}/"
<Directory "{root}/">
    Require all granted
</Directory>
AddType "text/plain; charset=utf-8" .txt
AddType application/pdf .pdf
AddType application/octet-stream .bin
"""
NOTHING = "def application(environ, start): return start('204 No Content', []) and ()"
LEAST = 7_000  # requests


@dataclass(frozen=True)
class Difference:
    """A row of the table in ``docs/extension/servers.md``.

    :param request: its first cell.
    :param answers: what Apache, and each backend that differs, answers to ``example``: a status, or
        what stands in ``shown``.
    :param applies: whether a request may be answered differently.
    :param shown: what of an answer differs.
    """

    request: str
    example: Question
    answers: dict[str, object]
    applies: Callable[[Question], bool]
    shown: str = "status"


def touch(parts: list[range] | None) -> bool:
    ordered = sorted(parts or [], key=lambda part: part.start)
    close = any(one.stop >= other.start for one, other in pairwise(ordered))
    return close or len(ordered) > 200


def in_bytes(question: Question) -> bool:
    return question.headers.get("Range", "").lower().startswith("bytes=")


def is_conditional(question: Question) -> bool:
    return question.has("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


def asks(example: str, file: File = PAGES, method: str = "GET") -> Question:
    """Write a request as in ``Range: bytes=0-1; If-Range: "x"``."""
    headers = dict(one.split(": ", 1) for one in example.split("; ") if one)
    return Question(file, method, headers)


DIFFERENCES = (
    Difference(
        "`POST` with a condition",
        asks("If-None-Match: {etag}", method="POST"),
        {"apache": 412, "mod_wsgi": 304, "scgi": 304, "nginx": 304, "caddy": 304},
        lambda question: question.method == "POST" and is_conditional(question),
    ),
    Difference(
        "`If-Match`",
        asks('If-Match: "other"'),
        {"apache": 412, "lighttpd": 200},
        lambda question: question.has("If-Match"),
    ),
    Difference(
        "`If-Unmodified-Since`",
        asks("If-Unmodified-Since: {modified-1}"),
        {"apache": 412, "lighttpd": 200},
        lambda question: question.has("If-Unmodified-Since"),
    ),
    Difference(
        "`POST` or `HEAD` with a `Range`",
        asks("Range: bytes=0-1", method="POST"),
        {"apache": 206, "lighttpd": 200},
        lambda question: question.method != "GET" and question.has("Range"),
    ),
    Difference(
        "`POST`",
        asks("", method="POST"),
        {"apache": "bytes", "lighttpd": None},
        lambda question: question.method == "POST",
        "accepts",
    ),
    Difference(
        "several parts that are near each other, or more than ten",
        asks("Range: bytes=0-1,20-21"),
        {"apache": "multipart", "lighttpd": "application/pdf"},
        lambda question: "," in question.headers.get("Range", ""),
        "type",
    ),
    Difference(
        "a part behind the end",
        asks("Range: bytes=12000-"),
        {"apache": None} | dict.fromkeys(["nginx", "caddy", "stream"], "bytes */12000"),
        lambda question: question.has("Range"),
        "span",
    ),
    Difference(
        "`HEAD` of an empty file",
        asks("", EMPTY, "HEAD"),
        {"apache": None} | dict.fromkeys(["nginx", "caddy", "lighttpd", "stream"], "0"),
        lambda question: question.method == "HEAD" and question.file is EMPTY,
        "length",
    ),
    Difference(
        "a part, or several",
        asks("Range: bytes=0-1"),
        {"apache": "bytes", "nginx": None},
        lambda question: question.has("Range"),
        "accepts",
    ),
    Difference(
        "a malformed `Range`",
        asks("Range: bytes=2-1"),
        {"apache": 200, "nginx": 416, "caddy": 416, "lighttpd": 416},
        lambda question: in_bytes(question) and question.parts() is None,
    ),
    Difference(
        "a `Range` in another unit, or `Bytes`",
        asks("Range: lines=1-2"),
        {"apache": 200, "caddy": 416},
        lambda question: question.has("Range") and question.headers["Range"][:6] != "bytes=",
    ),
    Difference(
        "a part of an empty file",
        asks("Range: bytes=1-", EMPTY),
        {"apache": 200, "nginx": 416},
        lambda question: question.has("Range") and question.file is EMPTY,
    ),
    Difference(
        "the last bytes of an empty file",
        asks("Range: bytes=-2", EMPTY),
        {"apache": 200, "caddy": 206},
        lambda question: "-" in question.headers.get("Range", "") and question.file is EMPTY,
    ),
    Difference(
        "parts that overlap or touch, or more than 200",
        asks("Range: bytes=0-1,2-3"),
        {"apache": "application/pdf", "nginx": "multipart", "caddy": "multipart"},
        lambda question: in_bytes(question) and touch(question.parts()),
        "type",
    ),
    Difference(
        "`If-Unmodified-Since` or `If-Range` beside a condition for a 304",
        asks("If-Unmodified-Since: {modified}; If-None-Match: {etag}"),
        {"apache": 200, "nginx": 304, "caddy": 304, "lighttpd": 304},
        lambda question: (
            question.has("If-Unmodified-Since", "If-Range")
            and question.has("If-None-Match", "If-Modified-Since")
        ),
    ),
    Difference(
        "a date beside the tags that make it superfluous",
        asks("If-Match: {etag}; If-Unmodified-Since: {modified-1}"),
        {"apache": 412, "caddy": 200, "lighttpd": 200},
        lambda question: (
            (question.has("If-Match") and question.has("If-Unmodified-Since"))
            or (question.has("If-None-Match") and question.has("If-Modified-Since"))
        ),
    ),
    Difference(
        "a condition without a value",
        asks("If-Match: "),
        {"apache": 412, "caddy": 200, "lighttpd": 200},
        lambda question: "" in question.values("If-Match", "If-None-Match", "If-Range"),
    ),
    Difference(
        "a date whose day has one digit",
        asks("If-Unmodified-Since: Sun, 6 Nov 1994 08:49:37 GMT"),
        {"apache": 412, "caddy": 200, "lighttpd": 200},
        lambda question: "Sun, 6 Nov 1994 08:49:37 GMT" in question.headers.values(),
    ),
    Difference(
        "a date of the year 70, in two digits",
        asks("If-Modified-Since: Sunday, 06-Nov-70 08:49:37 GMT"),
        {"apache": 200, "lighttpd": 304},
        lambda question: "Sunday, 06-Nov-70 08:49:37 GMT" in question.headers.values(),
    ),
    Difference(
        "a malformed date, or one in the future",
        asks("If-Modified-Since: {now+100000}"),
        {"apache": 200, "nginx": 304, "caddy": 304, "lighttpd": 304},
        lambda question: bool(
            question.values("If-Modified-Since", "If-Unmodified-Since") & {*ODD_DATES}
        ),
    ),
    Difference(
        "weak or malformed tags in `If-Match` or `If-None-Match`",
        asks('If-Match: W/"other", {opaque}'),
        {"apache": 412, "nginx": 200, "caddy": 200, "lighttpd": 200},
        lambda question: bool(question.values("If-Match", "If-None-Match") & {*ODD_TAGS}),
    ),
    Difference(
        "a condition on a file of the last minute, or without a date",
        asks("If-Match: {etag}", FRESH),
        {"apache": 412, "nginx": 200, "caddy": 200, "lighttpd": 200},
        lambda question: (
            question.file in {YOUNG, FRESH, FUTURE, EPOCH}
            and (is_conditional(question) or question.has("If-Range"))
        ),
    ),
    Difference(
        "a file of the last second",
        asks("", FRESH),
        {"apache": "weak", "nginx": "strong", "caddy": "strong"},
        lambda question: question.file in {FRESH, FUTURE},
        "etag",
    ),
    Difference(
        "a file of the future",
        asks("", FUTURE),
        {"apache": "now", "nginx": "then", "caddy": "then"},
        lambda question: question.file is FUTURE,
        "modified",
    ),
    Difference(
        "the ETag of a file without a date (1970)",
        asks("", EPOCH),
        {"apache": "strong", "caddy": None},
        lambda question: question.file is EPOCH,
        "etag",
    ),
    Difference(
        "the date of a file without one",
        asks("", EPOCH),
        {"apache": "now", "caddy": None},
        lambda question: question.file is EPOCH,
        "modified",
    ),
)


class Servers:
    """Apache's static files, and each backend with the same files."""

    def __init__(self, root: Path, clients: dict[str, Client]) -> None:
        self._root, self.clients = root, clients

    def ask(self, question: Question) -> dict[str, Answer]:
        """Ask each of them, within one second by the clock where the file is not old."""
        for _ in range(50):
            before = time.time()
            question.file.touch(self._root / question.file.name)
            found = {name: client.ask(question) for name, client in self.clients.items()}
            if question.file.age is None or int(before) == int(time.time()):
                return {name: comparable(name, answer) for name, answer in found.items()}
        raise AssertionError("the servers take longer than a second")


def comparable(name: str, answer: Answer) -> Answer:
    """Say of ETags that differ by themselves only whether there is one, and of which kind."""
    if answer.etag is None or name not in OF_THEIR_OWN:
        return answer
    return replace(answer, etag=kind(answer.etag))


def kind(etag: str) -> str:
    return "weak" if etag.startswith("W/") else "strong"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        plain = stack.enter_context(new_site())
        for file in FILES:
            file.write(plain.root / file.name)
        include = PLAIN.format(root=plain.root)
        apache = stack.enter_context(express(plain, NOTHING, include=include))
        clients = {"apache": stack.enter_context(Client(apache.port, "/plain/"))}
        for name, server in [*BACKENDS.items(), *((name, name) for name in ALIKE)]:
            site = stack.enter_context(new_site())
            for file in FILES:
                os.link(plain.root / file.name, site.root / file.name)
            running = stack.enter_context(SERVERS[server](site))
            clients[name] = stack.enter_context(Client(running.port, "/file/"))
        yield Servers(plain.root, clients)


def unexplained(name: str, question: Question, apache: Answer, answer: Answer) -> set[str]:
    """Return what of a backend's answer differs from Apache's, and in no row of the table."""
    if name in OF_THEIR_OWN and apache.etag:
        apache = replace(apache, etag=kind(apache.etag))
    rows = [row for row in DIFFERENCES if name in row.answers and row.applies(question)]
    if any(row.shown in {"status", "type"} for row in rows):
        return set()
    return answer.differences(apache) - {row.shown for row in rows}


@settings(
    max_examples=1_000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(question=questions())
def compare(servers: Servers, question: Question) -> None:
    answers = servers.ask(question)
    for name in BACKENDS:
        found = unexplained(name, question, answers["apache"], answers[name])
        assert not found, f"{name}: {sorted(found)}\n{answers['apache']}\n{answers[name]}"
    for name, other in ALIKE.items():
        assert answers[name] == answers[other]


def test_backends_answer_as_apache_or_as_documented(servers: Servers) -> None:
    compare(servers)
    assert sum(client.asked for client in servers.clients.values()) >= LEAST


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.request)
def test_a_documented_difference_is_one(servers: Servers, row: Difference) -> None:
    answers = servers.ask(row.example)
    expected = dict.fromkeys(answers, row.answers["apache"]) | row.answers
    expected |= {name: expected[other] for name, other in ALIKE.items()}
    assert {name: described(row.shown, answers[name]) for name in answers} == expected


def described(what: str, answer: Answer) -> object:
    value = getattr(answer, what)
    if value is None:
        return None
    if what == "etag":
        return kind(value)
    if what == "modified":
        return "then" if parsedate_to_datetime(value).timestamp() > time.time() + 60 else "now"
    return value


def test_the_documentation_has_each_difference() -> None:
    page = (PROJECT / "docs/extension/servers.md").read_text()
    table = page.partition("\n## Ranges and conditions\n")[2].partition("\n## ")[0]
    cells = re.findall(r"(?m)^\| (.+?) \|", table)
    assert cells[1:] == [row.request for row in DIFFERENCES]


def test_an_etag_is_size_and_time(servers: Servers) -> None:
    size = f"{PAGES.size:x}"
    own = {
        "nginx": f'"{OLD // 10**9:x}-{size}"',
        "caddy": f'"{in_base_36(OLD)}-{in_base_36(PAGES.size)}"',
    }
    for name, client in servers.clients.items():
        expected = own.get(ALIKE.get(name, name), f'"{size}-{OLD // 1000:x}"')
        assert client.ask(Question(PAGES)).etag == expected


def in_base_36(number: int) -> str:
    rest, digit = divmod(number, 36)
    return (in_base_36(rest) if rest else "") + (digits + ascii_lowercase)[digit]
