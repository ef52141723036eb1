"""What a server's other configuration may do to a page, and what the doctor says of it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.doctor.checks.inherited import inherited
from flask_delegate.doctor.file_access import find_account
from flask_delegate.doctor.finding import Finding
from flask_delegate.doctor.probe import Case, Probe, Visit
from flask_delegate.doctor.requests.client import Reply, Target

Alter = Callable[[bytes, dict[str, str]], bytes]  # content and headers, which it may change
OTHER = b"another file, which lies beside the page"
PAGE = """
<html><head>
<!--#echo var="DATE_GMT" -->
{{now}}
</head><body>
größe: 1 €, 日本
http://localhost/
</body></html>
"""


class Altering(Visit):
    """A visit to a server that alters what it sends."""

    alter: Alter

    def path(self, kind: str) -> str:
        return f"/{kind}/token"

    def fetch(self, path: str, method: str = "GET", **headers: str) -> Reply:
        assert (path, method) == ("/file/token", "GET")
        stored = Path(self.area.root, self.probe.name).read_bytes()
        beside = Path(self.area.root)
        assert gzip.decompress((beside / f"{self.probe.name}.gz").read_bytes()) == OTHER
        assert (beside / f"{self.probe.name}.br").read_bytes() == OTHER
        assert (beside / f"{self.probe.name}.zst").read_bytes() == OTHER
        fields = {**self.delivery().headers(), "Vary": "Cookie", **headers}
        body = type(self).alter(stored, fields)
        fields.setdefault("Content-Length", str(len(body)))
        message = HTTPMessage()
        for name, value in fields.items():
            message[name] = value
        return Reply(int(fields.get("Status", "200")), message, body, "http://x/…")


def examined(app: Flask, alter: Alter, encoding: str = "utf-8") -> dict[str, Finding]:
    state = app.extensions["delegate"]
    area = state.settings.areas["default"]
    server = type("Server", (Altering,), {"alter": staticmethod(alter)})
    case = Case(app, state, (area,), find_account(None))
    visit = server(case, area, Target("http", "x", 80), Probe("x", b"x", b"x"))
    return {found.check: found for found in inherited(visit, encoding)}


def replaced(old: str, new: str) -> Alter:
    return lambda body, _: body.replace(old.encode(), new.encode())


def with_header(name: str, value: str, when: str = "") -> Alter:
    def alter(body: bytes, headers: dict[str, str]) -> bytes:
        if not when or when in headers:
            headers[name] = value
        return body

    return alter


def old(_body: bytes, _headers: dict[str, str]) -> bytes:
    return PAGE.encode()


def encoded(body: bytes, headers: dict[str, str]) -> bytes:
    if "Accept_Encoding" not in headers:
        return body
    headers["Content-Encoding"] = "gzip"
    return gzip.compress(OTHER)


FAULTS = [
    (
        replaced("<html><head>", "<html><head><s>"),
        "filters",
        ["sub_filter", "pagespeed", "to the area: ssi,"],
    ),
    (
        replaced('<!--#echo var="DATE_GMT" -->', "x"),
        "filters",
        ["by server-side includes (ssi, INCLUDES)"],
    ),
    (replaced("{{now}}", "2026"), "filters", ["by templates (Caddy)", "undo templates"]),
    (replaced("</head><body>", "</head>"), "filters", ["sub_filter", "AddOutputFilterByType"]),
    (replaced("größe: 1 €, 日本", "x"), "filters", ["mod_charset_lite", "SetOutputFilter"]),
    (replaced("http://localhost/", "x"), "filters", ["mod_proxy_html", "FilterChain"]),
    (replaced("</body></html>", "x"), "filters", ["substitution or insertion", "addition"]),
    (replaced("\n</body></html>\n", "\n</body></html>\nx"), "filters", ["add_after_body"]),
    (lambda body, _: OTHER + body, "siblings", [".gz, .br or .zst", "to the area: gzip_static,"]),
    (encoded, "siblings", ["zstd_static; MultiViews"]),
    (
        with_header("Content-Encoding", "br", "Accept_Encoding"),
        "codings",
        ["with br", "area: gzip,", "mod_brotli"],
    ),
    (
        with_header("Cache-Control", "public"),
        "policies",
        ["Cache-Control: 'public'", "area: expires,"],
    ),
    (with_header("Vary", "Accept"), "policies", ["Vary: 'Accept'", "ExpiresActive"]),
    (with_header("Content-Length", "1"), "length", ["Content-Length is '1'", "add_trailer"]),
    (old, "fresh", ["before another file", "area: open_file_cache;", "Cache-Control: private"]),
]


@pytest.mark.parametrize(("alter", "check", "terms"), FAULTS)
def test_each_fault_has_its_name(app: Flask, alter: Alter, check: str, terms: list[str]) -> None:
    found = examined(app, alter)
    wrong = {name: one for name, one in found.items() if one.level != "ok"}
    assert [*wrong] == [check]
    said = wrong[check]
    assert said.level == ("warning" if check == "codings" else "failure")
    assert said.seen.startswith("http://x/…: ")
    assert said.why
    for term in terms:
        assert term in f"{said.seen} {said.fix}"
    if check != "length":
        assert "Write the server's configuration again" in said.fix


def test_a_page_that_arrives_as_it_is(app: Flask, root: Path) -> None:
    seen: list[tuple[bytes, str]] = []

    def unchanged(body: bytes, headers: dict[str, str]) -> bytes:
        seen.append((body, headers.get("Accept_Encoding", "")))
        return body

    found = examined(app, unchanged)
    names = ["names", "filters", "siblings", "codings", "policies", "length", "fresh"]
    assert [(one.check, str(one.level)) for one in found.values()] == [(n, "ok") for n in names]
    assert all(one.seen for one in found.values())
    assert seen[:2] == [(PAGE.encode(), ""), (PAGE.encode(), "gzip, br, zstd")]
    assert seen[2][0] != PAGE.encode()
    assert [path.name for path in root.iterdir()] == ["report.txt"]


@pytest.mark.parametrize(
    ("encoding", "fix"),
    [("ascii", "LANG"), ("latin-1", "LANG"), ("utf-8", "agreement"), ("UTF8", "agreement")],
)
def test_a_name_that_the_server_cannot_spell(app: Flask, encoding: str, fix: str) -> None:
    (found,) = examined(app, with_header("Status", "404"), encoding).values()
    assert (found.check, found.level) == ("names", "failure")
    assert "'-größe-日本.html'" in found.seen
    assert fix in found.fix
    assert (encoding in found.why) == (fix == "LANG")
