"""The examples in the documentation are short, and do what they say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.paths import PROJECT

EXAMPLES = PROJECT / "docs" / "examples"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Do what the example's first lines say, and load it as their last command would."""
    path = EXAMPLES / f"{name}.py"
    lines = re.findall("^    (.*)", path.read_text().split('"""')[1], re.MULTILINE)
    assert lines.pop() == f"flask --app {name} run"
    script = "\n".join([*lines, "env --null"])
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    for variable in done.stdout.split("\0"):
        if variable.startswith(("FLASK_", "PHOTOS=")):
            monkeypatch.setenv(*variable.split("=", 1))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, Flask)
    app.testing = True
    return app.test_client()


def follow(client: FlaskClient, url: str) -> TestResponse:
    """Sign in, or pay, at a URL; then follow the link."""
    (link,) = re.findall('href="([^"]+)"', client.get(url).text)
    return client.get(link, buffered=True)


def test_there_are_five_of_under_60_lines() -> None:
    examples = list(EXAMPLES.glob("*.py"))
    assert len(examples) == 5
    for example in examples:
        assert len(example.read_text().splitlines()) < 60


def test_members_read_the_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    client = load("members", monkeypatch)
    assert client.get("/minutes/2026/January.txt").status_code == 403
    assert client.post("/sign-in", data={"password": "wrong"}).status_code == 200
    form = {"password": "a word that members know"}
    response = client.post("/sign-in", data=form, follow_redirects=True, buffered=True)
    assert response.data == b"Welcome.\n"
    assert response.headers["Cache-Control"] == "private, max-age=3600"


def test_photos_are_previewed_by_all_and_had_by_who_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    client = load("photos", monkeypatch)
    assert client.get("/preview/1", buffered=True).data == b"small\n"
    assert client.get("/original/1").status_code == 403
    response = follow(client, "/pay/1")
    assert response.data == b"large\n"
    assert client.get("/original/2").status_code == 403
    assert "Photo 1 (original).tif" in response.headers["Content-Disposition"]


def test_invoices_are_their_customers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    client = load("invoices", monkeypatch)
    with client.session_transaction() as session:
        session["customer"] = "bob"
    denied, missing = client.get("/invoice/1"), client.get("/invoice/2")
    assert (denied.status_code, denied.data) == (404, missing.data)
    response = follow(client, "/sign-in")
    assert (response.data, response.mimetype) == (b"100 EUR\n", "application/pdf")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "Rechnung%20N%C2%BA%201.pdf" in response.headers["Content-Disposition"]


def test_a_library_lends_to_readers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    client = load("library", monkeypatch)
    assert client.get("/book/1.pdf").status_code == 403
    response = follow(client, "/sign-in")
    assert (response.data, response.mimetype) == (b"A book.\n", "application/pdf")
    assert client.get("/copy/2").status_code == 404


def test_a_report_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = load("report", monkeypatch)
    client.application.config["LINES"] = 3
    assert client.get("/report/2026.csv").status_code == 403
    response = follow(client, "/sign-in")
    assert response.data.splitlines()[2] == b"1,2026,7919.00 EUR"
    again = client.get("/report/2026.csv", buffered=True, headers={"Range": "bytes=9-"})
    assert (again.status_code, again.data) == (206, response.data[9:])
