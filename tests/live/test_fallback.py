"""Without its guard, the extension streams or refuses; it never hands off."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from flask_delegate.testing import Apache
from tests.support.application import APPLICATION
from tests.support.clients import BEHIND_THE_END, file_url, get
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, express

CONTENT = b"private content\n"


def assert_streamed(running: Apache, **headers: str) -> None:
    reply = get(running.port, file_url("report.txt"), headers=headers)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply["Content-Type"] == "text/plain; charset=utf-8"
    assert reply["Content-Disposition"] == 'inline; filename="report.txt"'
    assert reply["Cache-Control"] == "private, no-cache"
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert "Location" not in reply.headers
    assert reply["Vary"] == "Cookie"
    refused = get(running.port, file_url("report.txt"), headers={**headers, **BEHIND_THE_END})
    assert (refused.status, refused["Content-Range"]) == (416, "bytes */16")


def assert_streams_well(running: Apache) -> None:
    url = file_url("report.txt")
    assert_streamed(running)
    part = get(running.port, url, headers={"Range": "bytes=8-"})
    assert (part.status, part.body) == (206, b"content\n")
    assert get(running.port, url, method="HEAD").body == b""
    etag = get(running.port, url)["ETag"]
    assert get(running.port, url, headers={"If-None-Match": etag}).status == 304


def test_without_the_configuration_it_streams_and_says_why_once(site: Site) -> None:
    site.write("report.txt", CONTENT)
    with express(site, APPLICATION) as running:
        assert_streams_well(running)
        assert get(running.port, "/private/report.txt").status == 404
        log = running.log()
        assert log.count("Apache did not load the configuration that guards /private/") == 1
        assert "flask delegate apache-config --output FILE" in log


def test_with_a_stale_configuration_it_streams(site: Site) -> None:
    site.write("report.txt", CONTENT)
    stale = site.apache_config(SECRET_KEY="the secret of last year")
    with express(site, APPLICATION, include=stale) as running:
        assert_streams_well(running)
        assert get(running.port, "/private/report.txt").status == 403
        assert "was made for other settings" in running.log()


def test_two_configurations_for_one_url_stream(site: Site) -> None:
    site.write("report.txt", CONTENT)
    stale = site.apache_config(SECRET_KEY="the secret of last year")
    with express(site, APPLICATION, include=stale + site.apache_config()) as running:
        assert_streams_well(running)
        assert "two configurations on this server claim /private/" in running.log()


def test_a_plain_alias_without_guard_is_not_handed_off_to(site: Site) -> None:
    site.write("report.txt", CONTENT)
    alias = f'Alias /private/ "{site.root}/"\n'
    with express(site, APPLICATION, include=alias) as running:
        assert_streams_well(running)


def test_embedded_mode_streams(site: Site) -> None:
    site.write("report.txt", CONTENT)
    options = ("--embedded-mode",)
    with express(site, APPLICATION, *options, include=site.apache_config()) as running:
        assert_streams_well(running)
        assert get(running.port, "/private/report.txt").status == 403
        assert "mod_wsgi runs in embedded mode" in running.log()


@pytest.mark.parametrize("mode", ["embedded", "daemon"])
def test_it_refuses_where_streaming_is_ruled_out(site: Site, mode: str) -> None:
    site.write("report.txt", CONTENT)
    site.settings["DELEGATE_BACKEND"] = "mod_wsgi"
    options = ("--embedded-mode",) if mode == "embedded" else ()
    with express(site, APPLICATION, *options) as running:
        reply = get(running.port, file_url("report.txt"))
        assert reply.status == 500
        assert CONTENT not in reply.body
        assert "area 'default' cannot be handed off" in running.log()


def test_a_request_cannot_claim_that_the_guard_is_there(site: Site) -> None:
    site.write("report.txt", CONTENT)
    fingerprint = site.configure().extensions["delegate"].keys["default"][0].fingerprint
    key = f"flask_delegate.{fingerprint}"
    with express(site, APPLICATION) as running:
        for name in (key, key.replace(".", "-"), key.replace(".", "_")):
            assert_streamed(running, **{name: "/private/"})


def test_an_application_that_streams_by_choice_needs_no_server_configuration(site: Site) -> None:
    site.write("report.txt", CONTENT)
    site.settings["DELEGATE_BACKEND"] = "stream"
    with express(site, APPLICATION) as running:
        assert_streams_well(running)
        assert "Python streams the files" not in running.log()


def test_a_large_range_is_sent_from_its_start_without_reading_up_to_it(site: Site) -> None:
    path = Path(site.write("sparse.bin", b""))
    with path.open("r+b") as file:
        file.truncate(8 * 2**30)
    path.chmod(0o644)
    with express(site, APPLICATION, "--request-timeout", "10") as running:
        reply = get(running.port, file_url("sparse.bin"), headers={"Range": "bytes=-5"})
        assert (reply.status, reply.body) == (206, bytes(5))


def test_what_would_be_lost_is_said_in_the_log(server: Apache) -> None:
    for _ in range(2):
        assert get(server.port, "/session/refreshed").body == CONTENT
    assert "which will not reach the client" not in server.log()
    reply = get(server.port, "/session/changed")
    assert (reply.status, reply.body) == (200, CONTENT)
    assert "Set-Cookie" not in reply.headers
    assert "sets session, which will not reach the client" in server.log()


def test_a_rotated_key_goes_on_handing_off_with_the_old_configuration(site: Site) -> None:
    site.write("report.txt", CONTENT)
    old = site.apache_config(SECRET_KEY="old")
    rotated = 'SECRET = "new"\nSITE_SETTINGS["SECRET_KEY_FALLBACKS"] = ["old"]\n' + APPLICATION
    for include in (old, site.apache_config(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])):
        with express(site, rotated, include=include) as running:
            reply = get(running.port, file_url("report.txt"))
            assert (reply.status, reply.body) == (200, CONTENT)
            refused = get(running.port, file_url("report.txt"), headers=BEHIND_THE_END)
            assert (refused.status, "Content-Range" in refused.headers) == (416, False)
            told = "now in SECRET_KEY_FALLBACKS" in running.log()
            assert told == (include == old)


SHORTENING = """
from flask_delegate import file_delegated


@file_delegated.connect_via(app)
def shorten(_app, delivery, **_more):
    if delivery.file.name == "shorter.txt":
        os.truncate(delivery.file.path, 1000000)
"""
EXPRESS, BEHIND_GUNICORN = "mod_wsgi", "gunicorn"


@pytest.mark.parametrize("header", ["", "bytes=0-2999999", "bytes=0-9,500-2999999"])
@pytest.mark.parametrize("server", [EXPRESS, BEHIND_GUNICORN])
def test_a_file_that_becomes_shorter_ends_the_connection(
    site: Site, server: str, header: str
) -> None:
    """Neither zeros nor the next answer come in the place of what is missing."""
    site.write("shorter.txt", b"x" * 3_000_000).chmod(0o666)
    site.write("report.txt", CONTENT)
    site.application = APPLICATION + SHORTENING
    site.settings["DELEGATE_BACKEND"] = "stream"
    asked = f"GET {file_url('shorter.txt')} HTTP/1.1\r\nHost: x\r\n"
    asked += f"Range: {header}\r\n\r\n" if header else "\r\n"
    then = f"GET {file_url('report.txt')} HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as stack:
        if server == EXPRESS:
            port = stack.enter_context(express(site, site.application)).port
        else:
            # With threads, it keeps connections.
            port = stack.enter_context(python_server(site, *GUNICORN, "--threads", "4"))
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall((asked + then).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 20" in head.split(b"\r\n")[0]
    assert 10 < body.count(b"x") <= 1_000_100
    assert b"\0" not in body
    assert CONTENT not in body
    assert b"HTTP/1.1" not in body
