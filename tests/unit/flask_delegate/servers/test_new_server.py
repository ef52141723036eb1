"""A new server is one module and one line: here is the module, and the line is the fixture's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.wrappers import Response

from flask_delegate import HandoffUnavailable, delegated, servers
from flask_delegate.areas import Area
from flask_delegate.delivery import Delivery
from flask_delegate.servers import SERVERS
from flask_delegate.servers.base import Choices, Keeps, Keyed, Server, describing_response
from flask_delegate.servers.handshake import Keys
from flask_delegate.testing import assert_delegated
from tests.support.extension import Factory


class Cherokee(Server):
    """A server with the header ``X-Cherokee-File``, as far as this test needs it."""

    name = "cherokee"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False)
    header = "X-Cherokee-File"
    product = "cherokee"
    command = "cherokee-config"
    choices = ("receipts",)
    software = "cherokee"

    def respond(self, delivery: Delivery, keys: Keys, environ: Any) -> Response:
        del keys, environ
        response = describing_response(delivery)
        response.headers[self.header] = delivery.file.path
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        del keys, choices
        return f'"x-sendfile-docroot" => ( "{area.root}" )\n'

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        rules = [self.rules(area, keys, choices) for area, keys in areas]
        shown = [f'"X-Flask-Delegate" => "{keys[0].fingerprint}"\n' for _, keys in areas]
        return "".join([*rules, *shown])

    def is_installed(self) -> bool:
        return False


@pytest.fixture
def app(make_app: Factory, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setitem(servers._CLASSES, "cherokee", "Cherokee")
    monkeypatch.setitem(SERVERS._made, "cherokee", Cherokee())
    return make_app(DELEGATE_BACKEND="cherokee", TESTING=True)


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["delegate", *arguments])
    return result.exit_code, result.output


def test_it_delivers_a_file(app: Flask, root: Path) -> None:
    decorate: Any = delegated(lambda: True)
    app.add_url_rule("/file", view_func=decorate(lambda: "report.txt"))
    client = app.test_client()
    assert client.get("/file").status_code == 500
    shown = {"X-Flask-Delegate": app.extensions["delegate"].keys["default"][0].fingerprint}
    response = client.get("/file", headers=shown)
    assert_delegated(response, "report.txt", mimetype="text/plain")
    assert response.headers["X-Cherokee-File"] == str(root / "report.txt")


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({}, "no header X-Flask-Delegate, which cherokee would"),
        ({"HTTP_X_FLASK_DELEGATE": ""}, "no header X-Flask-Delegate, which cherokee would"),
        ({"HTTP_X_FLASK_DELEGATE": "2,3"}, "the configuration loaded for /private/ was made for"),
        ({"flask_delegate.2": "/private/"}, "the configuration loaded for /private/ was made for"),
        (
            {"flask_delegate.1": "/another/"},
            "no header X-Flask-Delegate, which cherokee would",
        ),
        ({"HTTP_X_FLASK_DELEGATE": "2,1"}, None),
        ({"HTTP_X_FLASK_DELEGATE": " 2  1 "}, None),
        ({"flask_delegate.1": "/private/"}, None),
    ],
)
def test_it_has_to_show_the_fingerprint(shown: dict[str, str], said: str | None) -> None:
    area, keys = Area("default", "/srv/files", "/private/", "cherokee"), Keys("token", "1")
    if said is None:
        Cherokee().check(shown, area, keys)
        return
    with pytest.raises(HandoffUnavailable, match=said) as caught:
        Cherokee().check(shown, area, keys)
    assert "'flask delegate cherokee-config --output FILE'" in caught.value.cure


def test_its_header_is_guarded(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    stolen = {"X-Cherokee-File": "/etc/passwd"}
    app.add_url_rule("/file", view_func=lambda: Response(headers=stolen))
    response = app.test_client().get("/file")
    assert response.status_code == 500
    assert "X-Cherokee-File" not in response.headers
    assert "the extension did not make it" in caplog.text


def test_a_command_writes_its_configuration(app: Flask, root: Path) -> None:
    code, text = run(app, "cherokee-config")
    assert code == 0
    assert text.startswith("# cherokee configuration for the private files of under_test")
    assert f'"x-sendfile-docroot" => ( "{root}" )' in text
    assert "cherokee-config" in run(app, "--help")[1]
    help_text = run(app, "cherokee-config", "--help")[1]
    assert "--receipts" in help_text
    assert "--process-group" not in help_text
    code, text = run(app, "apache-config")
    assert code == 1
    assert "Apache sends the files of no area" in text


def test_the_doctor_examines_it(app: Flask, tmp_path: Path) -> None:
    config = tmp_path / "generated.conf"
    run(app, "cherokee-config", "--output", str(config))

    def levels() -> dict[str, str]:
        _, output = run(app, "doctor", "--json", "--config", str(config))
        return {item["check"]: item["level"] for item in json.loads(output)["findings"]}

    found = levels()
    assert found["backend"] == "warning"  # this test's cherokee is never installed
    assert found["config"] == found["config-secret"] == "ok"
    assert found["interpreter"] == found["sendfile"] == "skipped"
    config.write_text("# of another application\n")
    assert levels()["config"] == "failure"
