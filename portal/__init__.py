"""A secure file portal for a small organisation: each person's private files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_delegate import ConfigurationError, Delegate

from . import (
    archives,
    attempts,
    cli,
    database,
    datafolder,
    entries,
    errors,
    formats,
    headers,
    logs,
    settings,
)
from .activity import record
from .extensions import csrf
from .resumable.parts import Parts
from .storage import Storage
from .uploads import UploadRequest
from .views import (
    account,
    admin,
    auth,
    files,
    folders,
    health,
    invitations,
    second_factor,
)
from .views.activity import activity
from .views.archives import archive_pages
from .views.entries import entry_pages
from .views.file_requests import file_requests
from .views.resumable import resumable
from .views.shares import shares
from .views.trash import trash_pages
from .views.uploaders import uploaders
from .views.visitors import visitors

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
    logs.init_app(app)
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
    app.extensions["portal.parts"] = Parts(storage.incoming, reserve)

    database.init_app(app, folder / "portal.db")
    csrf.init_app(app)
    auth.init_app(app)
    attempts.init_app(app, folder / "throttle.db")
    app.config["DELEGATE_ROOT"] = storage.files
    app.config["DELEGATE_HEADERS"] = headers.CONSTANT
    if app.config.get("DELEGATE_BACKEND", "auto") in {"auto", "mod_wsgi"}:
        app.config["DELEGATE_SIGNED_URL"] = "/signed/"
    _set_up_delegate(app)

    app.register_blueprint(auth.auth)
    app.register_blueprint(account.account)
    app.register_blueprint(second_factor.second_factor)
    app.register_blueprint(invitations.invitations)
    app.register_blueprint(admin.admin)
    app.register_blueprint(files.files)
    app.register_blueprint(folders.folders)
    app.register_blueprint(entry_pages)
    app.register_blueprint(trash_pages)
    app.register_blueprint(archive_pages)
    for blueprint in (resumable, shares, file_requests, visitors, uploaders, activity):
        app.register_blueprint(blueprint)
    record.init_app(app)
    app.add_template_global(entries.quota_of)
    archives.init_app(app)
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
