"""Whatever a file is called and whatever the server does with such names, its bytes come out."""

from __future__ import annotations

import gzip
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flask_delegate.testing import Apache
from tests.support.application import APPLICATION
from tests.support.clients import file_url, get
from tests.support.sites import Site, express, new_site

# A server set up to run, decode, negotiate, translate, describe and compress what it can.
EAGER = """
LoadModule negotiation_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_negotiation.so
LoadModule include_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_include.so
LoadModule cgid_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_cgid.so
LoadModule actions_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_actions.so
LoadModule substitute_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_substitute.so
LoadModule expires_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_expires.so
AddHandler type-map .var
AddHandler cgi-script .cgi .php
AddHandler server-parsed .shtml
AddOutputFilter INCLUDES .shtml .html
AddEncoding x-gzip .gz .tgz
AddEncoding x-compress .Z
AddEncoding br .br
AddLanguage en .en
AddCharset utf-16 .utf16
AddDefaultCharset koi8-r
Action text/html /
ExpiresActive On
ExpiresDefault "access plus 1 year"
FileETag None
AddOutputFilterByType SUBSTITUTE text/plain
Substitute s/0123456789/substituted/
FilterDeclare always-gzip
FilterProvider always-gzip DEFLATE "true"
FilterChain always-gzip
<Directory "{root}/">
    Options All
    AllowOverride All
</Directory>
<Directory "{folder}/">
    RewriteEngine On
    RewriteRule ^files/notes\\.en$ /environ [L]
</Directory>
<FilesMatch "\\.(php|html)$">
    SetHandler cgi-script
</FilesMatch>
"""
SCRIPT = b"#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho executed\n"
UPLOADS = {
    "shell.php": SCRIPT,
    "shell.cgi": SCRIPT,
    "page.shtml": b'<!--#exec cmd="echo executed" -->\n',
    "page.html": b'<!--#echo var="DATE_LOCAL" --><script>1</script>\n',
    ".htaccess": b"not a directive\n",
    "page.html.gz": gzip.compress(b"<script>1</script>"),
    "archive.tgz": gzip.compress(b"x"),
    "old.Z": b"\x1f\x9d\x90",
    "page.html.br": b"\x0b\x02\x80",
    "map.var": b"URI: map.en\nContent-Type: text/html\n",
    "notes.en": b"notes\n",
    "notes.utf16": b"notes\n",
    "plain.txt": b"0123456789\n" * 1000,
    "a?b#c%2e%41 d.txt": b"quoted once\n",
}


def eager_config(site: Site) -> str:
    return EAGER.replace("{root}", str(site.root)).replace("{folder}", str(site.folder))


@pytest.fixture(scope="module")
def eager() -> Iterator[tuple[Site, Apache]]:
    with new_site() as site:
        for name, content in UPLOADS.items():
            site.write(name, content).chmod(0o755)
        include = eager_config(site) + site.apache_config()
        with express(site, APPLICATION, "--compress-responses", include=include) as running:
            yield site, running


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_comes_out_as_bytes(eager: tuple[Site, Apache], name: str) -> None:
    reply = get(eager[1].port, file_url(name), headers={"Accept-Encoding": "gzip, br"})
    assert (reply.status, reply.body) == (200, UPLOADS[name])
    assert reply["Content-Length"] == str(len(UPLOADS[name]))
    assert reply.get("Content-Encoding") is None
    assert reply["Cache-Control"] == "private, no-cache"
    assert reply.get("Expires") is None


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("shell.cgi", "application/octet-stream"),
        ("page.html.gz", "application/gzip"),
        ("page.html", "text/html; charset=utf-8"),
        ("plain.txt", "text/plain; charset=utf-8"),
        ("notes.utf16", "application/octet-stream"),
    ],
)
def test_the_type_is_the_applications(
    eager: tuple[Site, Apache], name: str, content_type: str
) -> None:
    assert get(eager[1].port, file_url(name))["Content-Type"] == content_type


def test_the_server_would_have_treated_them_otherwise(eager: tuple[Site, Apache]) -> None:
    """The same files through a plain alias: proof that the server is as eager as it should be."""
    site = eager[0]
    plain = f'Alias "/plain/" "{site.root}/"\n<Directory "{site.root}/">\nRequire all granted\n'
    include = eager_config(site) + plain + "AllowOverride None\n</Directory>\n"
    with express(site, APPLICATION, "--compress-responses", include=include) as running:
        accepting = {"Accept-Encoding": "gzip"}
        compressed = get(running.port, "/plain/plain.txt", headers=accepting)
        assert compressed.get("Content-Encoding") == "gzip"
        assert get(running.port, "/plain/archive.tgz").get("Content-Encoding") == "x-gzip"
        assert get(running.port, "/plain/shell.php").body != SCRIPT
        assert b"substituted" in get(running.port, "/plain/plain.txt").body
        assert b"mod_wsgi" in get(running.port, "/plain/notes.en").body
        assert "ETag" not in compressed.headers
        assert get(running.port, "/plain/page.shtml").body == b"executed\n\n"


def test_compressible_text_keeps_length_ranges_and_etag(eager: tuple[Site, Apache]) -> None:
    port = eager[1].port
    accepting = {"Accept-Encoding": "gzip"}
    whole = get(port, file_url("plain.txt"), headers=accepting)
    assert whole["Content-Length"] == "11000"
    etag = whole["ETag"]
    assert not etag.endswith('-gzip"')
    part = get(port, file_url("plain.txt"), headers={**accepting, "Range": "bytes=11-21"})
    assert (part.status, part.body) == (206, b"0123456789\n")
    same = get(port, file_url("plain.txt"), headers={**accepting, "If-None-Match": etag})
    assert same.status == 304


# Everything that a Linux file name can hold: any bytes but NUL and '/', up to 255 of them.
HOSTILE_BYTES = st.one_of(
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    st.binary(min_size=1, max_size=255),
    st.text(alphabet="%?#&;=+ .\\\"'<>\n\r\t:*|~$`{}[]()^!@,", min_size=1, max_size=60).map(
        str.encode
    ),
    st.sampled_from([b"%2e%2e", b"%2f", b"..%2f..", b"%00", b"...", b"-rf", b" ", b"\xff", b"~"]),
)
HOSTILE_NAMES = HOSTILE_BYTES.map(
    lambda raw: raw.replace(b"\0", b"0").replace(b"/", b"_")[:255]
).filter(lambda raw: raw not in (b".", b".."))


@pytest.fixture(scope="module")
def names(server: Apache, shared_site: Site) -> tuple[Site, Apache]:
    return shared_site, server


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(raw=HOSTILE_NAMES)
def test_hostile_names_round_trip(names: tuple[Site, Apache], raw: bytes) -> None:
    site, server = names
    content = b"content of " + raw
    path = site.write(raw, content)
    try:
        reply = get(server.port, f"/hex/{raw.hex()}")
        assert (reply.status, reply.body) == (200, content)
        assert reply["X-Content-Type-Options"] == "nosniff"
        assert_presentable(reply["Content-Disposition"])
    finally:
        path.unlink()


def assert_presentable(disposition: str) -> None:
    """One line, a fallback that is not empty, and no invisible character in the real name."""
    fallback = disposition.partition('filename="')[2].partition('"')[0]
    assert fallback.strip(" .")
    assert "/" not in fallback
    assert disposition.isascii()
    assert disposition.isprintable()
    real = unquote(disposition.partition("filename*=UTF-8''")[2], errors="strict")
    assert not any(unicodedata.category(character) == "Cc" for character in real)
    assert not {"/", "\\", "\u202e", "\u2066"} & set(real)
