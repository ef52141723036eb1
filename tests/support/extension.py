"""What the tests of the extension share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_delegate import ConfigurationError, Delegate, delegated
from flask_delegate.servers.handshake import environ_key

SECRET = "a secret for the tests only"
Factory = Callable[..., Flask]
CONTENT = b"private content\n"


class BufferingClient(FlaskClient):
    """Reads each response to its end and closes it, as a server does."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"buffered": True, **kwargs})


def behind_apache(app: Flask, area: str = "default") -> FlaskClient:
    """Return a client whose requests look as under mod_wsgi with the right configuration.

    What the web server itself does is for the live tests.
    """
    state = app.extensions["delegate"]
    client = app.test_client()
    client.environ_base.update(
        {
            "mod_wsgi.process_group": "localhost:8000",
            environ_key(state.keys[area][0].fingerprint): state.settings.areas[area].url,
        }
    )
    return client


def refused(**settings: Any) -> ConfigurationError:
    """Return the error of a set-up that must fail."""
    app = Flask("under_test", static_folder=settings.pop("static_folder", None))
    app.config.update(settings)
    with pytest.raises(ConfigurationError) as caught:
        Delegate(app)
    assert "delegate" not in app.extensions
    return caught.value


def serve(app: Flask, returned: Any, *, allowed: bool = True, **options: Any) -> None:
    """Add the route /file, whose view returns something."""

    @app.route("/file", methods=["GET", "POST"])
    @delegated(lambda: allowed, **options)
    def file() -> Any:
        return returned
