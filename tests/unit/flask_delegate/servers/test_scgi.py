"""Hand-offs by SCGI; what Apache does with them is in tests/live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask, after_this_request

from flask_delegate import HandoffUnavailable, delegated, signed_url
from flask_delegate.servers import SERVERS
from flask_delegate.servers.base import Choices
from flask_delegate.servers.handshake import environ_key
from flask_delegate.state import state_of
from tests.support.extension import Factory, serve


@pytest.fixture
def app(make_app: Factory) -> Flask:
    return make_app(DELEGATE_BACKEND="scgi", DELEGATE_SIGNED_URL="/signed/")


def environ(app: Flask, **more: str) -> dict[str, Any]:
    keys = state_of(app).keys["default"][0]
    return {"SCGI": "1", environ_key(keys.fingerprint): "/private/", **more}


def test_it_hands_off_where_apache_shows_the_fingerprint(app: Flask) -> None:
    serve(app, "report.txt")
    reply = app.test_client().get("/file", environ_overrides=environ(app))
    assert (reply.status_code, reply.data) == (200, b"")
    assert reply.headers["Location"].startswith("/private/report.txt?k=")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({}, "the request did not come by SCGI"),
        ({"mod_wsgi.process_group": "web"}, "the request did not come by SCGI"),
        ({"SCGI": "1"}, "Apache did not load the configuration that guards /private/"),
        (
            {"SCGI": "1", f"flask_delegate.{'0' * 32}": "/private/"},
            "the configuration loaded for /private/ was made for other settings",
        ),
    ],
)
def test_it_refuses_elsewhere_and_says_why(
    app: Flask, shown: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    serve(app, "report.txt")
    keys = state_of(app).keys["default"][0]
    forged = {"HTTP_X_FLASK_DELEGATE": keys.fingerprint}
    reply = app.test_client().get("/file", environ_overrides={**forged, **shown})
    assert reply.status_code == 500
    assert "Location" not in reply.headers
    assert f"{reason}." in caplog.text


def test_two_configurations_for_one_url_are_refused(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    serve(app, "report.txt")
    both = {**environ(app), f"flask_delegate.{'0' * 32}": "/private/"}
    assert app.test_client().get("/file", environ_overrides=both).status_code == 500
    assert "two configurations on this server claim /private/" in caplog.text


def test_what_hooks_say_of_the_file_does_not_arrive_and_the_rest_does(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        @after_this_request
        def change(response: Any) -> Any:
            response.headers["Content-Disposition"] = "inline"
            response.headers["Cache-Control"] = "public"
            response.headers["X-Own"] = "1"
            response.set_cookie("seen", "1")
            return response

        return "report.txt"

    reply = app.test_client().get("/file", environ_overrides=environ(app))
    assert {"Content-Disposition", "Cache-Control"}.isdisjoint(reply.headers.keys())
    assert (reply.headers["X-Own"], reply.headers["Vary"]) == ("1", "Cookie")
    assert "seen=1" in reply.headers["Set-Cookie"]
    for name in ("Content-Disposition", "Cache-Control"):
        assert caplog.text.count(f"the header {name} was set to") == 1
    assert "X-Own" not in caplog.text


def test_apache_has_to_have_done_the_redirect_itself(app: Flask) -> None:
    state = state_of(app)
    area, keys = state.settings.area(None), state.keys["default"]
    rules = SERVERS["scgi"].rules(area, keys, Choices())
    assert rules.count("reqenv('REDIRECT_SCRIPT_FILENAME') =~ m#^proxy:scgi:#") == 2
    assert rules.count("reqenv('REDIRECT_STATUS') == '200'") == 2
    assert "mod_wsgi" not in rules


def test_apache_loads_its_modules_itself(app: Flask) -> None:
    state = state_of(app)
    keyed = [(state.settings.area(None), state.keys["default"])]
    for choices in (Choices(site=True), Choices()):
        text = SERVERS["scgi"].configuration(keyed, choices)
        assert "LoadModule" not in text
        assert "Flask-Delegate needs mod_proxy_scgi. On Debian and Ubuntu: a2enmod" in text


def test_signed_urls_begin_with_what_a_proxy_in_front_has_said(app: Flask) -> None:
    at = environ(app, **{"scgi.script_name": "/app", "scgi.path_info": "/x"})
    for script, prefix in (("/app", ""), ("/outer/app", "/outer")):
        with app.test_request_context("/x", environ_overrides={**at, "SCRIPT_NAME": script}):
            url = signed_url("report.txt", expires_in=60)
        assert url.startswith(f"{prefix}/signed/report.txt?")
    with app.test_request_context("/x"), pytest.raises(HandoffUnavailable):
        signed_url("report.txt", expires_in=60)


def test_a_header_that_apache_would_not_read_is_refused(
    app: Flask, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = root / "/".join(["(" * 200] * 7)
    folder.mkdir(parents=True)
    (folder / "x").write_bytes(b"x")
    serve(app, f"{folder.relative_to(root)}/x", csp=";" * 1500)
    assert app.test_client().get("/file", environ_overrides=environ(app)).status_code == 500
    assert "bytes, and 8179 are the limit. Choose a shorter policy" in caplog.text
