from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.core import sqlite
from portal.core.database import db


def test_healthy(anonymous: FlaskClient) -> None:
    response = anonymous.get("/healthz")
    assert response.status_code == 200
    assert response.json == {"status": "ok"}
    assert "Set-Cookie" not in response.headers


def test_missing_schema_is_named(make_app: Callable[..., Flask]) -> None:
    response = make_app().test_client().get("/healthz")
    assert response.status_code == 503
    assert response.json == {"status": "failing", "failing": ["schema"]}


def test_schema_of_another_version_is_named(app: Flask) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'other'")
    assert app.test_client().get("/healthz").json == {"status": "failing", "failing": ["schema"]}


@pytest.mark.sqlite("its file")
def test_broken_database_is_named(app: Flask, data: Path) -> None:
    with app.app_context():
        db.engine.dispose()
    for path in data.glob("portal.db-*"):
        path.unlink()
    (data / "portal.db").write_bytes(b"this is not a database" * 100)
    response = app.test_client().get("/healthz")
    assert response.status_code == 503
    assert response.json == {"status": "failing", "failing": ["database"]}
    assert str(data) not in response.text


def _rename(database: Path) -> None:
    database.rename(database.with_name("elsewhere.db"))


def _replace(database: Path) -> None:
    copy = database.with_name("copy.db")
    shutil.copy(database, copy)
    copy.replace(database)


@pytest.mark.sqlite("its file")
@pytest.mark.parametrize("lose", [_rename, _replace, Path.unlink])
def test_lost_database_is_named(lose: Callable[[Path], None], app: Flask, data: Path) -> None:
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    lose(data / "portal.db")
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json == {"status": "failing", "failing": ["database"]}


@pytest.mark.sqlite("its lock")
def test_database_that_stays_locked_is_named(
    app: Flask, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_CHECK_TIMEOUT", 10)
    client = app.test_client()
    with closing(sqlite3.connect(data / "portal.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        response = client.get("/healthz")
    assert response.json == {"status": "failing", "failing": ["database"]}
    assert client.get("/healthz").status_code == 200
    with app.app_context(), db.engine.connect() as connection:
        timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert timeout == sqlite.BUSY_TIMEOUT


@pytest.mark.parametrize("folder", ["files", "incoming"])
def test_unusable_folder_is_named(folder: str, app: Flask, data: Path) -> None:
    shutil.rmtree(data / folder)
    response = app.test_client().get("/healthz")
    assert response.status_code == 503
    assert response.json == {"status": "failing", "failing": ["storage"]}


def test_check_leaves_nothing_behind(anonymous: FlaskClient, data: Path) -> None:
    anonymous.get("/healthz")
    assert [*(data / "files").iterdir(), *(data / "incoming").iterdir()] == []
