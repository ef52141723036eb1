"""The examples in the documentation are short, and do what they say."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.paths import PROJECT

EXAMPLES = PROJECT / "docs" / "examples"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASK_SECRET_KEY", "a secret")
    return tmp_path


def load(name: str) -> FlaskClient:
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, Flask)
    app.testing = True
    return app.test_client()


def test_there_are_five_of_under_60_lines() -> None:
    examples = list(EXAMPLES.glob("*.py"))
    assert len(examples) == 5
    for example in examples:
        assert len(example.read_text().splitlines()) < 60


def test_members_read_the_minutes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(root))
    (root / "minutes/2026").mkdir(parents=True)
    (root / "minutes/2026/January.pdf").write_bytes(b"%PDF")
    client = load("members")
    assert client.get("/minutes/2026/January.pdf").status_code == 403
    form = {"password": "a word that members know"}
    response = client.post("/sign-in", data=form, follow_redirects=True, buffered=True)
    assert response.data == b"%PDF"
    assert response.headers["Cache-Control"] == "private, max-age=3600"


def test_photos_are_previewed_by_all_and_had_by_who_paid(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOS", str(root))
    for folder, name in (("previews", "1.jpg"), ("originals", "1.tif")):
        (root / folder).mkdir()
        (root / folder / name).write_bytes(name.encode())
    client = load("photos")
    assert client.get("/preview/1", buffered=True).data == b"1.jpg"
    assert client.get("/original/1").status_code == 403
    with client.session_transaction() as session:
        session["paid"] = [1]
    response = client.get("/original/1", buffered=True)
    assert response.data == b"1.tif"
    assert "Photo 1 (original).tif" in response.headers["Content-Disposition"]


def test_invoices_are_their_customers_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(root / "files"))
    monkeypatch.setenv("FLASK_DATABASE", str(root / "invoices.db"))
    (root / "files").mkdir()
    (root / "files/9f3a").write_bytes(b"%PDF")
    with sqlite3.connect(root / "invoices.db") as database:
        database.execute("CREATE TABLE invoice (id INTEGER, customer, title, stored_as)")
        database.execute("INSERT INTO invoice VALUES (1, 'alice', 'Rechnung Nº 1', '9f3a')")
    database.close()
    client = load("invoices")
    with client.session_transaction() as session:
        session["customer"] = "bob"
    denied, missing = client.get("/invoice/1"), client.get("/invoice/2")
    assert (denied.status_code, denied.data) == (404, missing.data)
    with client.session_transaction() as session:
        session["customer"] = "alice"
    response = client.get("/invoice/1", buffered=True)
    assert (response.data, response.mimetype) == (b"%PDF", "application/pdf")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "Rechnung%20N%C2%BA%201.pdf" in response.headers["Content-Disposition"]


def test_a_library_lends_to_readers_as_before(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(root))
    monkeypatch.setenv("FLASK_DELEGATE_SEND_FILE", "true")
    (root / "1.pdf").write_bytes(b"%PDF")
    client = load("library")
    assert client.get("/book/1.pdf").status_code == 403
    with client.session_transaction() as session:
        session["reader"] = 1
    response = client.get("/copy/1", buffered=True)
    assert (response.data, response.mimetype) == (b"%PDF", "application/pdf")
    assert client.get("/copy/2").status_code == 404


def test_a_report_is_written_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(root))
    monkeypatch.setenv("FLASK_LINES", "3")
    client = load("report")
    assert client.get("/report/2026.csv").status_code == 403
    with client.session_transaction() as session:
        session["accountant"] = 1
    response = client.get("/report/2026.csv", buffered=True)
    assert response.data.splitlines()[2] == b"1,2026,7919.00 EUR"
    again = client.get("/report/2026.csv", buffered=True, headers={"Range": "bytes=9-"})
    assert (again.status_code, again.data) == (206, response.data[9:])
