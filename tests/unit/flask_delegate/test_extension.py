"""Setting an application up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask, Response

from flask_delegate import Delegate
from tests.support.extension import CONTENT, Factory, serve
from tests.support.paths import PROJECT

PROGRAM = """
import sys
from flask import Flask
before = set(sys.modules)
from flask_delegate import Delegate
app = Flask("loaded", static_folder=None)
app.config.update(SECRET_KEY="a secret for the tests only", DELEGATE_ROOT=sys.argv[1])
Delegate(app)
print(*set(sys.modules) - before)
"""
HEAVY = {"concurrent.futures", "glob", "http.client", "pwd", "ssl", "subprocess", "zipfile"}


def test_set_up_loads_nothing_of_the_doctor_but_its_route(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        check=True,
        cwd=PROJECT,
        text=True,
    )
    loaded = set(done.stdout.split())
    doctors = {name for name in loaded if name.startswith("flask_delegate.doctor")}
    route = {"flask_delegate.doctor.route", "flask_delegate.doctor.places"}
    assert doctors == {"flask_delegate.doctor", *route}
    assert not HEAVY & loaded


def test_an_application_may_be_set_up_later(root: Path) -> None:
    extension = Delegate()
    for name in ("one", "two"):
        app = Flask(name, static_folder=None)
        app.config.update(SECRET_KEY="a secret for the tests only", DELEGATE_ROOT=root)
        extension.init_app(app)
        assert app.config["DELEGATE_URL"] == "/private/"
        assert "delegate" in app.cli.commands
        serve(app, "report.txt")
        with app.test_client().get("/file") as response:
            assert response.data == CONTENT


def test_what_is_configured_wins_over_the_defaults(make_app: Factory) -> None:
    app = make_app(DELEGATE_URL="/elsewhere/")
    assert app.config["DELEGATE_URL"] == "/elsewhere/"
    assert app.config["DELEGATE_BACKEND"] == "auto"
    assert app.config["DELEGATE_SIGNED_URL"] is None
    assert app.config["DELEGATE_AREAS"] == app.config["DELEGATE_HEADERS"] == {}


@pytest.mark.parametrize(
    ("backend", "header"),
    [
        *(("nginx", "X-Accel-Redirect"), ("caddy", "X-Accel-Redirect")),
        *(("xsendfile", "X-Sendfile"), ("lighttpd", "X-Sendfile")),
    ],
)
def test_a_hand_off_that_nobody_made_is_stopped_and_logged(
    make_app: Factory, caplog: pytest.LogCaptureFixture, backend: str, header: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    app.add_url_rule("/stolen", view_func=lambda: Response(headers={header: "/etc/passwd"}))
    response = app.test_client().get("/stolen")
    assert (response.status_code, response.data) == (500, b"Internal Server Error\n")
    assert header not in response.headers
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert f"a response '200 OK' with the header {header} was stopped" in record.getMessage()
