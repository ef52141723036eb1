from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal import accounts, create_app, database, passwords

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", cheap)
    passwords.dummy_hash.cache_clear()
    yield
    passwords.dummy_hash.cache_clear()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "data"


@pytest.fixture
def make_app(data: Path) -> Iterator[Callable[..., Flask]]:
    made = []

    def make(**settings: Any) -> Flask:
        app = create_app(
            {"TESTING": True, "DATA": str(data), "SESSION_COOKIE_SECURE": False, **settings}
        )
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            database.db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    prepare(app)
    return app


@pytest.fixture
def anonymous(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def alice(app: Flask) -> FlaskClient:
    return signed_in(app, "alice")


@pytest.fixture
def bob(app: Flask) -> FlaskClient:
    return signed_in(app, "bob")


def prepare(app: Flask) -> None:
    with app.app_context():
        database.upgrade()
        for name in ("alice", "bob"):
            accounts.create(name, PASSWORD)


def signed_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    response = sign_in(client, name)
    assert response.status_code == 302
    return client


def sign_in(
    client: FlaskClient, name: str, password: str = PASSWORD, **fields: str
) -> TestResponse:
    form = {"csrf_token": token(client), "username": name, "password": password, **fields}
    return client.post("/sign-in", data=form)


def token(client: FlaskClient) -> str:
    """Read the token of a form that the client would see."""
    page = client.get("/", follow_redirects=True).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def upload(
    client: FlaskClient, name: str, content: bytes = b"content\n", **fields: str
) -> TestResponse:
    form = {"csrf_token": token(client), "file": (io.BytesIO(content), name), **fields}
    return client.post("/files", data=form, content_type="multipart/form-data")


def links(client: FlaskClient) -> dict[str, str]:
    """Read the list of files: download links by name."""
    page = client.get("/").text
    return {
        name: link
        for link, name in re.findall(r'<a href="(/files/[^"/]+)"><bdi>([^<]*)</bdi></a>', page)
    }


def kept(data: Path) -> list[Path]:
    return [path for path in (data / "files").rglob("*") if path.is_file()]


def arriving(data: Path) -> list[Path]:
    return list((data / "incoming").iterdir())
