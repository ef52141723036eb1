"""The doctor's token and route."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.doctor import route
from flask_delegate.doctor.places import place_of
from flask_delegate.servers import server_of
from tests.support.doctor import NAME
from tests.support.extension import SECRET, Factory, behind_apache


@pytest.fixture
def probed(root: Path) -> Path:
    """Put a file in place that looks like the doctor's."""
    path = root / NAME
    path.write_bytes(b"probe")
    return path


def url(app: Flask, kind: str = route.FILE, area: str = "default", name: str = NAME) -> str:
    return route.ROUTE + route.make_token(app, kind, area, name)


@pytest.mark.usefixtures("probed")
def test_the_token_opens_the_probe_file(app: Flask) -> None:
    response = app.test_client().get(url(app))
    assert (response.status_code, response.data) == (200, b"probe")
    assert response.headers["Cache-Control"] == "private, max-age=77"
    assert app.test_client().head(url(app)).status_code == 200


def test_the_token_opens_a_file_at_the_longest_path(app: Flask, root: Path) -> None:
    area = app.extensions["delegate"].settings.areas["default"]
    path = root / place_of(area).longest(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"far away")
    assert len(os.fsencode(path)) == server_of(area).longest_path
    response = app.test_client().get(url(app, route.LONGEST))
    assert (response.status_code, response.data) == (200, b"far away")
    assert behind_apache(app).get(url(app, route.LONGEST)).headers["Location"].count("%40") > 3500


@pytest.mark.usefixtures("probed")
def test_the_report_names_settings_and_no_secret(app: Flask) -> None:
    response = behind_apache(app).get(url(app, route.REPORT))
    assert response.headers["Cache-Control"] == "no-store"
    told = json.loads(response.data)
    assert told["process_group"] == "localhost:8000"
    assert told["probe"] == "readable"
    assert told["problem"] is None
    state = app.extensions["delegate"]
    assert state.keys["default"][0].token not in response.text
    assert SECRET not in response.text


def test_the_report_is_what_this_process_sees(app: Flask, root: Path) -> None:
    area = app.extensions["delegate"].settings.areas["default"]
    told = json.loads(app.test_client().get(url(app, route.REPORT)).data)
    assert set(told) == {
        *("process_group", "encoding", "probe", "root", "url", "backend", "fingerprint", "mount"),
        *("outer_prefix", "problem", "cure", "old_key"),
    }
    assert told["process_group"] is None
    assert told["probe"] == "No such file or directory"
    assert told["encoding"] == sys.getfilesystemencoding()
    assert (told["root"], told["url"], told["backend"]) == (str(root), area.url, area.backend)
    assert (told["mount"], told["outer_prefix"], told["old_key"]) == ("", "", False)
    assert told["problem"]
    mounted = app.test_client().get(url(app, route.REPORT), base_url="http://localhost/outer/")
    assert json.loads(mounted.data)["mount"] == "/outer"


def test_a_server_with_the_old_key_is_told_from_one_without_rules(make_app: Factory) -> None:
    app = make_app(SECRET_KEY="a new key of this application", SECRET_KEY_FALLBACKS=[SECRET])
    for server, old_key in ((make_app(), True), (app, False)):
        client = app.test_client()
        client.environ_base.update(behind_apache(server).environ_base)
        told = json.loads(client.get(url(app, route.REPORT)).data)
        assert told["old_key"] == old_key


@pytest.mark.parametrize(
    ("ending", "disposition", "type_", "policy"),
    [
        ("", "attachment", "application/x-flask-delegate-probe", "default-src 'none'; sandbox"),
        ("-größe-日本.html", "inline", "text/html; charset=utf-8", "sandbox"),
    ],
)
def test_the_probe_is_described_as_no_server_would(
    app: Flask, root: Path, ending: str, disposition: str, type_: str, policy: str
) -> None:
    (root / f"{NAME}{ending}").write_bytes(b"probe")
    headers = app.test_client().get(url(app, name=NAME + ending)).headers
    assert headers["Content-Disposition"].startswith(disposition)
    assert headers["Content-Type"] == type_
    assert policy in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, max-age=77"
    if not ending:
        assert "50%25%22%20gr%C3%B6%C3%9Fe.odd" in headers["Content-Disposition"]


def wrong_urls(app: Flask, make_app: Factory) -> list[str]:
    good = url(app)
    other = make_app(SECRET_KEY="another secret of another application")
    return [
        good[:-1],
        good + "x",
        good + "/",
        good.replace(route.ROUTE, route.ROUTE + "x"),
        route.ROUTE + "x",
        route.ROUTE,
        url(other),
        url(app, "other"),
        url(app, area="other"),
        url(app, name="report.txt"),
        url(app, name=route.PREFIX + "../report.txt"),
        url(app, name=NAME + "/../report.txt"),
        url(app, name=route.PREFIX + "1" * 32),
        url(app, route.REPORT, name="report.txt"),
        route.ROUTE + str(route._serializer(app).dumps("report")),
        route.ROUTE + str(route._serializer(app).dumps({"kind": "file"})),
        route.ROUTE + str(route._serializer(app).dumps(["file", ["default"], {}])),
    ]


@pytest.mark.usefixtures("probed")
def test_whatever_is_wrong_is_answered_like_an_unknown_url(app: Flask, make_app: Factory) -> None:
    app.register_error_handler(404, lambda _: ("our own page", 404, {"X-Page": "1"}))
    client = app.test_client()
    for path in wrong_urls(app, make_app):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "FOO"):
            unknown = client.open("/nothing/here", method=method)
            response = client.open(path, method=method)
            assert response.status_code == unknown.status_code == 404, (method, path)
            assert (response.data, list(response.headers)) == (
                unknown.data,
                list(unknown.headers),
            ), (method, path)


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_the_right_token_is_for_get_and_head_only(app: Flask, method: str) -> None:
    assert app.test_client().open(url(app), method=method).status_code == 404


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (70, 404), (-70, 404)])
def test_a_token_is_good_for_a_minute(
    app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    made, now = url(app), time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    assert app.test_client().get(made).status_code == status


def test_a_link_in_the_probes_place_is_not_followed(app: Flask, root: Path) -> None:
    (root / NAME).symlink_to(root / "report.txt")
    assert app.test_client().get(url(app)).status_code == 404


def test_a_token_for_one_area_does_not_open_another(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / NAME).write_bytes(b"photo")
    photos = {"root": tmp_path / "photos", "url": "/inside/photos/"}
    app = make_app(DELEGATE_AREAS={"photos": photos})
    assert app.test_client().get(url(app, area="photos")).data == b"photo"
    assert app.test_client().get(url(app)).status_code == 404


def test_the_sessions_signature_is_not_the_doctors(app: Flask) -> None:
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    forged = serializer.dumps([route.FILE, "default", NAME])
    assert app.test_client().get(route.ROUTE + forged).status_code == 404


def test_without_a_key_there_is_no_token(make_app: Factory) -> None:
    app = make_app(SECRET_KEY=None, DELEGATE_BACKEND="stream")
    assert app.test_client().get(route.ROUTE + "x").status_code == 404
