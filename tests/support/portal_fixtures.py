"""Fixtures of a portal without a web server, for a conftest.py to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache

from portal import cli, create_app
from portal.activity import spool
from portal.core import database
from portal.identity import passwords
from tests.support import bucket, databases, postgresql
from tests.support.portal import Run, cheap_hasher, prepare, signed_in

databases.install()

__all__ = [
    "alice",
    "anonymous",
    "app",
    "bob",
    "cheap_hashing",
    "compiled_templates",
    "data",
    "databases_dropped",
    "make_app",
    "ready",
    "run",
    "small_spool",
]


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "hasher", cheap_hasher())
    passwords.dummy_hash.cache_clear()
    yield
    passwords.dummy_hash.cache_clear()


@pytest.fixture(autouse=True)
def small_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reserve less of the disk for each test's portal."""
    monkeypatch.setattr(spool, "SIZE", 64 * 1024)


@pytest.fixture(autouse=True)
def databases_dropped() -> Iterator[None]:
    """Leave no database of a test behind."""
    with databases.dropped():
        yield


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Keep templates compiled from one application to the next."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "data"


@pytest.fixture
def make_app(
    data: Path, compiled_templates: FileSystemBytecodeCache
) -> Iterator[Callable[..., Flask]]:
    made = []

    def make(**settings: Any) -> Flask:
        app = create_app(
            {
                "TESTING": True,
                "DATA": str(data),
                "SESSION_COOKIE_SECURE": False,
                **bucket.settings(data),
                **settings,
            }
        )
        app.jinja_env.bytecode_cache = compiled_templates
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            database.db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask], data: Path) -> Flask:
    if postgresql.SERVER:
        postgresql.create(data, postgresql.PREPARED)  # before it connects, so once
        return make_app()
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


@pytest.fixture
def run(make_app: Callable[..., Flask]) -> Run:
    runner = make_app().test_cli_runner()

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        result = runner.invoke(cli.portal, words, input=stdin)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def ready(run: Run) -> Run:
    assert run("upgrade")[0] == 0
    return run
