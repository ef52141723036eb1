"""An application whose views call Flask's send_file gains the hand-off by one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.clients import Reply
from tests.support.examples import OLD, example, served, session_cookie
from tests.support.patients import Patient, doctor, write_application
from tests.support.python_servers import GUNICORN, streaming
from tests.support.running import Running
from tests.support.servers import SERVERS
from tests.support.sites import Site, new_site

SOURCE = example("library")
LINES = ("\nfrom flask_delegate import Delegate\n", "Delegate(app)  # the line that was added\n")
BOOK = b"%PDF-1.7 " + b"0123456789\n" * 20_000
HANDING_OFF = {
    "mod_wsgi-daemon": "auto",
    "site-debians-mod_wsgi": "auto",
    "nginx-gunicorn": "nginx",
    "scgi": "scgi",
    "nginx-scgi": "nginx",
    "caddy-gunicorn": "caddy",
    "lighttpd-gunicorn": "lighttpd",
    "xsendfile-proxy": "xsendfile",
}


@dataclass
class Library:
    """The application before and after the line was added, each on a server."""

    site: Site
    before: Running
    after: Running
    name: str
    cookie: str

    def ask(self, server: Running, target: str, **headers: str) -> Reply:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return server.get(target, headers={"Cookie": self.cookie, **fields})

    def both(self, target: str, **headers: str) -> tuple[Reply, Reply]:
        return self.ask(self.before, target, **headers), self.ask(self.after, target, **headers)

    @property
    def hands_off(self) -> bool:
        return self.name in HANDING_OFF


@pytest.fixture(scope="module", params=[*HANDING_OFF, "gunicorn", "waitress", "uwsgi"])
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    with new_site() as site, ExitStack() as stack:
        site.write("1.pdf", BOOK)
        site.write("größe 日本.html", b"<script>1</script>")
        site.write("a.tar.gz", b"\x1f\x8b")
        site.write("empty.txt", b"")
        (site.root / "outside.txt").symlink_to("/etc/hostname")
        without = SOURCE
        for line in LINES:
            assert line in without
            without = without.replace(line, "")
        site.application = served(site, without)
        before = stack.enter_context(streaming(*GUNICORN)(site))
        site.settings["DELEGATE_BACKEND"] = HANDING_OFF.get(request.param, "auto")
        site.application = OLD + served(site, SOURCE, DELEGATE_SEND_FILE="true")
        write_application(site, site.application)
        after = stack.enter_context(SERVERS[request.param](site))
        yield Library(site, before, after, request.param, session_cookie(reader=1))


SAME = ("Content-Type", "Content-Disposition", "Last-Modified", "Content-Range", "Content-Encoding")
TARGETS = {
    "a book": ("/book/1.pdf", True),
    "a copy with a name": ("/copy/1", True),
    "a page with an odd name": (
        "/book/gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.html",
        True,
    ),
    "an empty file": ("/book/empty.txt", True),
    "a compressed archive": ("/book/a.tar.gz", False),
    "a file behind a link": ("/book/outside.txt", False),
    "a file with a cookie": ("/borrowed/1.pdf", None),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_file_arrives_as_it_did_before(library: Library, name: str) -> None:
    target, is_handed_off = TARGETS[name]
    if (library.name, name) == ("caddy-gunicorn", "a compressed archive"):
        return  # Caddy unpacks what an application sends with a Content-Encoding
    if is_handed_off is None:
        is_handed_off = library.after.keeps.cookies
    before, after = library.both(target)
    assert (after.status, after.body) == (before.status, before.body)
    for header in SAME:
        assert after.get(header) == before.get(header), header
    is_new = library.hands_off and is_handed_off
    assert (after.get("ETag") != before.get("ETag")) == is_new
    assert after.get("Set-Cookie") == before.get("Set-Cookie")
    policy = str(before["Cache-Control"])
    assert after["Cache-Control"] == (
        f"private, {policy.removeprefix('public, ')}" if is_new else policy
    )
    for header in ("Location", "X-Accel-Redirect", "X-Sendfile", "Content-Security-Policy"):
        assert header not in after.headers


@pytest.mark.parametrize("span", ["bytes=0-0", "bytes=100-", "bytes=-5", "bytes=9-99999999"])
def test_parts_are_those_of_before(library: Library, span: str) -> None:
    before, after = library.both("/copy/1", Range=span)
    assert (after.status, after.body) == (before.status, before.body)
    assert after["Content-Range"] == before["Content-Range"]
    assert library.ask(library.after, "/copy/1", Range="bytes=999999-").status == 416


def test_conditions_are_about_what_the_server_said(library: Library) -> None:
    first = library.ask(library.after, "/book/1.pdf")
    for header in ("ETag", "Last-Modified"):
        condition = "If_None_Match" if header == "ETag" else "If_Modified_Since"
        again = library.ask(library.after, "/book/1.pdf", **{condition: first[header]})
        assert (again.status, again.body) == (304, b"")
        assert again["Cache-Control"].startswith("private") == library.hands_off
    resumed = library.ask(library.after, "/book/1.pdf", Range="bytes=9-", If_Range=first["ETag"])
    assert (resumed.status, resumed.body) == (206, BOOK[9:])
    stale = library.ask(library.after, "/book/1.pdf", Range="bytes=9-", If_Range='"other"')
    assert (stale.status, stale.body) == (200, BOOK)
    matched = library.ask(library.after, "/book/1.pdf", If_Match=first["ETag"])
    assert (matched.status, matched.body) == (200, BOOK)
    other = library.ask(library.after, "/book/1.pdf", If_Match='"other"')
    assert other.status == (412 if library.after.heeds_if_match else 200)


def test_head_is_as_get(library: Library) -> None:
    got = library.ask(library.after, "/copy/1")
    headers = {"Cookie": library.cookie}
    head = library.after.get("/copy/1", method="HEAD", headers=headers)
    assert (head.status, head.body) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Content-Disposition", "Cache-Control"):
        assert head[name] == got[name]


@pytest.mark.parametrize("target", ["/book/1.pdf", "/copy/1", "/private/1.pdf", "//private/1.pdf"])
def test_a_stranger_gets_nothing(library: Library, target: str) -> None:
    reply = library.after.get(target)
    assert reply.status in (403, 404)
    assert b"%PDF" not in reply.body


@pytest.mark.parametrize("target", ["/book/..%2f..%2fetc/passwd", "/book/no.pdf", "/book/"])
def test_what_is_not_there_is_a_404(library: Library, target: str) -> None:
    before, after = library.both(target)
    assert before.status == 404
    assert after.status in (400, 404)  # nginx refuses dots by itself


def test_the_doctor_tells_the_routes(library: Library) -> None:
    if library.name not in ("mod_wsgi-daemon", "nginx-gunicorn"):
        return
    for target in ("/book/1.pdf", "/borrowed/1.pdf"):
        assert library.ask(library.after, target).status == 200
    url = f"http://127.0.0.1:{library.after.port}/"
    _, report = doctor(library.site, Patient(url, ["--header", f"Cookie: {library.cookie}"]))
    found = {
        item["seen"].partition(" ")[0]: item
        for item in report["findings"]
        if item["check"] == "send-file"
    }
    assert set(found) == {"/book/<path:name>", "/copy/<int:number>", "/borrowed/<path:name>"}
    assert found["/book/<path:name>"]["seen"].count("handed off") == 1
    assert "lies in no area" in found["/book/<path:name>"]["seen"]
    lost = found["/borrowed/<path:name>"]
    if library.name == "nginx-gunicorn":
        assert lost["level"] == "ok"
    else:
        assert "the cookie 'last' would not arrive." in lost["seen"]
        assert lost["fix"] == "Set the cookie in another request."
