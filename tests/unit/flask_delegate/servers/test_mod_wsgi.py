"""Hand-offs to mod_wsgi; what Apache does with them is in tests/live."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask, Response

from flask_delegate import send_via_apache
from tests.support.extension import CONTENT, Factory, behind_apache, serve


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a b.txt", "a%20b.txt"),
        ("a%20b.txt", "a%2520b.txt"),
        ("a?b#c;d&e=f+g.txt", "a%3Fb%23c%3Bd%26e%3Df%2Bg.txt"),
        ("é/日.txt", "%C3%A9/%E6%97%A5.txt"),
        ("a\\b.txt", "a%5Cb.txt"),
        ("raw\udcff.txt", "raw%FF.txt"),
    ],
)
def test_the_internal_url_is_quoted_exactly_once(
    app: Flask, root: Path, name: str, quoted: str
) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"x")
    serve(app, name)
    location = behind_apache(app).get("/file").headers["Location"]
    assert location.partition("?")[0] == f"/private/{quoted}"


def test_the_location_stays_local_under_a_response_class_that_completes_it(app: Flask) -> None:
    class Completing(Response):
        autocorrect_location_header = True

    app.response_class = Completing
    serve(app, "report.txt")
    assert behind_apache(app).get("/file").headers["Location"].startswith("/private/")


def test_two_configurations_for_one_url_are_told_apart(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    client.environ_base["flask_delegate." + "0" * 32] = "/private/"
    assert client.get("/file").data == CONTENT
    assert "two configurations on this server claim /private/" in caplog.text


def test_another_process_group_than_the_one_named_streams(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    key = next(key for key in client.environ_base if key.startswith("flask_delegate."))
    client.environ_base[key] = "/private/ localhost:8000"
    assert "Location" in client.get("/file").headers
    client.environ_base[key] = "/private/ another"
    assert client.get("/file").data == CONTENT
    assert "only the process group 'another' may hand off" in caplog.text


def test_each_of_several_areas_hands_off_beside_the_others(
    make_app: Factory, tmp_path: Path
) -> None:
    """The environ shows the fingerprints of all areas, and those of other applications."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "report.txt").write_bytes(b"photo")
    app = make_app(DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/photos/"}})

    @app.get("/<area>")
    def file(area: str) -> Response:
        return send_via_apache("report.txt", area=area)

    client = behind_apache(app)
    client.environ_base.update(behind_apache(app, "photos").environ_base)
    client.environ_base["flask_delegate." + "0" * 32] = "/private/of-another/"
    assert client.get("/default").headers["Location"].startswith("/private/report.txt?")
    assert client.get("/photos").headers["Location"].startswith("/photos/report.txt?")
