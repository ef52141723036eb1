"""What stands in Apache's configuration around a hand-off changes nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from flask_delegate.servers import signing
from tests.support.apaches import PROXY
from tests.support.application import APPLICATION
from tests.support.clients import file_url, get
from tests.support.python_servers import GUNICORN, python_server
from tests.support.signing import SETTINGS, forge, forge_cookie
from tests.support.sites import Site, express, new_site

HTML = b"""<html><head></head><body>secret
<!--#echo var="QUERY_STRING" --><!--#printenv --></body></html>
"""
FOLDER = "folder"
NAMES = (f"{FOLDER}/page.html", f"{FOLDER}/page.txt")
BROWSER = "0" * 32
TYPES = "text/html text/plain application/octet-stream"
AROUND = {
    "compression": f"AddOutputFilterByType DEFLATE;BROTLI_COMPRESS {TYPES}",
    "includes": f"AddOutputFilterByType INCLUDES {TYPES}\nAddOutputFilter INCLUDES .html .txt\n"
    "<Location />\nOptions +Includes\nXBitHack full\n</Location>",
    "substitution by type": f"AddOutputFilterByType SUBSTITUTE {TYPES}\nSubstitute s/secret/open/",
    "substitution by name": "AddOutputFilter SUBSTITUTE .html .txt\nSubstitute s/secret/open/",
    "filter of a location": "<Location />\nSetOutputFilter SUBSTITUTE\nSubstitute s/secret/open/\n"
    "</Location>",
    "filter chain": "FilterDeclare any\nFilterProvider any SUBSTITUTE true\n<Location />\n"
    "FilterChain any\nSubstitute s/secret/open/\n</Location>",
    "expires": "<Location />\nExpiresActive On\nExpiresDefault 'access plus 1 month'\n</Location>",
    "headers": "Header always set Cache-Control public\nHeader set X-Content-Type-Options no\n"
    "Header always set Content-Disposition attachment\nHeader set Content-Type text/html",
    "headers of a location": "<Location />\nHeader always set Cache-Control public\n"
    "Header set X-Content-Type-Options no\nHeader edit Vary Cookie Accept\n</Location>",
    "types": "<Location />\nForceType text/html\nAddDefaultCharset koi8-r\n"
    "SetHandler server-status\n</Location>",
    "types by name": "AddHandler server-status .html .txt\nAddType text/css .txt\n"
    "AddCharset koi8-r .html\nDefaultLanguage fr\nAddHandler type-map .html",
    "ranges": "MaxRanges none\n<Location />\nMaxRanges none\n</Location>",
    "validators": "FileETag None\n<Location />\nFileETag None\n</Location>",
    "rewriting": "RewriteEngine On\nRewriteRule ^/(?:private|signed)/(.*)$ /nope [L]",
    "listings": "<Location />\nOptions +Indexes +MultiViews +FollowSymLinks\n</Location>",
    "error pages": "ErrorDocument 416 /\nErrorDocument 412 /\n<Location />\n"
    "ErrorDocument 416 /\nErrorDocument 412 /\n</Location>",
    "digests": "ContentDigest On\n<Location />\nContentDigest On\n</Location>",
    "actions": "Action text/html /nope\n<Location />\nAction application/octet-stream /nope\n"
    "</Location>",
}
MODULES = (
    *("actions", "brotli", "deflate", "expires", "filter", "headers", "include", "mime"),
    *("negotiation", "rewrite", "status", "substitute"),
)
LOAD = "".join(
    f"<IfModule !{name}_module>\n"
    f"    LoadModule {name}_module ${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so\n</IfModule>\n"
    for name in MODULES
)
REQUESTS: tuple[dict[str, str], ...] = (
    {"Accept-Encoding": "gzip, br"},
    {"Range": "bytes=2-5"},
    {"Range": "bytes=0-3,6-9"},
    {"Range": "bytes=99999-"},
    {"If-Match": '"another"'},
)
HEADERS = (
    *("Cache-Control", "Content-Disposition", "Content-Encoding", "Expires"),
    *("Content-Digest", "Content-MD5", "Content-Security-Policy", "Transfer-Encoding", "Vary"),
    "X-Content-Type-Options",
)
Answers = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with new_site(**SETTINGS) as site:
        for name in NAMES:
            site.write(name, HTML)
        yield site


def answers(site: Site, *names: str) -> Answers:
    """Ask for the files while all that is named stands in the configuration.

    Each is handed off, then asked for by a signed URL, then by the cookie of its folder.
    """
    around = LOAD + "\n".join(AROUND[name] for name in names) + "\n"
    with express(site, APPLICATION, include=around + site.apache_config()) as server:
        return [
            _seen(server.port, target, {**request, **cookies})
            for name in NAMES
            for target, cookies in _ways(site, name)
            for request in REQUESTS
        ]


def _ways(site: Site, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    yield file_url(name), {}
    yield forge(site, name), {}
    cookie = forge_cookie(site, FOLDER, browser=BROWSER)
    yield f"/signed/{name}", {"Cookie": f"{signing.COOKIE}={BROWSER}; {cookie}"}


def _seen(port: int, target: str, request: dict[str, str]) -> tuple[object, ...]:
    reply = get(port, target, headers=request)
    kind, _, boundary = reply.headers.get("Content-Type", "").partition("boundary=")
    # What stands between several parts is drawn for each answer.
    body = reply.body.replace(boundary.encode(), b"") if boundary else reply.body
    return reply.status, body, kind, {header: reply.headers.get_all(header) for header in HEADERS}


@pytest.fixture(scope="module")
def usual(site: Site) -> Answers:
    found = answers(site)
    assert [answer[0] for answer in found] == [200, 206, 206, 416, 412] * 6
    assert all(answer[1] == HTML for answer in found[::5])
    return found


@pytest.mark.parametrize("name", AROUND)
def test_a_hand_off_inherits_nothing(site: Site, usual: Answers, name: str) -> None:
    assert answers(site, name) == usual


def test_a_hand_off_inherits_nothing_of_all_together(site: Site, usual: Answers) -> None:
    assert answers(site, *AROUND) == usual


def test_a_view_sees_head_as_head_among_filters(site: Site) -> None:
    """Who counts downloads would count link previews and download managers' questions, too."""
    around = LOAD + "\n".join(AROUND[name] for name in ("headers", "filter of a location")) + "\n"
    with express(site, APPLICATION, include=around + site.apache_config()) as server:
        assert get(server.port, "/method", method="HEAD")["X-Method"] == "HEAD"
        assert get(server.port, "/method")["X-Method"] == "GET"
        head = get(server.port, file_url(NAMES[0]), method="HEAD")
    assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(HTML)))


@pytest.mark.parametrize("proxied", [False, True])
def test_x_sendfile_keeps_its_headers(proxied: bool) -> None:
    around = [AROUND[name] for name in ("expires", "headers", "headers of a location")]
    around.append("Header set X-Frame-Options SAMEORIGIN\nHeader always set X-Frame-Options ALLOW")
    settings = {"DELEGATE_BACKEND": "xsendfile", "DELEGATE_HEADERS": {"X-Frame-Options": "DENY"}}
    with new_site(**settings) as site, ExitStack() as stack:
        site.write("page.html", HTML)
        # Before and after the generated file: the order makes no difference.
        include = LOAD + "\n".join([*around, site.apache_config(), *around, ""])
        if proxied:
            upstream = stack.enter_context(python_server(site, *GUNICORN))
            include += PROXY.format(upstream=upstream)
        server = stack.enter_context(express(site, APPLICATION, include=include))
        url = file_url("page.html", max_age="77", download_name="größe;.html")
        reply = get(server.port, url)
        unchanged = get(server.port, url, headers={"If-None-Match": reply["ETag"]})
        home = get(server.port, "/")
    assert (reply.status, reply.body, unchanged.status) == (200, HTML, 304)
    assert reply.headers.get_all("Cache-Control") == ["private, max-age=77"]
    assert reply.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert reply.headers.get_all("X-Frame-Options") == ["DENY"]
    assert reply.headers.get_all("Content-Type") == ["text/html; charset=utf-8"]
    assert "filename*=UTF-8''gr%C3%B6%C3%9Fe" in reply["Content-Disposition"]
    assert reply["Content-Security-Policy"].endswith("sandbox")
    assert "Cookie" in reply["Vary"]
    assert "Expires" not in reply.headers
    assert not [name for name in reply.headers if name.startswith("X-Flask-Delegate")]
    # Other pages have what the site says.
    assert (home.body, home["X-Content-Type-Options"]) == (b"home", "no")
