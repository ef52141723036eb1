"""The documentation's examples, served."""

from __future__ import annotations

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from .extension import SECRET
from .paths import PROJECT
from .sites import Site


def example(name: str) -> str:
    """Return the source of one."""
    return (PROJECT / f"docs/examples/{name}.py").read_text()


OLD = "import flask_delegate.transparent\nflask_delegate.transparent.FRESH = 0\n"
"""Has an application take the files of a test for old ones."""


def served(site: Site, source: str, **settings: str) -> str:
    """Return the source of a module that serves one with a site's settings in its environment."""
    values = {"SECRET_KEY": SECRET, "DELEGATE_ROOT": str(site.root), **site.settings, **settings}
    lines = [f"os.environ['FLASK_{key}'] = {str(value)!r}" for key, value in values.items()]
    return "\n".join(["import os", *lines, source, "application = app"])


def session_cookie(**values: object) -> str:
    """Return the header 'Cookie' of a session."""
    app = Flask("signer")
    app.secret_key = SECRET
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer
    return f"session={serializer.dumps(values)!s}"
