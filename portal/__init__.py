"""A secure file portal for a small organisation: each person's private files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_delegate import ConfigurationError, Delegate

from . import cli, database, datafolder, errors, formats, headers, settings
from .extensions import csrf
from .storage import Storage
from .uploads import UploadRequest
from .views import auth, files, health

__all__ = ["create_app"]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the application.

    :param config: settings that win over the ``PORTAL_*`` variables of the environment.
    :raises settings.SettingError: for a setting that is missing or not usable.
    :raises datafolder.DataFolderError: for a data folder that cannot be used safely.
    """
    app = Flask(__name__)
    app.request_class = UploadRequest
    settings.load(app, config)
    app.logger.setLevel(logging.INFO)
    if hops := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )

    folder = datafolder.prepare(settings.data_folder(app))
    app.secret_key = datafolder.secret_key(folder)
    reserve = app.config["DISK_RESERVE"]
    storage = Storage(folder / "files", folder / "incoming", reserve)
    storage.prepare()
    app.extensions["portal.storage"] = storage

    database.init_app(app, folder / "portal.db")
    csrf.init_app(app)
    auth.init_app(app)
    app.config["DELEGATE_ROOT"] = storage.files
    app.config["DELEGATE_HEADERS"] = headers.CONSTANT
    _set_up_delegate(app)

    app.register_blueprint(auth.auth)
    app.register_blueprint(files.files)
    app.register_blueprint(health.health)
    app.cli.add_command(cli.portal)
    formats.init_app(app)
    errors.init_app(app)
    headers.init_app(app)
    return app


def _set_up_delegate(app: Flask) -> None:
    try:
        Delegate(app)
    except ConfigurationError as error:
        raise settings.SettingError(str(error)) from error
