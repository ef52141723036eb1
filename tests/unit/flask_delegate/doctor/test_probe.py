"""The doctor's file."""

from __future__ import annotations

import os
import time
from http.client import HTTPMessage
from pathlib import Path

import pytest

from flask_delegate.areas import Area
from flask_delegate.doctor import probe, route
from flask_delegate.doctor.file_access import find_account
from flask_delegate.doctor.requests.client import Reply, Target
from tests.support.doctor import NAME
from tests.support.extension import Factory


@pytest.fixture
def area(make_app: Factory) -> Area:
    found: Area = make_app().extensions["delegate"].settings.areas["default"]
    return found


def test_the_probe_file_is_taken_away(root: Path, area: Area) -> None:
    with probe.probe_file(area) as made:
        path = root / made.name
        assert path.read_bytes() == made.content
        assert route._NAME.fullmatch(made.name)  # the application opens no other
        assert path.stat().st_mode & 0o777 == 0o644
        assert time.time() - path.stat().st_mtime > 3000
        assert made.content.count(made.marker) > 100
        assert made.marker.decode() not in made.name
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), probe.probe_file(area):
        raise ZeroDivisionError
    assert [path.name for path in root.iterdir()] == ["report.txt"]


def test_a_file_that_cannot_be_created_is_not_missed(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError), probe.probe_file(area):
        pass
    assert [path.name for path in Path(area.root).iterdir()] == ["report.txt"]


def test_the_one_at_the_longest_path_is_readable_and_taken_away(root: Path, area: Area) -> None:
    usual = os.umask(0o077)
    try:
        with probe.longest_probe_file(area) as made:
            paths = [root / made.name, *(root / made.name).rglob("*")]
            assert paths[-1].read_bytes() == made.content
            assert {oct(path.stat().st_mode & 0o777) for path in paths[:-1]} == {"0o755"}
            assert paths[-1].stat().st_mode & 0o777 == 0o644
            (root / "another").touch()
            assert (root / "another").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(usual)
    assert sorted(path.name for path in root.iterdir()) == ["another", "report.txt"]


def test_the_probe_route_is_asked_as_it_is_told(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    state = app.extensions["delegate"]
    area = state.settings.areas["default"]
    asked: list[tuple[str, str, object]] = []

    def fetch(_: Target, path: str, *, method: str, headers: dict[str, str]) -> Reply:
        asked.append((path, method, headers))
        return Reply(200, HTTPMessage(), b"", "with a token")

    monkeypatch.setattr(probe, "fetch", fetch)
    case = probe.Case(app, state, (area,), find_account(None))
    visit = probe.Visit(case, area, Target("http", "x", 80, "/app/"), probe.Probe(NAME, b"", b""))
    reply = visit.ask("file", "HEAD", If_None_Match="*")
    ((path, *rest),) = asked
    assert path.startswith("/app/.well-known/flask-delegate/")
    assert rest == ["HEAD", {"If-None-Match": "*"}]
    assert reply.url == "http://x/app/.well-known/flask-delegate/…"
