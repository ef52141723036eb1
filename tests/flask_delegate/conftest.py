from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_delegate import Delegate
from flask_delegate.servers.handshake import environ_key

SECRET = "a secret for the tests only"
Factory = Callable[..., Flask]


class BufferingClient(FlaskClient):
    """Reads each response to its end and closes it, as a server does."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"buffered": True, **kwargs})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "files"
    folder.mkdir()
    (folder / "report.txt").write_bytes(b"private content\n")
    return folder


@pytest.fixture
def make_app(root: Path) -> Factory:
    """Make applications that are set up with the extension."""

    def make(**settings: Any) -> Flask:
        app = Flask("under_test", static_folder=None)
        app.test_client_class = BufferingClient
        app.config.update({"SECRET_KEY": SECRET, "DELEGATE_ROOT": root, **settings})
        Delegate(app)
        return app

    return make


@pytest.fixture
def app(make_app: Factory) -> Flask:
    return make_app()


def behind_apache(app: Flask, area: str = "default") -> FlaskClient:
    """Give a client whose requests look as under mod_wsgi with the right configuration.

    What the web server itself does is for the live tests.
    """
    state = app.extensions["delegate"]
    client = app.test_client()
    client.environ_base.update(
        {
            "mod_wsgi.process_group": "localhost:8000",
            environ_key(state.marks[area].fingerprint): state.settings.areas[area].url,
        }
    )
    return client
