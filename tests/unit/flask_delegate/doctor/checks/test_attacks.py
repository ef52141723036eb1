"""The other ways to a file, as configurations name them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flask_delegate.doctor import probe
from flask_delegate.doctor.apache_config import Configuration
from flask_delegate.doctor.checks import attacks
from flask_delegate.doctor.file_access import find_account
from flask_delegate.doctor.probe import Case, Probe, Visit
from flask_delegate.doctor.requests.client import Target
from tests.support.doctor import NAME
from tests.support.extension import Factory

MARKER = b"marker"


@pytest.fixture
def visit(make_app: Factory) -> Visit:
    app = make_app(DELEGATE_BACKEND="nginx")
    state = app.extensions["delegate"]
    (area,) = state.settings.areas.values()
    case = Case(app, state, (area,), find_account(None))
    target = Target("http", "127.0.0.1", 80, "/app/", name="a.example")
    return Visit(case, area, target, Probe(NAME, MARKER, MARKER))


@pytest.mark.parametrize(
    "text",
    [
        "location /f/ {\nalias /srv;\n}",
        "location ^~ /f { root /srv; }",
        "location ~ ^/f/(.*)$ { alias /srv/$1; }",
        "location ~* /f/.+\\.txt { root /srv; }",
        ":80 {\n  handle /f/* {\n    file_server\n  }\n}",
        '{"match":[{"path":["/f/*"]}]}',
        'alias.url = ( "/f/" => var.base + "/x" )',
        '$HTTP["url"] =~ "^/f($|/)" { }',
        '$HTTP["url"] =^ "/f" { }',
    ],
)
def test_below_each_path_the_file_is_asked_for(visit: Visit, tmp_path: Path, text: str) -> None:
    file = tmp_path / "server.conf"
    file.write_text(text)
    tries = [url for _, url, _ in attacks._by_any_path(visit, file)]
    folder = Path(visit.area.root).name
    for root in ("", "/app"):
        for url in ("/f/", "/"):
            whole = f"{root}{url}{visit.area.root[1:]}/{NAME}"
            assert {f"{root}{url}{NAME}", f"{root}{url}{folder}/{NAME}", whole} <= set(tries)
    assert len(tries) == len(set(tries))


def test_a_virtual_host_on_another_port_is_asked_with_tls_and_without(
    visit: Visit, tmp_path: Path
) -> None:
    main = tmp_path / "apache2.conf"
    host = f"ServerName b.example\nAlias /x {visit.area.root}\n</VirtualHost>\n"
    main.write_text(f"<VirtualHost *:80>\n{host}<VirtualHost *:443>\n{host}")
    ways = attacks._by_apache(visit, Configuration(main))
    asked = {(at.target.url(url), by) for at, url, by in ways if by}
    for scheme, line in (("http", 3), ("http", 7), ("https", 7)):
        assert (f"{scheme}://b.example/x/{NAME}", f" by alias in {main}:{line}") in asked
    assert not [url for url, by in asked if url.startswith("https") and by.endswith(":3")]


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (b"x marker", "failure", "http://a.example/f/NAME by "),
        (b"HTTP/1.1 404", "ok", "other URLs in the configuration has the file"),
        (b"", "skipped", "other URLs was answered"),
        (None, "skipped", "other URLs was answered"),
    ],
)
def test_only_an_answer_shows_that_a_way_is_closed(
    visit: Visit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    level: str,
    said: str,
) -> None:
    file = tmp_path / "server.conf"
    file.write_text("location /f/ {}")

    def answer_to(_: Target, request: bytes, **__: object) -> bytes | None:
        is_hit = request.startswith(f"GET /f/{NAME} ".encode())
        return answer if is_hit or answer is None or MARKER not in answer else b"HTTP/1.1 404"

    monkeypatch.setattr(probe, "answer_to", answer_to)
    case = replace(visit.case, server_config=file)
    found = attacks.other_paths(replace(visit, case=case))
    assert (found.level, said in found.seen) == (level, True)
