"""One contract for all servers: same views, same files, same requests.

Where they differ, the difference is one that the backend declares in its ``keeps``.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.support.clients import BEHIND_THE_END, Reply, file_url, over_http2
from tests.support.running import Running
from tests.support.servers import SERVERS
from tests.support.sites import new_site

CONTENT = b"private content\n"
FORGED = "0" * 32
"""A fingerprint that no area has."""
TEXT = b"0123456789\n" * 1000
ODD_NAMES = {
    "two words.txt": "two%20words.txt",
    "50%20 off?.txt": "50%2520%20off%3F.txt",
    "a#b;c&d=e+f.txt": "a%23b%3Bc%26d%3De%2Bf.txt",
    "größe 日本.txt": "gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.txt",
    'quo"te\\back.txt': "quo%22te%5Cback.txt",
    "deep/er/file.txt": "deep/er/file.txt",
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with new_site(DELEGATE_HEADERS={"X-Frame-Options": "DENY"}) as site:
        site.write("report.txt", CONTENT)
        site.write("text.txt", TEXT)
        site.write("page.html", b"<script>1</script>")
        site.write("0f3a", b"<script>1</script>")
        site.write("limited.bin", bytes(30 * 1024))
        for name in ODD_NAMES:
            site.write(name, name.encode())
        (site.root / "outside").symlink_to("/etc/passwd")
        with SERVERS[request.param](site) as running:
            yield running


def ask(server: Running, path: str = "report.txt", **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.get(file_url(path), headers=fields)


def test_hooks_change_nothing_of_a_file(server: Running) -> None:
    usual, changed = ask(server, "page.html"), server.get("/changed/page.html")
    assert (changed.status, changed.body) == (usual.status, usual.body)
    for name in (
        *("Content-Type", "Content-Disposition", "Content-Security-Policy", "Cache-Control"),
        *("X-Content-Type-Options", "X-Frame-Options"),
    ):
        assert changed.headers.get_all(name) == usual.headers.get_all(name), name
    assert "Cookie" in changed["Vary"].replace("X-Cookie", "")
    assert changed.get("Content-Encoding") == ("gzip" if server.keeps.coding else None)


@pytest.mark.parametrize("path", ["report.txt", "no-such-file.txt", "outside"])
def test_what_is_refused_is_private(server: Running, path: str) -> None:
    who = "bob" if path == "report.txt" else "alice"
    reply = ask(server, path, Cookie=f"who={who}")
    assert reply.status in {403, 404}
    assert reply["Cache-Control"] == "private, no-cache"
    assert "Cookie" in reply["Vary"]


def test_a_file_arrives_described(server: Running) -> None:
    reply = ask(server)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply["Content-Type"] == "text/plain; charset=utf-8"
    assert reply["Content-Length"] == str(len(CONTENT))
    assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
    assert reply["Cache-Control"] == "private, no-cache"
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert reply["X-Frame-Options"] == "DENY"
    assert "Cookie" in reply["Vary"]
    assert reply["Last-Modified"]
    assert reply["ETag"].startswith('"')
    for header in ("Location", "X-Accel-Redirect", "X-Sendfile", "Content-Encoding"):
        assert header not in reply.headers


def test_options_arrive(server: Running) -> None:
    options = {
        "download_name": "Größe 1.pdf",
        "as_attachment": 1,
        "max_age": 60,
        "csp": "default-src 'none'; sandbox",
    }
    reply = server.get(file_url("0f3a", **options))
    assert reply["Content-Type"] == "application/pdf"
    assert reply["Content-Disposition"] == (
        "attachment; filename=\"Groe 1.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.pdf"
    )
    assert reply["Cache-Control"] == "private, max-age=60"
    assert reply["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_a_hash_arrives_with_the_file_and_nothing_else(server: Running) -> None:
    digest = f"sha-256=:{b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"
    url = file_url("report.txt", sha256=hashlib.sha256(CONTENT).hexdigest())
    whole = server.get(url)
    assert whole["Repr-Digest"] == server.get(url, method="HEAD")["Repr-Digest"] == digest
    tag = whole["ETag"]
    assert (tag.strip('"') in url) == (server.header == "X-Sendfile")
    for headers, status in (
        ({"Range": "bytes=8-", "If-Range": tag}, 206),
        ({"If-Match": tag}, 200),
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": tag[:-2] + '"'}, 200),
        ({"If-Range": tag[:-2] + '"', "Range": "bytes=8-"}, 200),
    ):
        reply = server.get(url, headers=headers)
        assert (reply.status, reply["ETag"]) == (status, tag)
        # A 304 may leave out what the client has.
        assert reply.get("Repr-Digest") in ((digest, None) if status == 304 else (digest,))
    for headers, status in ((BEHIND_THE_END, 416), ({"If-Match": '"x"'}, 412)):
        refused = server.get(url, headers=headers)
        assert refused.status == (status if status == 416 or server.heeds_if_match else 200)
        # Other servers add headers before they look at the range or the condition.
        assert server.header or "Repr-Digest" not in refused.headers
    assert "Repr-Digest" not in ask(server).headers


def test_what_could_run_is_sandboxed_and_what_is_unknown_is_saved(server: Running) -> None:
    assert "sandbox" in ask(server, "page.html")["Content-Security-Policy"]
    unknown = ask(server, "0f3a")
    assert unknown["Content-Type"] == "application/octet-stream"
    assert unknown["Content-Disposition"] == 'attachment; filename="0f3a"'


def test_head_has_the_headers_alone(server: Running) -> None:
    reply = server.get(file_url("report.txt"), method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("size", [3, 3_000_000])
def test_post_delivers_the_file_though_the_view_reads_no_body(server: Running, size: int) -> None:
    for _ in range(5):
        reply = server.get(file_url("report.txt"), method="POST", body=bytes(size))
        assert (reply.status, reply.body) == (200, CONTENT)


def test_a_range_is_answered(server: Running) -> None:
    for wanted, body, span in (
        ("bytes=8-", b"content\n", "bytes 8-15/16"),
        ("bytes=-4", b"ent\n", "bytes 12-15/16"),
        ("bytes=0-0", b"p", "bytes 0-0/16"),
    ):
        reply = ask(server, Range=wanted)
        assert (reply.status, reply.body, reply["Content-Range"]) == (206, body, span)
        assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
    assert ask(server, Range="bytes=99-").status == 416


def test_several_ranges_are_answered(server: Running) -> None:
    reply = ask(server, "text.txt", Range="bytes=0-1,-2")
    assert reply.status == 206
    assert reply["Content-Type"].startswith("multipart/byteranges")
    assert b"\r\n01\r\n" in reply.body


def test_conditions_are_answered(server: Running) -> None:
    first = ask(server)
    assert ask(server, If_None_Match=first["ETag"]).status == 304
    assert ask(server, If_None_Match='"other"').status == 200
    assert ask(server, If_Modified_Since=first["Last-Modified"]).status == 304
    resumed = ask(server, Range="bytes=8-", If_Range=first["ETag"])
    assert (resumed.status, resumed.body) == (206, b"content\n")
    stale = ask(server, Range="bytes=8-", If_Range='"other"')
    assert (stale.status, stale.body) == (200, CONTENT)


def test_compressible_text_keeps_its_length(server: Running) -> None:
    reply = ask(server, "text.txt", Accept_Encoding="gzip")
    assert reply.body == TEXT
    assert reply["Content-Length"] == str(len(TEXT))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_found(server: Running, name: str) -> None:
    reply = server.get(f"/file/{ODD_NAMES[name]}")
    assert (reply.status, reply.body) == (200, name.encode())


def test_what_is_not_there_is_a_404(server: Running) -> None:
    for name in ("missing.txt", "deep", "outside"):
        reply = ask(server, name)
        assert reply.status == 404
        assert b"/private" not in reply.body


def test_who_is_denied_gets_403(server: Running) -> None:
    assert ask(server, Cookie="who=bob").status == 403


def test_the_internal_url_is_closed(server: Running) -> None:
    for target in ("/private/report.txt", "/%70rivate/report.txt", "//private/report.txt"):
        reply = server.get_directly(target)
        assert reply.status in (403, 404)
        assert CONTENT not in reply.body


def test_request_headers_do_not_steer_the_handoff(server: Running) -> None:
    for name, value in {
        "X-Accel-Mapping": "/=/etc/",
        "X-Accel-Redirect": "/private/text.txt",
        "X-Sendfile-Type": "X-Accel-Redirect",
        "X-Sendfile": "/etc/passwd",
        "X-Flask-Delegate": FORGED,
    }.items():
        assert server.get(file_url("report.txt"), headers={name: value}).body == CONTENT


def test_a_client_cannot_say_what_the_server_says(server: Running) -> None:
    usual = json.loads(server.get("/environ").body)
    shown = [name for name in usual if "FLASK_DELEGATE" in name.upper()]
    for headers in (
        {"X-Flask-Delegate": FORGED, "SCRIPT_NAME": "/x", "PATH_INFO": "/y"},
        {"Connection": "X-Flask-Delegate"},
        {"X_Flask_Delegate": FORGED},
    ):
        if not shown:  # Python is asked without a server in front
            continue
        seen = json.loads(server.get("/environ", headers=headers).body)
        for name in ("SCRIPT_NAME", "PATH_INFO"):
            assert seen.get(name) == usual.get(name), name
        for name in shown:
            said = set(re.split("[ ,]+", seen[name])) - ({FORGED} if server.appends else set())
            assert said == set(re.split("[ ,]+", usual[name])), name


def test_cookies_and_other_headers_arrive_as_declared(server: Running) -> None:
    reply = server.get("/extra")
    assert reply.body == CONTENT
    assert ("Set-Cookie" in reply.headers) == server.keeps.cookies
    assert ("X-Extra" in reply.headers) == server.keeps.headers


def test_a_rate_limit_holds_as_declared(server: Running) -> None:
    if not server.keeps.rate_limit:
        return
    begin = time.monotonic()
    reply = server.get(file_url("limited.bin", rate_limit=10 * 1024))
    assert len(reply.body) == 30 * 1024
    assert time.monotonic() - begin > 1.5


def test_http2_over_tls_delivers_the_file() -> None:
    with new_site() as site:
        site.write("report.txt", CONTENT)
        with SERVERS["mod_wsgi-tls"](site) as server:
            options = {"host": server.host, "tls": True}
            url = file_url("report.txt")
            assert over_http2(server.port, url, **options) == (200, CONTENT)  # type: ignore[arg-type]
            status, body = over_http2(server.port, "/private/report.txt", **options)  # type: ignore[arg-type]
            assert (status, CONTENT in body) == (403, False)


def test_each_daemon_process_group_hands_off() -> None:
    with new_site() as site:
        site.write("report.txt", CONTENT)
        with SERVERS["site-debians-mod_wsgi"](site) as server:
            for mount, group in (("", "first"), ("/second", "second")):
                environ = json.loads(server.get(f"{mount}/environ").body)
                assert environ["mod_wsgi.process_group"] == group
                url = mount + file_url("report.txt")
                assert server.get(url).body == CONTENT
                refused = server.get(url, headers=BEHIND_THE_END)
                assert (refused.status, "Content-Range" in refused.headers) == (416, False)
