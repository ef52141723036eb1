"""What applications put on beside the extension changes nothing of a file, on any server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from flask_delegate.servers import SERVERS as BACKENDS
from tests.support.clients import Reply
from tests.support.running import Running
from tests.support.servers import SERVERS
from tests.support.sites import new_site
from tests.support.stacks import APPLICATION, STACKS

TEXT = b"0123456789\n" * 1000
PAGE = b"<script>1</script>\n" * 100
PROMISED = (
    *("Content-Type", "Content-Length", "Content-Disposition", "Content-Encoding"),
    *("Cache-Control", "ETag", "Last-Modified", "X-Content-Type-Options"),
)
ENCODINGS = "gzip, br, zstd"
EMPTY = '"da39a3ee5e6b4b0d3255bfef95601890afd80709"'
"""The ETag that Werkzeug gives an empty response."""


STREAMING = ("gunicorn", "waitress", "uwsgi")


@pytest.fixture(
    scope="module",
    params=[
        "mod_wsgi-daemon",
        "nginx-gunicorn",
        "caddy-gunicorn",
        "lighttpd-gunicorn",
        "xsendfile-mod_wsgi",
        "scgi",
        *STREAMING,
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    settings = {"DELEGATE_BACKEND": "stream"} if request.param in STREAMING else {}
    with new_site(**settings) as site:
        site.application = APPLICATION
        site.write("text.txt", TEXT)
        site.write("page.html", PAGE)
        with SERVERS[request.param](site) as running:
            yield running


def ask(server: Running, stack: str, path: str = "text.txt", **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.get(f"/{stack}/file/{path}", headers=fields)


def log_of(server: Running, stack: str) -> list[str]:
    lines: list[str] = json.loads(server.get(f"/{stack}/log").body)
    return lines


@pytest.mark.parametrize("stack", STACKS)
def test_a_file_arrives_as_without(server: Running, stack: str) -> None:
    for path, content, coding in (("text.txt", TEXT, ENCODINGS), ("page.html", PAGE, "identity")):
        usual = server.get(f"/file/{path}", headers={"Accept-Encoding": coding})
        reply = ask(server, stack, path, Accept_Encoding=coding)
        assert (reply.status, reply.body) == (200, content)
        for name in PROMISED:
            assert reply.headers.get_all(name) == usual.headers.get_all(name), name
        assert "Cookie" in reply["Vary"]
    assert reply["Content-Security-Policy"] == usual["Content-Security-Policy"]


@pytest.mark.parametrize("stack", STACKS)
def test_ranges_and_conditions_are_about_the_file(server: Running, stack: str) -> None:
    etag = ask(server, stack, Accept_Encoding=ENCODINGS)["ETag"]
    for name, value, status in (
        ("If_None_Match", etag, 304),
        ("If_None_Match", "*", 304),
        ("If_None_Match", EMPTY, 200),
        ("If_Match", etag, 200),
        ("If_Match", EMPTY, 412 if server.heeds_if_match else 200),
    ):
        reply = ask(server, stack, Accept_Encoding=ENCODINGS, **{name: value})
        assert reply.status == status, (name, value)
        assert status == 412 or "private" in reply["Cache-Control"]
    part = ask(server, stack, Accept_Encoding=ENCODINGS, Range="bytes=3-5")
    assert (part.status, part.body, part["Content-Range"]) == (206, b"345", "bytes 3-5/11000")


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_refused_stays_private(server: Running, stack: str) -> None:
    for path, who, status in (("text.txt", "bob", 403), ("missing.txt", "alice", 404)):
        reply = ask(server, stack, path, Cookie=f"who={who}")
        assert reply.status == status
        assert reply["Cache-Control"] == "private, no-cache"
        assert "Cookie" in reply["Vary"]


@pytest.mark.parametrize("stack", STACKS)
def test_one_line_names_each_header(server: Running, stack: str) -> None:
    for _ in range(2):
        ask(server, stack, "page.html")
    lines = [line for line in log_of(server, stack) if line.startswith("the header")]
    told = [(line.split()[2].rstrip(","), "is lost" in line) for line in lines]
    assert len(told) == len(set(told)), lines
    names = {name for name, _ in told}
    handed_off = not server.keeps.headers
    match stack.removesuffix("-outside"):
        case "changing" | "all":
            assert {"Cache-Control", "Content-Type"} <= names
        case "talisman":
            assert "Content-Security-Policy" in names
            assert ("X-Frame-Options" in names) == handed_off
        case "limiter":
            assert ("X-RateLimit-Limit" in names) == handed_off
        case "conditional":
            assert names <= {"ETag"}
        case _:
            assert names == set()


@pytest.mark.parametrize("stack", ["caching", "all"])
def test_a_cached_hand_off_is_stopped_and_the_log_says_why(server: Running, stack: str) -> None:
    first, second = (server.get(f"/{stack}/cached/text.txt") for _ in range(2))
    assert (first.status, first.body) == (200, TEXT)
    if server.keeps is BACKENDS["stream"].keeps:
        assert (second.status, second.body) == (200, TEXT)
        return
    assert (second.status, second["Cache-Control"]) == (500, "no-store")
    assert any("from a cache of responses" in line for line in log_of(server, stack))
    # Below the decorator it keeps the path, and asks who it is each time.
    assert ask(server, stack).body == TEXT
    assert ask(server, stack, Cookie="who=bob").status == 403
