"""A real Apache with mod_wsgi-express on the loopback interface, for one test or one module."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from flask_delegate import Delegate
from flask_delegate.testing import Apache
from flask_delegate.testing.apache import daemon_user, start

from .application import APPLICATION
from .extension import SECRET
from .paths import PROJECT

DAEMON_USER = daemon_user()


@dataclass
class Site:
    """A folder for one server: ``root`` holds the private files, ``app`` the code.

    ``application`` is the source of the module that its server runs.

    Everything in it can be read by the user that Apache's workers run as.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    application: str = APPLICATION

    @property
    def root(self) -> Path:
        return self.folder / "files"

    @property
    def app(self) -> Path:
        return self.folder / "app"

    def write(self, name: str | bytes, content: bytes = b"private content\n") -> Path:
        """Put a private file in place, old enough for a strong ETag."""
        path = Path(os.fsdecode(os.fsencode(self.root) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
        old = time.time() - 3600
        os.utime(path, (old, old))
        return path

    def configure(self, **settings: Any) -> Flask:
        """Create an application with the site's settings, to generate configuration from."""
        app = Flask("generator", static_folder=None)
        app.config.update(DELEGATE_ROOT=str(self.root), SECRET_KEY=SECRET, **self.settings)
        app.config.update(settings)
        Delegate(app)
        return app

    def apache_config(self, *options: str, **settings: Any) -> str:
        """Run ``flask delegate apache-config`` for the site's settings."""
        runner = self.configure(**settings).test_cli_runner()
        result = runner.invoke(args=["delegate", "apache-config", *options])
        assert result.exit_code == 0, result.output
        return result.output

    def nginx_config(self, *options: str, **settings: Any) -> str:
        """Run ``flask delegate nginx-config`` for the site's settings."""
        return self.config("nginx", *options, **settings)

    def config(self, server: str, *options: str, **settings: Any) -> str:
        """Run ``flask delegate SERVER-config`` for the site's settings.

        What it writes is in the site's folder: a script may have to be.
        """
        path = self.folder / f"{server}-{secrets.token_hex(4)}.conf"
        runner = self.configure(**settings).test_cli_runner()
        words = ["delegate", f"{server}-config", "--output", str(path), *options]
        result = runner.invoke(args=words)
        assert result.exit_code == 0, result.output
        return path.read_text()

    def source(self, application: str) -> str:
        """Put the site's constants before an application's source."""
        return (
            f"SITE_ROOT = {str(self.root)!r}\nSITE_SETTINGS = {self.settings!r}\n"
            f"SECRET = {SECRET!r}\n{application}"
        )

    def token(self) -> str:
        """Return the default area's token."""
        token: str = self.configure().extensions["delegate"].keys["default"][0].token
        return token


@contextmanager
def new_site(**settings: Any) -> Iterator[Site]:
    """Create a site in a folder that other users may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="flask-delegate-"))
    try:
        folder.chmod(0o755)
        site = Site(folder.resolve(), settings)
        site.root.mkdir()
        site.app.mkdir()
        for package in ("flask_delegate", "portal"):
            shutil.copytree(
                PROJECT / package,
                site.app / package,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        yield site
    finally:
        shutil.rmtree(folder)


@contextmanager
def express(
    site: Site,
    application: str,
    *options: str,
    include: str | None = None,
    port: int | None = None,
) -> Iterator[Apache]:
    """Run an application under ``mod_wsgi-express start-server``.

    :param application: the source of a module that defines ``application``; ``SITE_ROOT``,
        ``SITE_SETTINGS`` and ``SECRET`` are defined for it.
    :param options: more options for mod_wsgi-express.
    :param include: the text of a file for ``--include-file``.
    """
    script = site.source(application)
    options = ("--python-path", str(site.app), *options)
    with start(script, *options, include=include, port=port) as apache:
        yield apache
