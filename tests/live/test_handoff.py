"""What the view said of a file arrives at the client, and Apache serves it as a file."""

from __future__ import annotations

import os
import re
import time

import pytest

from flask_delegate.testing import Apache
from tests.support.application import APPLICATION
from tests.support.clients import Reply, file_url, get, over_http2
from tests.support.sites import Site, express

CONTENT = b"private content\n"
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def assert_complete(reply: Reply) -> None:
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply["Content-Type"] == "text/plain; charset=utf-8"
    assert reply["Content-Length"] == str(len(CONTENT))
    assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
    assert reply["Cache-Control"] == "private, no-cache"
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert reply["Vary"] == "Cookie"
    assert reply["Accept-Ranges"] == "bytes"
    assert re.fullmatch(r'"10-[0-9a-f]+"', reply["ETag"])
    assert "Location" not in reply.headers
    assert "/private/" not in str(reply.headers)


def test_a_file_arrives_with_name_type_and_cache_policy(server: Apache) -> None:
    assert_complete(get(server.port, file_url("report.txt")))


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_other_methods_deliver_the_file_too(server: Apache, method: str) -> None:
    reply = get(server.port, file_url("report.txt"), method=method, body=b"x=1")
    assert_complete(reply)


def test_head_has_the_headers_and_no_body(server: Apache) -> None:
    reply = get(server.port, file_url("report.txt"), method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply["Content-Length"] == str(len(CONTENT))
    assert reply["Content-Disposition"] == 'inline; filename="report.txt"'


def test_http2_and_http10_deliver_the_file(server: Apache) -> None:
    assert over_http2(server.port, file_url("report.txt")) == (200, CONTENT)
    assert_complete(get(server.port, file_url("report.txt"), version="HTTP/1.0"))


def test_options_arrive(server: Apache, shared_site: Site) -> None:
    shared_site.write("stored", b"%PDF-1.4")
    url = file_url(
        "stored",
        download_name='Größe & "Preis" 100%.pdf',
        as_attachment=1,
        max_age=60,
        csp="default-src 'none'; sandbox allow-downloads",
    )
    reply = get(server.port, url)
    assert reply["Content-Type"] == "application/pdf"
    assert reply["Content-Disposition"] == (
        'attachment; filename="Groe & _Preis_ 100_.pdf";'
        " filename*=UTF-8''Gr%C3%B6%C3%9Fe%20&%20%22Preis%22%20100%25.pdf"
    )
    assert reply["Cache-Control"] == "private, max-age=60"
    assert reply["Content-Security-Policy"] == "default-src 'none'; sandbox allow-downloads"


def test_a_given_type_wins(server: Apache) -> None:
    url = file_url("report.txt", mimetype="application/vnd.example+json; version=2")
    assert get(server.port, url)["Content-Type"] == "application/vnd.example+json; version=2"


def test_an_opaque_file_never_becomes_a_page(server: Apache, shared_site: Site) -> None:
    shared_site.write("0f3a", b"<script>alert(1)</script>")
    reply = get(server.port, file_url("0f3a"))
    assert reply["Content-Type"] == "application/octet-stream"
    assert reply["Content-Disposition"] == 'attachment; filename="0f3a"'


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "data.xml", "page.xhtml"])
def test_active_content_is_sandboxed(server: Apache, shared_site: Site, name: str) -> None:
    shared_site.write(name, b"<script>alert(1)</script>")
    assert get(server.port, file_url(name))["Content-Security-Policy"] == SANDBOX


def test_ranges(server: Apache) -> None:
    url = file_url("report.txt", max_age=9)
    reply = get(server.port, url, headers={"Range": "bytes=8-"})
    assert (reply.status, reply.body) == (206, b"content\n")
    assert reply["Content-Range"] == "bytes 8-15/16"
    assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
    assert reply["Cache-Control"] == "private, max-age=9"
    several = get(server.port, url, headers={"Range": "bytes=0-1,-2"})
    assert several.status == 206
    assert several["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert b"\r\npr\r\n" in several.body
    assert b"\r\nt\n\r\n" in several.body
    beyond = get(server.port, url, headers={"Range": "bytes=99-"})
    assert beyond.status == 416
    assert b"/private" not in beyond.body


def test_conditions(server: Apache) -> None:
    url = file_url("report.txt")
    first = get(server.port, url)
    etag = first["ETag"]
    same = get(server.port, url, headers={"If-None-Match": etag})
    assert (same.status, same.body) == (304, b"")
    assert same["ETag"] == etag
    assert same["Cache-Control"] == "private, no-cache"
    assert same["Vary"] == "Cookie"
    since = {"If-Modified-Since": first["Last-Modified"]}
    assert get(server.port, url, headers=since).status == 304
    assert get(server.port, url, headers={"If-None-Match": '"other"'}).status == 200
    assert get(server.port, url, headers={"If-Match": etag}).status == 200
    assert get(server.port, url, headers={"If-Match": '"other"'}).status == 412
    resumed = {"Range": "bytes=8-", "If-Range": etag}
    assert get(server.port, url, headers=resumed).status == 206
    stale = {"Range": "bytes=8-", "If-Range": '"other"'}
    assert get(server.port, url, headers=stale).status == 200


def test_a_rate_limit_holds_the_file_back(server: Apache, shared_site: Site) -> None:
    """Noise only lengthens a download, so a least duration can be told on any machine."""
    shared_site.write("large.bin", bytes(30 * 1024))
    begin = time.monotonic()
    reply = get(server.port, file_url("large.bin", rate_limit=10 * 1024))
    assert len(reply.body) == 30 * 1024
    assert time.monotonic() - begin > 1.5


@pytest.mark.parametrize("what", ["missing.txt", "folder", "folder/", "link-out", "pipe", "loop"])
def test_what_is_not_a_file_of_the_area_is_a_404(
    server: Apache, shared_site: Site, what: str
) -> None:
    prepare_oddities(shared_site)
    reply = get(server.port, file_url(what))
    assert reply.status == 404
    assert b"/private" not in reply.body
    assert "/private" not in str(reply.headers)
    assert f"file refused: '{what}' in {shared_site.root}: " in server.log()


def test_an_unreadable_file_is_a_500_with_the_reason_in_the_log(
    server: Apache, shared_site: Site
) -> None:
    shared_site.write("secret.txt").chmod(0)
    reply = get(server.port, file_url("secret.txt"))
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert re.search(r"'secret.txt' in \S+: user id \d+ may not read it", server.log())


def test_a_link_inside_the_area_is_followed_before_the_handoff(
    server: Apache, shared_site: Site
) -> None:
    shared_site.write("folder/inside.txt", b"inside")
    link = shared_site.root / "latest.txt"
    if not link.is_symlink():
        link.symlink_to("folder/inside.txt")
    reply = get(server.port, file_url("latest.txt"))
    assert (reply.status, reply.body) == (200, b"inside")
    assert reply["Content-Disposition"] == 'inline; filename="latest.txt"'


def test_denied_is_403(server: Apache) -> None:
    assert get(server.port, file_url("report.txt"), headers={"Cookie": "who=bob"}).status == 403


@pytest.mark.parametrize("where", ["before", "after"])
def test_constant_headers_arrive_and_what_the_server_sets_is_not_doubled(
    site: Site, where: str
) -> None:
    site.write("report.txt", CONTENT)
    site.write("page.html", CONTENT)
    site.settings["DELEGATE_HEADERS"] = {"X-Frame-Options": "DENY", "X-Odd": 'a "b" \\ 50%'}
    doubling = "".join(
        f'Header {when} set {name} "the server"\n'
        for when in ("always", "onsuccess")
        for name in ("Cache-Control", "X-Frame-Options", "Content-Disposition")
    )
    doubling += 'Header always set X-Content-Type-Options "nosniff"\n'
    doubling += "Header always set Content-Security-Policy \"frame-ancestors 'none'\"\n"
    config = site.apache_config()
    include = doubling + config if where == "before" else config + doubling
    with express(site, APPLICATION, include=include) as running:
        reply = get(running.port, file_url("report.txt"))
        assert reply["X-Frame-Options"] == "DENY"
        assert reply["X-Odd"] == 'a "b" \\ 50%'
        assert reply["Cache-Control"] == "private, no-cache"
        assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
        assert reply["X-Content-Type-Options"] == "nosniff"
        # The server's own policy stays where the file has none.
        assert reply["Content-Security-Policy"] == "frame-ancestors 'none'"
        page = get(running.port, file_url("page.html"))
        assert page["Content-Security-Policy"] == SANDBOX


def test_each_of_two_areas_is_handed_off(site: Site) -> None:
    site.write("report.txt", CONTENT)
    photos = site.folder / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"png")
    site.settings["DELEGATE_AREAS"] = {"photos": {"root": str(photos), "url": "/photos/"}}
    with express(site, APPLICATION, include=site.apache_config()) as running:
        reports, pictures = (
            get(running.port, file_url(name, **area))
            for name, area in (("report.txt", {}), ("a.png", {"area": "photos"}))
        )
        assert (reports.body, pictures.body) == (CONTENT, b"png")
        # An entity tag of Apache's making: Python's has three parts.
        for reply in (reports, pictures):
            assert re.fullmatch(r'(W/)?"[0-9a-f]+-[0-9a-f]+"', reply["ETag"])
        for target in ("/private/report.txt", "/photos/a.png"):
            assert get(running.port, target).status == 403


def prepare_oddities(site: Site) -> None:
    (site.root / "folder").mkdir(exist_ok=True)
    outside = site.folder / "outside.txt"
    outside.write_text("outside")
    for name, target in (("link-out", outside), ("loop", site.root / "loop")):
        if not (site.root / name).is_symlink():
            (site.root / name).symlink_to(target)
    if not (site.root / "pipe").exists():
        os.mkfifo(site.root / "pipe")
