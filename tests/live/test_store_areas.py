"""Objects of real stores, sent by real servers."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest

from flask_delegate.doctor.requests.client import answer_to, parse_url
from flask_delegate.doctor.requests.families import FAMILIES, requests
from tests.support.application import with_raw_location
from tests.support.clients import Reply, everything, get, over_http2, send
from tests.support.extension import behind_apache, serve
from tests.support.running import Running
from tests.support.servers import SERVERS
from tests.support.sites import Site, new_site
from tests.support.store_area import APPLICATION, SERVE, settings_for, url_of
from tests.support.store_settings import URL
from tests.support.stores import RunningStore, seaweedfs, swift

STORES: dict[str, Callable[[Path], AbstractContextManager[RunningStore]]] = {
    "seaweedfs": seaweedfs,
    "swift": swift,
}
KEY = "folder/report.txt"
CONTENT = b"".join(b"%04d private content\n" % number for number in range(500))
NAME = 'Bär; "50%".txt'
DISPOSITION = "inline; filename=\"Bar_ _50__.txt\"; filename*=UTF-8''B%C3%A4r%3B%20%2250%25%22.txt"
# SeaweedFS keeps objects as files: it takes "a//b" for "a/b", and has no names above 255 bytes.
AWKWARD = [
    *("a b", "50%", "%2F", "%zz", "what?", "a#b", "a+b&c=d;e", "'\"<>", "ä", "a\u0308", "😀"),
    *("~tilde", "star*", "[b]", "(c)", "a:b@c,d$!", "\x01", "new\nline", "tab\there", "...", ".a"),
    *("deep/er/still/x", "x" * 255, "/".join(["y" * 200] * 5)),
]
EXACT = ["a//b", "/lead", "//two", "a\\b", "trail/", "x" * 1000]


@dataclass(frozen=True)
class Served:
    """An area in a store behind a server."""

    server: str
    store_name: str
    store: RunningStore
    running: Running
    site: Site
    etag: str

    def ask(
        self, key: str = KEY, method: str = "GET", *, options: str = "", **headers: str
    ) -> Reply:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.running.get(url_of(key) + options, method=method, headers=fields)


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, RunningStore]]:
    with STORES[request.param](tmp_path_factory.mktemp("store")) as running:
        yield request.param, running


@pytest.fixture(scope="module", params=SERVE)
def served(request: pytest.FixtureRequest, store: tuple[str, RunningStore]) -> Iterator[Served]:
    store_name, running_store = store
    etag = running_store.put(KEY, CONTENT, "text/html")
    with new_site(**settings_for(running_store)) as site:
        site.write("report.txt")
        if request.param == "nginx":
            site.settings["DELEGATE_AREAS"]["media"]["backend"] = "nginx"
        with SERVE[request.param](site) as running:
            yield Served(request.param, store_name, running_store, running, site, etag)


def test_an_object_arrives_as_it_was_described(served: Served) -> None:
    options = f"download_name={quote(NAME)}&max_age=60&csp=sandbox&sha256={'0a' * 32}"
    reply = served.ask(options=options)
    assert (reply.status, reply.body) == (200, CONTENT)
    expected = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": DISPOSITION,
        "Content-Length": str(len(CONTENT)),
        "Content-Security-Policy": "sandbox",
        "Repr-Digest": "sha-256=:CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=:",
        "Cache-Control": "private, max-age=60",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Cookie",
        "ETag": served.etag,
        "Accept-Ranges": "bytes",
    }
    assert {name: reply.headers.get_all(name) for name in expected} == {
        name: [value] for name, value in expected.items()
    }
    assert reply.get("Last-Modified")


@pytest.mark.parametrize("name", ["nginx-uwsgi", "nginx-fastcgi"])
def test_an_object_arrives_by_another_protocol(store: tuple[str, RunningStore], name: str) -> None:
    etag = store[1].put(KEY, CONTENT, "text/html")
    with new_site(**settings_for(store[1])) as site:
        site.settings["DELEGATE_AREAS"]["media"]["backend"] = "nginx"
        site.application = APPLICATION
        with SERVERS[name](site) as running:
            whole = running.get(url_of(KEY, download_name=quote(NAME), max_age=60, csp="sandbox"))
            part = running.get(url_of(KEY), headers={"Range": "bytes=2-5", "If-Range": etag})
            assert running.get(url_of(KEY), headers={"If-None-Match": etag}).status == 304
            assert running.get(url_of("missing")).status == 404
            assert running.get_directly(f"{URL}{KEY}").status in (403, 404)
    assert (whole.status, whole.body, whole["ETag"]) == (200, CONTENT, etag)
    assert whole["Content-Disposition"] == DISPOSITION
    assert whole["Cache-Control"] == "private, max-age=60"
    assert whole["Content-Security-Policy"] == "sandbox"
    assert (part.status, part.body) == (206, CONTENT[2:6])


def test_no_header_of_the_store_arrives(served: Served) -> None:
    usual = {"accept-ranges", "cache-control", "connection", "content-disposition", "server"}
    usual |= {"content-length", "content-range", "content-type", "date", "etag", "last-modified"}
    usual |= {"vary", "x-content-type-options", "keep-alive", "upgrade"}
    for headers in ({}, {"Range": "bytes=0-1"}, {"Origin": "http://elsewhere.invalid"}):
        reply = served.ask(**headers)
        assert {name.lower() for name in reply.headers} <= usual
        assert reply.get("Server") in ("Apache", "gunicorn") or "nginx" in str(reply.get("Server"))


def test_head(served: Served) -> None:
    for options in ("", f"size={len(CONTENT)}&etag={quote(served.etag)}"):
        reply = served.ask(method="HEAD", options=options)
        assert (reply.status, reply.body) == (200, b"")
        assert reply.get("Content-Length") == str(len(CONTENT))
        assert reply.get("ETag") == served.etag
        assert reply.get("Content-Type") == "text/plain; charset=utf-8"
        assert served.ask(method="HEAD", options=options, If_None_Match=served.etag).status == 304
        assert served.ask(method="HEAD", options=options, If_Match='"x"').status == 412
    assert served.ask("missing", "HEAD").status == 404


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("0-0", slice(0, 1)),
        ("100-199", slice(100, 200)),
        ("10000-", slice(10000, None)),
        ("-7", slice(-7, None)),
    ],
)
def test_a_part(served: Served, asked: str, part: slice) -> None:
    reply = served.ask(Range=f"bytes={asked}")
    assert (reply.status, reply.body) == (206, CONTENT[part])
    start, stop, _ = part.indices(len(CONTENT))
    assert reply.get("Content-Range") == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert reply.get("Content-Type") == "text/plain; charset=utf-8"


def test_several_parts(served: Served) -> None:
    """They are not asked for: what some stores send of them has a type of its own."""
    served.store.put("small", CONTENT[:1000])
    for key, content in ((KEY, CONTENT), ("small", CONTENT[:1000])):
        reply = served.ask(key, Range="bytes=0-1,100-104")
        assert (reply.status, reply.body) == (200, content)


def test_a_part_behind_the_end(served: Served) -> None:
    reply = served.ask(Range=f"bytes={len(CONTENT)}-")
    assert reply.status == 416
    says_size = served.store_name == "seaweedfs" and served.server != "apache"
    assert (reply.get("Content-Range") == f"bytes */{len(CONTENT)}") is says_size
    check_page(served, reply)


def check_page(served: Served, reply: Reply) -> None:
    """A refusal is short, says nothing of the store, and is not kept or saved as the file."""
    shown = reply.body + str(reply.headers).encode()
    for secret in (
        served.store.bucket,
        "report",
        "missing",
        "NoSuchKey",
        "<Error>",
        "X-Amz",
        "x-amz",
    ):
        assert secret.encode() not in shown
    assert served.store.access_key.encode() not in shown
    assert str(served.store.port).encode() not in shown
    assert len(reply.body) < 500
    assert "Content-Disposition" not in reply.headers
    assert reply.get("ETag") is None


def test_conditions(served: Served) -> None:
    modified = str(served.ask().get("Last-Modified"))
    later, earlier = "Fri, 28 Nov 2036 10:00:00 GMT", "Thu, 28 Nov 2024 10:00:00 GMT"
    for headers, status in (
        ({"If_None_Match": served.etag}, 304),
        ({"If_None_Match": f'"x", {served.etag}'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_Modified_Since": modified}, 304),
        ({"If_Modified_Since": earlier}, 200),
        ({"If_Match": served.etag}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Unmodified_Since": later}, 200),
        ({"If_Unmodified_Since": earlier}, 412),
    ):
        reply = served.ask(**headers)
        assert (headers, reply.status) == (headers, status)
        assert reply.body == CONTENT if status == 200 else len(reply.body) < 500
        if status == 304:
            assert (reply.body, reply.get("ETag")) == (b"", served.etag)
            assert reply.get("Cache-Control") == "private, no-cache"
        if status == 412:
            check_page(served, reply)


def test_a_download_is_resumed_only_where_nothing_has_changed(served: Served) -> None:
    known = f"etag={quote(served.etag)}"
    modified = str(served.ask().get("Last-Modified"))
    for options, condition, status in (
        (known, served.etag, 206),
        (known, '"stale"', 200),
        (known, modified, 200),
        ("", served.etag, 206),
        # What the view does not know, the store compares: it cannot send the whole then.
        ("", '"stale"', 412),
        ("", modified, 200),
    ):
        reply = served.ask(options=options, Range="bytes=100-", If_Range=condition)
        assert (options, condition, reply.status) == (options, condition, status)
        if status != 412:
            assert reply.body == CONTENT[100 if status == 206 else 0 :]


def test_a_download_is_not_resumed_with_another_object(served: Served) -> None:
    """What the view knows of it may be out of date."""
    old = served.store.put("replaced", b"O" * 1000)
    known = f"etag={quote(old)}"
    served.store.put("replaced", b"N" * 1000)
    reply = served.ask("replaced", options=known, Range="bytes=500-", If_Range=old)
    assert reply.status == 412
    check_page(served, reply)
    served.store.put("replaced", b"O" * 1000)
    reply = served.ask("replaced", options=known, Range="bytes=500-", If_Range=old)
    assert (reply.status, reply.body) == (206, b"O" * 500)


def test_a_coding_of_the_object_s_own_arrives(served: Served) -> None:
    packed = gzip.compress(CONTENT, mtime=0)
    served.store.client.put_object(
        Bucket=served.store.bucket, Key="packed.txt", Body=packed, ContentEncoding="gzip"
    )
    for method in ("GET", "HEAD"):
        reply = served.ask("packed.txt", method)
        assert (reply.status, reply.get("Content-Encoding")) == (200, "gzip")
        assert reply.get("Content-Length") == str(len(packed))
        assert reply.body == (packed if method == "GET" else b"")


def test_awkward_keys(served: Served) -> None:
    exact = EXACT if served.store_name == "swift" else []
    for key in AWKWARD + exact:
        content = b"content of " + key.encode()
        served.store.put(key, content)
        reply = served.ask(key, options="download_name=x.bin")
        assert (key, reply.status, reply.body) == (key, 200, content)
        assert served.ask(key, "HEAD", options="download_name=x.bin").status == 200


def test_what_the_store_does_not_have(served: Served) -> None:
    reply = served.ask("missing.txt")
    assert reply.status == 404
    check_page(served, reply)


def test_an_empty_object(served: Served) -> None:
    served.store.put("empty", b"")
    reply = served.ask("empty")
    assert (reply.status, reply.body) == (200, b"")


def test_a_post_gets_the_object_too(served: Served) -> None:
    reply = served.running.get(url_of(KEY), method="POST", body=b"x" * 100)
    assert (reply.status, reply.body) == (200, CONTENT)
    if served.server == "apache":  # where mod_wsgi asks for a length
        return
    chunked = {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}
    target = url_of(KEY).encode()
    head = b"".join(f"{name}: {value}\r\n".encode() for name, value in chunked.items())
    raw = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n3\r\nabc\r\n0\r\n\r\n"
    reply = send(served.running.port, raw % (target, head), method="POST")
    assert (reply.status, reply.body) == (200, CONTENT)


def test_whoever_may_not_have_it_does_not_get_it(served: Served) -> None:
    assert served.ask(Cookie="who=bob").status == 403


def test_files_of_a_folder_are_sent_beside_it(served: Served) -> None:
    reply = served.running.get("/file/report.txt")
    assert (reply.status, reply.body) == (200, b"private content\n")


def test_what_a_client_says_of_itself_changes_nothing(served: Served) -> None:
    """Nor can it make the store refuse, or use another signature."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=x",
        "Cookie": "who=ann",
        "X-Amz-Date": "20200101T000000Z",
        "X-Amz-Content-Sha256": "x",
        "X-Amz-Security-Token": "x",
        "X-Amz-Acl": "public-read",
        "X-Amz-Cf-Id": "cloudfront",
        "X-Amz-Tagging": "a=b",
        "Content-MD5": "x",
        "Max-Forwards": "0",
        "X-Auth-Token": "x",
        "X-Forwarded-Host": "elsewhere.invalid",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Prefix": "/x",
        "X-Flask-Delegate-Target": "/other/key",
        "X-Accel-Redirect": "/elsewhere/",
        "Accept-Encoding": "gzip, br",
        "Referer": "http://127.0.0.1/secret",
        "TE": "trailers",
    }
    for name, value in headers.items():
        reply = served.running.get(url_of(KEY), headers={name: value})
        assert (name, reply.status, reply.body) == (name, 200, CONTENT)


@pytest.mark.parametrize("rate", [200_000])
def test_a_rate_limit(served: Served, rate: int) -> None:
    content = b"x" * 600_000
    served.store.put("large", content)
    began = time.monotonic()
    reply = served.ask("large", options=f"rate_limit={rate}")
    assert reply.body == content
    # The servers' rate limits are on in both; streaming says that it has none.
    assert (time.monotonic() - began > 1) is (served.server != "stream")


def test_no_direct_request_gets_an_object(served: Served) -> None:
    """Nor does one with the signature of a hand-off."""
    path, query = handed_off(served)
    marker, target = CONTENT[:20], parse_url(f"http://127.0.0.1:{served.running.port}/")
    made = 0
    names = [KEY, f"{KEY}?{query}"]
    for family, name in product(FAMILIES, names):
        for attack in requests(family, URL, name):
            made += 1
            # Apache leaves some unanswered until the client ends, when nginx gives up.
            if served.server == "apache":
                answer = everything(served.running.port, attack.to())
            else:
                answer = answer_to(target, attack.to()) or b""
            assert marker not in answer, attack.target
    assert made > 300
    for url in (f"{URL}{KEY}", f"{URL}{KEY}?{query}", URL, f"{URL}?{query}", path):
        reply = served.running.get_directly(url)
        assert reply.status in (403, 404)
        assert marker not in reply.body
    if served.server == "apache":
        assert marker not in over_http2(served.running.port, f"{URL}{KEY}?{query}")[1]


def handed_off(served: Served) -> tuple[str, str]:
    """Return path and query of a hand-off, as the application makes it for this very server."""
    app = served.site.configure()
    area = app.extensions["delegate"].settings.areas["media"]
    if served.server == "nginx":
        token = app.extensions["delegate"].keys["media"][0].token
        return URL, f"k={token}&id={'0' * 16}&{area.store.target('GET', KEY)[1]}"
    serve(app, KEY, area="media")
    location = behind_apache(app, "media").get("/file").headers["Location"]
    path, _, query = location.partition("?")
    return path, query


def test_only_what_the_application_made_opens_the_area(store: tuple[str, RunningStore]) -> None:
    """Something outside the extension's guard sends a Location."""
    name, running_store = store
    etag = running_store.put(KEY, CONTENT)
    running_store.put("other", CONTENT)
    with (
        new_site(**settings_for(running_store)) as site,
        SERVE["apache"](site, application=with_raw_location(APPLICATION)) as running,
    ):
        served = Served("apache", name, running_store, running, site, etag)
        path, query = handed_off(served)
        assert get(running.port, f"/raw?{path}?{query}").body == CONTENT
        for altered in (
            path,
            f"{path}?{re.sub('x-k=[0-9a-f]{40}', 'x-k=' + '0' * 40, query)}",
            f"{path}?{re.sub('x-id=[^&]*', 'x-id=' + 'A' * 16, query)}",
            f"{path}?{query}&x=1",
            f"{path}?x=1&{query}",
            f"{path}?{query.replace('&x-ct=', '&x-csp=a&x-ct=')}&x-z=1",
            f"{path}?{re.sub('&x-cd=[^&]*', '', query)}",
        ):
            reply = get(running.port, f"/raw?{altered}")
            assert (altered, reply.status) == (altered, 403)
            assert CONTENT[:20] not in reply.body
        # What the guard cannot see, the store's signature does.
        for altered in (
            f"{URL}other?{query}",
            f"{path}?{query.replace('text/plain', 'text/html0')}",
        ):
            reply = get(running.port, f"/raw?{altered}")
            assert (reply.status, CONTENT[:20] in reply.body) == (403, False)
            check_page(served, reply)
