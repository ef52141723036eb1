"""What stands in nginx's configuration around a hand-off changes nothing of it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_delegate.servers import nginx_resets, signing
from tests.support import nginx_modules
from tests.support.clients import file_url, get
from tests.support.nginxes import NJS, nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.signing import SETTINGS, forge, forge_cookie
from tests.support.sites import Site, new_site

HTML = b"""<html><head></head><body>secret
<!--# echo var="flask_delegate_keys" -->
<!--# echo var="arg_k" --><!--# echo var="args" --><!--# include virtual="/private/other.txt" -->
<!--# set var="a" value="b" --></body></html>
"""
BUILT_IN = {
    "gzip": "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;",
    "gzip_static": "gzip_static always;",
    "gunzip": "gunzip on;",
    "ssi": "ssi on; ssi_types *; ssi_last_modified on; ssi_silent_errors on;",
    "sub": "sub_filter secret public; sub_filter_types *; sub_filter_once off;",
    "addition": "add_before_body /banner; add_after_body /banner; addition_types *;",
    "headers": "add_header Cache-Control public always; add_header Vary Accept; expires 30d;",
    "charset": "charset koi8-r; charset_types *; override_charset on; source_charset utf-8;"
    " charset_map koi8-r utf-8 { 80 E282AC; }",
    "userid": "userid on; userid_name uid;",
    "ranges": "max_ranges 0;",
    "validators": "etag off; if_modified_since off;",
    "types": "types { text/plain html; } default_type text/plain;",
    "listing": "autoindex on; disable_symlinks off; dav_methods PUT DELETE;",
    "cache": "open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;",
    "disk": "directio 1; slice 5; postpone_output 0; read_ahead 1k;",
    "errors": "error_page 404 403 =200 /banner; msie_refresh on; log_not_found off;",
}
LOADED = {
    "brotli-filter": "brotli on; brotli_types *; brotli_min_length 1;",
    "brotli-static": "brotli_static always;",
    "headers-more-filter": "more_set_headers 'Cache-Control: public' 'Vary: X'"
    " 'X-Content-Type-Options: no' 'Content-Security-Policy: none'"
    " 'Content-Disposition: attachment' 'X-Frame-Options: SAMEORIGIN' 'Expires: 0';",
    "subs-filter": "subs_filter secret public; subs_filter_types *;",
}
ALL = BUILT_IN | LOADED
FOLDER = "folder"
NAMES = (f"{FOLDER}/page.html", f"{FOLDER}/page.txt")
BROWSER = "0" * 32
REQUESTS: tuple[dict[str, str], ...] = (
    {"Accept-Encoding": "gzip, br"},
    {"Range": "bytes=2-5"},
    {"Range": "bytes=0-3,6-9"},
    {"If-Modified-Since": "Fri, 27 Nov 2037 05:00:00 GMT"},
)
HEADERS = (
    *("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Expires"),
    *("Content-Security-Policy", "ETag", "Last-Modified", "Vary", "X-Content-Type-Options"),
    *("Set-Cookie", "X-Frame-Options", "Accept-Ranges", "Transfer-Encoding"),
)
Answers = list[tuple[object, ...]]


class Servers:
    """An application, and nginx in front of it with any configuration around the hand-off."""

    def __init__(self, site: Site, upstream: int, modules: dict[str, Path]) -> None:
        self.site, self.upstream, self.modules = site, upstream, modules
        self._signed = {name: (forge(site, name), f"/signed/{name}") for name in NAMES}
        self._cookies = f"{signing.COOKIE}={BROWSER}; "
        self._cookies += forge_cookie(site, FOLDER, browser=BROWSER)

    def answers(self, *names: str) -> Answers:
        """Ask for the files while all that is named stands in the configuration.

        Each is handed off, then asked for by a signed URL, then by the cookie of its folder.
        """
        with self.running(*names) as port:
            return [
                self._seen(port, target, request)
                for name in NAMES
                for target in (file_url(name), *self._signed[name])
                for request in REQUESTS
            ]

    @contextmanager
    def running(self, *names: str) -> Iterator[int]:
        load = "".join(f'load_module "{self.modules[name]}";\n' for name in names if name in LOADED)
        main = self.site.folder / "main.conf"
        main.write_text(f"{NJS}{load}events {{ }}\n")
        with patch.object(nginx_resets, "_main_configuration", lambda _: main):
            include = self.site.nginx_config()
        include += 'location /banner { internal; return 200 "BANNER"; }\n'
        with nginx_in_front(
            self.site,
            self.upstream,
            include,
            main=f"{load}worker_processes 1;",
            http="\n".join(ALL[name] for name in names),
        ) as port:
            yield port

    def _seen(self, port: int, target: str, request: dict[str, str]) -> tuple[object, ...]:
        cookies = {} if target.startswith("/file/") else {"Cookie": self._cookies}
        reply = get(port, target, headers={**request, **cookies})
        # What stands between several parts is drawn for each answer.
        boundary = reply.headers.get("Content-Type", "").partition("boundary=")[2]
        body = reply.body.replace(boundary.encode(), b"") if boundary else reply.body
        kept = {header: reply.headers.get_all(header) for header in HEADERS}
        kind = reply.headers.get("Content-Type", "").removesuffix(boundary)
        return reply.status, body, kind, kept


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    modules = nginx_modules.fetch(tmp_path_factory.mktemp("modules"), *LOADED)
    settings = {"DELEGATE_HEADERS": {"X-Frame-Options": "DENY"}, "DELEGATE_BACKEND": "nginx"}
    with new_site(**settings, **SETTINGS) as site:
        for name in NAMES:
            site.write(name, HTML)
            site.write(f"{name}.gz", gzip.compress(b"another file"))
            site.write(f"{name}.br", b"another file")
        site.write("other.txt", b"somebody else's")
        with python_server(site, *GUNICORN) as upstream:
            yield Servers(site, upstream, modules)


@pytest.fixture(scope="module")
def usual(servers: Servers) -> Answers:
    answers = servers.answers()
    assert [answer[0] for answer in answers] == [200, 206, 206, 304] * 6
    assert all(answer[1] == HTML for answer in answers[::4])
    return answers


@pytest.mark.parametrize("name", ALL)
def test_a_hand_off_inherits_nothing(servers: Servers, usual: Answers, name: str) -> None:
    assert servers.answers(name) == usual


def test_a_hand_off_inherits_nothing_of_all_together(servers: Servers, usual: Answers) -> None:
    assert servers.answers(*ALL) == usual


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.sets(st.sampled_from(sorted(ALL)), min_size=2))
def test_nor_of_some_together(servers: Servers, usual: Answers, names: set[str]) -> None:
    assert servers.answers(*names) == usual


def test_a_replaced_file_is_not_remembered(servers: Servers) -> None:
    path = servers.site.write("replaced.txt", b"before")
    with servers.running("cache") as port:
        assert get(port, file_url(path.name)).body == b"before"
        path.unlink()
        servers.site.write("replaced.txt", b"the next one")
        assert get(port, file_url(path.name)).body == b"the next one"


def test_what_prints_variables_prints_no_token(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the locations had been left open for server-side includes.
    usual = tuple(line for line in nginx_resets._USUAL if not line.startswith("ssi"))
    monkeypatch.setattr(nginx_resets, "_USUAL", usual)
    pages = b"".join(body for _, body, *_ in servers.answers("ssi") if isinstance(body, bytes))
    assert b"echo var" not in pages
    key = servers.site.configure().extensions["delegate"].keys["default"][0].signing_key
    assert servers.site.token().encode() not in pages
    assert key.encode() not in pages
