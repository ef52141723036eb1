"""Who sends the file, and what the answer looks like from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask, Response

from flask_delegate import (
    Handoff,
    HandoffUnavailable,
    file_delegated,
    send_via_apache,
    signed_url,
)
from tests.support.extension import CONTENT, Factory, behind_apache, serve


def test_a_path_is_handed_off(app: Flask) -> None:
    serve(app, "report.txt")
    response = behind_apache(app).get("/file")
    token = app.extensions["delegate"].keys["default"][0].token
    assert response.status == "200 OK"
    assert response.data == b""
    assert re.sub("&id=[A-Za-z0-9_-]{16}&", "&id=&", response.headers["Location"]) == (
        f"/private/report.txt?k={token}&id=&ct=text/plain%3B%20charset%3Dutf-8"
        "&cd=inline%3B%20filename%3D%22report.txt%22"
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_path_is_streamed_elsewhere(app: Flask) -> None:
    serve(app, Path("report.txt"))
    response = app.test_client().get("/file")
    assert (response.status_code, response.data) == (200, CONTENT)
    assert "Location" not in response.headers
    assert response.headers["Content-Disposition"] == 'inline; filename="report.txt"'
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Accept-Ranges"] == "bytes"


def test_send_via_apache_makes_the_response(app: Flask) -> None:
    @app.get("/file")
    def file() -> Response:
        return send_via_apache("report.txt", as_attachment=True, mimetype="text/csv")

    headers = app.test_client().get("/file").headers
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == 'attachment; filename="report.txt"'


def test_areas_have_their_own_folder_url_and_token(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"png")
    app = make_app(DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/in/photos/"}})
    serve(app, "a.png", area="photos")
    token = app.extensions["delegate"].keys["photos"][0].token
    response = behind_apache(app, "photos").get("/file")
    assert response.headers["Location"].startswith(f"/in/photos/a.png?k={token}&")
    # Only the default area's guard is there: this one's file is streamed.
    assert behind_apache(app, "default").get("/file").data == b"png"


def test_the_handshake_decides_for_each_request(app: Flask) -> None:
    serve(app, "report.txt")
    good = behind_apache(app)
    assert "Location" in good.get("/file").headers
    for missing in list(good.environ_base):
        client = behind_apache(app)
        if missing in ("REMOTE_ADDR", "HTTP_USER_AGENT"):
            continue
        del client.environ_base[missing]
        assert "Location" not in client.get("/file").headers


def test_why_it_streams_is_logged_once(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    serve(app, "report.txt")
    for _ in range(3):
        app.test_client().get("/file")
    assert caplog.text.count("this server is not Apache with mod_wsgi") == 1


def test_it_refuses_where_streaming_is_ruled_out(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DELEGATE_BACKEND="mod_wsgi")
    serve(app, "report.txt")
    assert app.test_client().get("/file").status_code == 500
    assert "cannot be handed off" in caplog.text
    assert "Location" in behind_apache(app).get("/file").headers


def test_two_applications_in_one_process(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.txt").write_bytes(b"other")
    one, two = make_app(), make_app(DELEGATE_ROOT=tmp_path / "other")
    for app in (one, two):
        serve(app, "report.txt")
    assert one.test_client().get("/file").data == CONTENT
    assert two.test_client().get("/file").data == b"other"


def test_without_set_up_the_error_says_so() -> None:
    app = Flask("bare")
    with app.test_request_context(), pytest.raises(RuntimeError, match="init_app"):
        send_via_apache("report.txt")


def test_an_old_key_works_until_the_configuration_is_written_anew(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    old = make_app(SECRET_KEY="old")
    behind_old = dict(behind_apache(old).environ_base)
    app = make_app(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"])
    serve(app, "report.txt")
    client = app.test_client()
    client.environ_base.update(behind_old)
    location = client.get("/file").headers["Location"]
    assert f"k={old.extensions['delegate'].keys['default'][0].token}&" in location
    assert "made with a key that is now in SECRET_KEY_FALLBACKS" in caplog.text
    location = behind_apache(app).get("/file").headers["Location"]
    assert f"k={app.extensions['delegate'].keys['default'][0].token}&" in location


def test_each_option_of_send_via_apache_arrives(make_app: Factory, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.bin").write_bytes(b"other")
    app = make_app(DELEGATE_AREAS={"other": {"root": other, "url": "/in/other/"}})

    @app.get("/file")
    def file() -> Response:
        return send_via_apache(
            "a.bin",
            area="other",
            as_attachment=True,
            download_name="b.txt",
            mimetype="text/css",
            max_age=7,
            csp="default-src 'self'",
            rate_limit=2048,
        )

    location = behind_apache(app, "other").get("/file").headers["Location"]
    assert location.startswith("/in/other/a.bin?")
    assert (
        parse_qs(location.partition("?")[2]).items()
        >= {
            "ct": ["text/css; charset=utf-8"],
            "cd": ['attachment; filename="b.txt"'],
            "ma": ["7"],
            "csp": ["default-src 'self'"],
            "rl": ["2"],
        }.items()
    )


@pytest.mark.parametrize("backend", ["nginx", "caddy", "lighttpd", "xsendfile"])
def test_a_proxy_has_to_show_the_fingerprint(make_app: Factory, backend: str) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    serve(app, "report.txt")
    fingerprint = app.extensions["delegate"].keys["default"][0].fingerprint
    client = app.test_client()
    for shown, status in ((None, 500), ("0" * 32, 500), (f"other, {fingerprint}", 200)):
        headers = {"X-Flask-Delegate": shown} if shown else {}
        response = client.get("/file", headers=headers)
        assert response.status_code == status
        if status == 200:
            assert response.headers["Vary"] == "Cookie"


def test_the_signal_has_the_delivery_and_the_server(app: Flask) -> None:
    heard: list[tuple[Any, Any, str]] = []

    def note(sender: Flask, delivery: Any, backend: str) -> None:
        heard.append((sender, delivery, backend))

    serve(app, Handoff("report.txt", max_age=3))
    with file_delegated.connected_to(note):
        location = behind_apache(app).get("/file").headers["Location"]
    ((sender, delivery, backend),) = heard
    assert (sender, backend) == (app, "mod_wsgi")
    assert f"&id={delivery.id}&" in location
    assert (delivery.handoff.path, delivery.max_age) == ("report.txt", 3)


def test_where_neither_the_key_nor_an_old_one_is_shown_files_are_streamed(
    make_app: Factory,
) -> None:
    app = make_app(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    serve(app, "report.txt")
    client = app.test_client()
    client.environ_base.update(behind_apache(make_app(SECRET_KEY="strange")).environ_base)
    assert client.get("/file").data == CONTENT


def test_what_is_logged_once_is_logged_for_each_area(
    make_app: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "report.txt").touch()
    app = make_app(DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/photos/"}})

    @app.get("/<area>")
    def file(area: str) -> Response:
        return send_via_apache("report.txt", area=area)

    for _ in range(2):
        for area in ("default", "photos"):
            app.test_client().get(f"/{area}")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    for area, message in zip(("default", "photos"), messages, strict=True):
        assert message.startswith(f"area {area!r} cannot be handed off: this server is not Apache")
        assert message.endswith(" Until then Python streams the files.")


def test_what_a_signed_url_needs_is_said(make_app: Factory) -> None:
    with make_app().app_context(), pytest.raises(HandoffUnavailable) as caught:
        signed_url("report.txt", expires_in=60)
    error = caught.value
    assert (error.area, error.reason) == ("default", "it has no signed URLs.")
    assert error.cure.startswith("Set DELEGATE_SIGNED_URL to a prefix such as /signed/")
