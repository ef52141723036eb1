"""The longest path that a server can open arrives, and what is longer is refused in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from flask_delegate.servers import SERVERS
from flask_delegate.servers.codec import LONGEST, RESPONSE_HEAD
from flask_delegate.servers.scgi import Scgi
from flask_delegate.servers.signing import LONGEST_URL
from tests.support import doctor
from tests.support.apaches import PROXY, debian_site, debians_module, scgi
from tests.support.application import APPLICATION
from tests.support.caddies import caddy_in_front
from tests.support.clients import get
from tests.support.lighttpds import lighttpd_in_front
from tests.support.nginxes import PASSED_ON, nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, express
from tests.support.spellings import MARK

POLICY, SHORT_POLICY = '"x;" * 1000', '"x;" * 200'
# 255 bytes, each of which is quoted in a URL.
FOLDER = "長%" * 63 + "=;?"
SIZED = (
    APPLICATION
    + """
from flask_delegate import signed_url
from flask_delegate.delivery import describe
from flask_delegate.resolve import resolve
from flask_delegate.servers import SERVERS

# What else is in the head of a response.
OPTIONS = {"csp": "x;" * 1000, "download_name": "長" * 83 + ".odd"}


@app.get("/longest/<int:more>")
@delegated(lambda more: True)
def longest(more):
    @after_this_request
    def add(response):
        response.set_cookie("long", "x" * 4000)
        return response

    return Handoff(PATH + "x" * more, **OPTIONS)


@app.get("/sized/<int:size>")
@delegated(lambda size: True)
def sized(size):
    def handoff(length):
        return Handoff(PATH, mimetype="text/x; charset=" + "a" * length, **OPTIONS)

    state = app.extensions["delegate"]
    area = state.settings.area(None)
    delivery = describe(handoff(1), area, resolve(area.root, PATH))
    made = SERVERS[area.backend].respond(delivery, state.keys["default"][0], {})
    return handoff(1 + size - len(made.headers["Location"]))


@app.get("/signed-url/<int:size>")
def sign(size):
    def signed(length):
        return signed_url("x", expires_in=60, mimetype="text/x; charset=" + "a" * length)

    return signed(1 + size - len(signed(1)))


@app.get("/head/<int:size>")
def head(size):
    return Response("body", headers={"X-Long": "x" * size})
"""
)


@contextmanager
def apache(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with express(site, source, include=site.apache_config()) as running:
        yield running.port, running.folder


@contextmanager
def behind_apache(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with python_server(site, *GUNICORN, application=source) as upstream:
        include = site.apache_config() + PROXY.format(upstream=upstream)
        with express(site, source, include=include) as running:
            yield running.port, site.folder


@contextmanager
def behind_nginx(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with (
        python_server(site, *GUNICORN, application=source) as upstream,
        nginx_in_front(site, upstream) as port,
    ):
        yield port, site.folder


@contextmanager
def behind_caddy(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with (
        python_server(site, *GUNICORN, application=source) as upstream,
        caddy_in_front(site, upstream) as port,
    ):
        yield port, site.folder


@contextmanager
def behind_lighttpd(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with (
        python_server(site, *GUNICORN, application=source) as upstream,
        lighttpd_in_front(site, upstream) as port,
    ):
        yield port, site.folder


@contextmanager
def behind_scgi(site: Site, source: str) -> Iterator[tuple[int, Path]]:
    with scgi(site, application=source.replace(POLICY, SHORT_POLICY)) as running:
        yield running.port, site.folder


Start = Callable[[Site, str], AbstractContextManager[tuple[int, Path]]]


def source_with(site: Site, total: int) -> str:
    """Put a file in place whose path has so many bytes, and one with a byte more if possible."""
    names, rest = divmod(total - len(os.fsencode(site.root)) - 1, len(FOLDER.encode()) + 1)
    path = "/".join([*[FOLDER] * names, "=" * rest])
    assert len(site.write(path, MARK).__fspath__().encode()) == total
    if total < SERVERS["nginx"].longest_path:
        site.write(f"{path}x", MARK)
    return f"PATH = {path!r}\n{SIZED}"


def logged(folder: Path) -> str:
    return "".join(
        path.read_text(errors="replace") for path in folder.rglob("*log*") if path.is_file()
    )


@pytest.mark.parametrize(
    ("backend", "start"),
    [
        ("mod_wsgi", apache),
        ("xsendfile", apache),
        ("xsendfile", behind_apache),
        ("scgi", behind_scgi),
        ("nginx", behind_nginx),
        ("caddy", behind_caddy),
        ("lighttpd", behind_lighttpd),
    ],
    ids=[
        "mod_wsgi",
        "xsendfile under mod_wsgi",
        "xsendfile behind Apache",
        "scgi",
        "nginx",
        "caddy",
        "lighttpd",
    ],
)
def test_the_longest_path_arrives_and_a_longer_one_is_refused(
    site: Site, backend: str, start: Start
) -> None:
    site.settings["DELEGATE_BACKEND"] = backend
    limit = SERVERS[backend].longest_path
    with start(site, source_with(site, limit)) as (port, folder):
        whole, longer = (get(port, f"/longest/{more}") for more in (0, 1))
        log = logged(folder)
    assert (whole.status, whole.body) == (200, MARK)
    policy = SHORT_POLICY if backend == "scgi" else POLICY
    assert whole["Content-Security-Policy"] == "x;" * int(policy.split()[-1])
    assert whole["Content-Disposition"].endswith("%E9%95%B7.odd")
    assert MARK not in longer.body
    if backend in {"nginx", "caddy", "lighttpd"}:  # there cannot be one
        assert (longer.status, "File name too long" in log) == (404, True)
    else:
        assert longer.status == 500
        assert f"path has {limit + 1} bytes, and {limit} are the limit. Choose shorter" in log


@pytest.mark.parametrize(
    ("backend", "start", "limit"),
    [("mod_wsgi", apache, LONGEST), ("scgi", behind_scgi, Scgi.longest_header)],
    ids=["mod_wsgi", "scgi"],
)
def test_the_longest_header_of_a_hand_off_is_read_and_a_longer_one_refused(
    site: Site, backend: str, start: Start, limit: int
) -> None:
    site.settings["DELEGATE_BACKEND"] = backend
    with start(site, source_with(site, SERVERS[backend].longest_path)) as (port, folder):
        whole, longer = (get(port, f"/sized/{size}") for size in (limit, limit + 1))
        log = logged(folder)
    assert (whole.status, whole.body) == (200, MARK)
    assert (longer.status, MARK in longer.body) == (500, False)
    assert f"would have {limit + 1} bytes, and {limit} are the limit. Choose a shorter" in log


def test_nginx_reads_as_long_a_header_and_others(site: Site) -> None:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with behind_nginx(site, SIZED) as (port, _):
        assert get(port, f"/head/{RESPONSE_HEAD - 512}").body == b"body"
        assert get(port, f"/head/{RESPONSE_HEAD}").status == 502


def test_the_longest_signed_url_is_served_and_a_longer_one_refused(site: Site) -> None:
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    site.write("x", MARK)
    with apache(site, SIZED) as (port, folder):
        url = get(port, f"/signed-url/{LONGEST_URL}").body.decode()
        assert len(url) == LONGEST_URL
        assert get(port, url).body == MARK
        assert get(port, url, method="HEAD").status == 200
        assert get(port, f"/signed-url/{LONGEST_URL + 1}").status == 500
        log = logged(folder)
    assert f"would have {LONGEST_URL + 1} bytes, and {LONGEST_URL} are the limit. Choose" in log


SMALL = """
location / {{
    proxy_pass http://127.0.0.1:{upstream};
    proxy_buffer_size 4k;
    proxy_buffers 8 4k;
}}
"""


@contextmanager
def nginx_as_usual(site: Site) -> Iterator[int]:
    """Leave out the lines that the generated file asks for."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, locations=PASSED_ON + SMALL) as port,
    ):
        yield port


@contextmanager
def small_buffer(site: Site) -> Iterator[int]:
    daemon = "header-buffer-size=8192"
    with debian_site(site, module=debians_module, daemon=daemon) as running:
        yield running.port


@pytest.mark.parametrize(
    ("start", "status", "cure"),
    [
        (nginx_as_usual, 502, f"proxy_buffer_size {RESPONSE_HEAD // 1024}k"),
        (small_buffer, 500, "leave out header-buffer-size"),
    ],
)
def test_the_doctor_finds_a_buffer_that_is_too_small(
    site: Site, start: Callable[[Site], AbstractContextManager[int]], status: int, cure: str
) -> None:
    with start(site) as port:
        found = doctor.findings(site.configure(), f"http://127.0.0.1:{port}/")["longest-path"]
    assert (found["level"], f"answered with {status}" in found["seen"]) == ("failure", True)
    assert cure in found["fix"]
    assert list(site.root.iterdir()) == []
