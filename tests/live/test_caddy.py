"""Caddy sends what a hand-off of this application names, and nothing else, whatever is around."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest

from flask_delegate.doctor.requests.client import answer_to, parse_url
from tests.support.application import APPLICATION
from tests.support.caddies import ENCODED, caddy_in_front, program
from tests.support.clients import file_url, get
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, new_site
from tests.support.spellings import MARK, attacks

NAME = "report.txt"
RAW = (
    APPLICATION
    + """
from urllib.parse import parse_qsl


def application(environ, start_response):
    if environ["PATH_INFO"] != "/raw":
        return app(environ, start_response)
    headers = parse_qsl(environ["QUERY_STRING"])
    start_response(dict(headers).get("Status", "200 OK"), [*headers, ("Content-Length", "0")])
    return []


app, guarded = application, app
"""
).replace("return app(environ", "return guarded(environ")
AROUND = {
    "encode": ENCODED,
    "header": "header {\n Cache-Control public\n Vary X\n X-Frame-Options SAMEORIGIN\n Expires 0\n"
    " Content-Type text/html\n Content-Disposition inline\n X-Content-Type-Options no\n}",
    "root": "root * /etc",
    "redirects": "redir /private/* /elsewhere\nhandle_errors {\n respond banner\n}",
    "rewrite": "uri strip_prefix /none\nrequest_header X-Other 1",
    "files": "@etc path /etc/*\nfile_server @etc browse",
    "log": "log {\n output discard\n}",
}


@contextmanager
def serving(site: Site) -> Iterator[int]:
    with (
        python_server(site, *GUNICORN, application=RAW) as upstream,
        caddy_in_front(site, upstream, around="") as port,
    ):
        yield port


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Site, int]]:
    headers = {"X-Frame-Options": "DENY"}
    with new_site(DELEGATE_BACKEND="caddy", DELEGATE_HEADERS=headers) as site:
        site.write(NAME, MARK)
        site.write("page.html", MARK * 100)
        site.write("folder/index.html", MARK)
        (site.folder / "files-secret").mkdir()
        (site.folder / "files-secret" / "x").write_bytes(MARK)
        with serving(site) as port:
            yield site, port


def raw(port: int, **headers: str) -> bytes:
    query = urlencode({name.replace("_", "-"): value for name, value in headers.items()})
    return answer(port, f"GET /raw?{query} HTTP/1.0\r\n\r\n".encode())


def answer(port: int, request: bytes) -> bytes:
    """Send a request as it is. To Caddy, a client that closes its side has hung up."""
    return answer_to(parse_url(f"http://127.0.0.1:{port}/"), request) or b""


def test_no_request_gets_the_file_without_the_application(shared: tuple[Site, int]) -> None:
    site, port = shared
    assert get(port, file_url(NAME)).body == MARK
    assert [one.to() for one in attacks(NAME) if MARK in answer(port, one.to())] == []
    token = {"X-Flask-Delegate-Token": site.token(), "X-Accel-Redirect": f"/private/{NAME}"}
    assert MARK not in get(port, f"/private/{NAME}", headers=token).body


def test_a_hand_off_needs_the_token_and_a_200(shared: tuple[Site, int]) -> None:
    site, port = shared
    named = {"X_Accel_Redirect": f"/private/{NAME}"}
    token = {"X_Flask_Delegate_Token": site.token()}
    assert MARK in raw(port, **named, **token)
    for headers in (
        named,
        named | {"X_Flask_Delegate_Token": "0" * 32},
        named | {"X_Flask_Delegate_Token": ""},
        named | {"X_Flask_Delegate_Token": site.token()[:-1] + "*"},
        named | token | {"Status": "404 Missing"},
    ):
        said = raw(port, **headers)
        assert said.split()[1] == b"500"
        for secret in (MARK, b"/private/", site.token().encode()):
            assert secret not in said


@pytest.mark.parametrize(
    "path",
    [
        *("/private/../files-secret/x", "/private/..%2Ffiles-secret/x", "/private-secret/x"),
        *("/private/%2e%2e/files-secret/x", "/privatefiles-secret/x", "//private/../x"),
        *("/private/folder", "/private/folder/", "/private/", "/private", "", "/"),
        *("/private/missing", "/private/report.txt/", "/private/{env.HOME}", "/private/%00"),
        *("/private/report.txt%3F", "/private/%zz", "*", "http://127.0.0.1/private/folder"),
    ],
)
def test_even_a_token_opens_files_of_the_area_only(shared: tuple[Site, int], path: str) -> None:
    site, port = shared
    said = raw(port, X_Accel_Redirect=path, X_Flask_Delegate_Token=site.token())
    is_that_file = path == "/private/report.txt/"
    assert (MARK in said) == is_that_file
    assert is_that_file or said.split()[1] in {b"400", b"403", b"404", b"500"}
    for secret in (b"Location", b"files-secret", site.token().encode()):
        assert secret not in said


def test_what_cannot_be_sent_shows_no_token(shared: tuple[Site, int]) -> None:
    site, port = shared
    said = raw(
        port,
        X_Accel_Redirect="/private/missing",
        X_Flask_Delegate_Token=site.token(),
        Cache_Control="private",
    )
    assert said.split()[1] == b"404"
    assert b"Cache-Control: private\r\n" in said
    assert site.token().encode() not in said


def test_what_a_proxy_may_transform_says_that_it_must_not(shared: tuple[Site, int]) -> None:
    _, port = shared
    for accepted, policy in (
        (None, "private, max-age=9"),
        ("identity", "private, max-age=9"),
        ("gzip, br", "private, max-age=9, no-transform"),
    ):
        headers = {"Accept-Encoding": accepted} if accepted else {}
        reply = get(port, file_url(NAME, max_age=9), headers=headers)
        assert reply["Cache-Control"] == policy
        assert reply["Vary"] == "Cookie"


SHOWN = (
    *("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Expires"),
    *("Content-Security-Policy", "Content-Type", "ETag", "Last-Modified", "Vary"),
    *("X-Content-Type-Options", "X-Frame-Options", "Accept-Ranges", "Transfer-Encoding"),
)
ASKED: tuple[dict[str, str], ...] = (
    {"Accept-Encoding": "gzip, zstd, br"},
    {"Accept-Encoding": "gzip", "Range": "bytes=2-5"},
    {"If-Modified-Since": "Fri, 27 Nov 2037 05:00:00 GMT"},
)


def answers(port: int) -> list[tuple[object, ...]]:
    replies = [get(port, file_url("page.html"), headers=headers) for headers in ASKED]
    return [
        (one.status, one.body, [one.headers.get_all(name) for name in SHOWN]) for one in replies
    ]


def test_what_stands_around_changes_nothing_of_a_file(shared: tuple[Site, int]) -> None:
    site, port = shared
    usual = answers(port)
    assert [answer[0] for answer in usual] == [200, 206, 304]
    with python_server(site, *GUNICORN) as upstream:
        for around in (*AROUND.values(), "\n".join(AROUND.values())):
            with caddy_in_front(site, upstream, around=around) as other:
                assert answers(other) == usual, around


def test_each_area_has_its_folder_and_its_token(site: Site) -> None:
    site.write(NAME, MARK)
    photos = site.folder / 'a "photo" {env.HOME}'.replace('"', "'").replace("{env.HOME}", "(1)")
    photos.mkdir()
    (photos / "a b#?%.png").write_bytes(b"png")
    site.settings |= {
        "DELEGATE_BACKEND": "caddy",
        "DELEGATE_AREAS": {"photos": {"root": str(photos), "url": "/photos.d/"}},
    }
    with serving(site) as port:
        assert get(port, file_url(NAME)).body == MARK
        assert get(port, file_url("a b#?%.png", area="photos")).body == b"png"
        wrong = raw(port, X_Accel_Redirect=f"/photos.d/{NAME}", X_Flask_Delegate_Token=site.token())
        assert wrong.split()[1] == b"404"


def test_any_name_is_found(shared: tuple[Site, int]) -> None:
    site, port = shared
    names = [bytes([byte]) + b"x" + bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    names += [b"{env.HOME}", b"{http.request.host}", b"%2e%2e", b"..x", b"...", b"-", b"a//b"[:1]]
    for name in names:
        site.write(name, name)
    for name in names:
        reply = get(port, f"/hex/{name.hex()}")
        assert (reply.status, reply.body) == (200, name), name


def test_the_generated_file_is_as_caddy_formats_it(shared: tuple[Site, int]) -> None:
    site, _ = shared
    text = site.config("caddy", "--receipts", "/var/log/x")
    done = subprocess.run(
        [program(), "fmt", "-"], input=text.replace("    ", "\t"), capture_output=True, text=True
    )
    assert done.stdout == text.replace("    ", "\t")
