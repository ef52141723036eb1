"""The application factory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from flask_delegate import ConfigurationError, Delegate
from portal import cli
from portal.activity import record
from portal.core import database, datafolder, logs, settings
from portal.files.quota import quota_of
from portal.files.uploads import UploadRequest
from portal.files.zips import Slots
from portal.identity import throttle
from portal.identity.cookie import SessionInterface
from portal.storage.disk import Storage
from portal.tus.parts import Parts
from portal.web import activity, admin, errors, filters, headers, health
from portal.web.account import account, sign_in
from portal.web.edge import Edge
from portal.web.files import entries, files, trash, tus
from portal.web.forms import csrf
from portal.web.sharing import links, visitors

_BLUEPRINTS = (
    *(sign_in.auth, account.account, account.second_factor_pages, sign_in.invitation_pages),
    *(activity.activity, admin.admin, health.health),
    *(files.files, files.folders, entries.entry_pages, entries.zip_downloads),
    *(trash.trash_pages, tus.tus),
    *(links.link_pages, visitors.share_page, visitors.upload_page),
)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Create the application.

    :param config: settings that override the ``PORTAL_*`` variables of the environment.
    :raises settings.SettingError: for a setting that is missing or unusable.
    :raises datafolder.DataFolderError: for a data folder that cannot be used safely.
    """
    app = Flask("portal", template_folder="web/templates", static_folder="web/static")
    app.request_class = UploadRequest
    settings.load(app, config)
    logs.init_app(app)
    app.wsgi_app = Edge(app.wsgi_app, app.config["PROXIES"])  # type: ignore[method-assign]
    folder = datafolder.prepare(settings.data_folder(app))
    app.secret_key = datafolder.secret_key(folder)
    app.session_interface = SessionInterface()
    database.init_app(app, folder / "portal.db")
    throttle.init_app(app, folder / "throttle.db")
    _prepare_storage(app, folder)
    _set_up_delegate(app, folder)
    for extension in (csrf, sign_in, record, filters, errors, headers):
        extension.init_app(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.add_template_global(quota_of)
    app.cli.add_command(cli.portal)
    return app


def _prepare_storage(app: Flask, folder: Path) -> None:
    reserve = app.config["DISK_RESERVE"]
    storage = Storage(folder / "files", folder / "incoming", reserve)
    storage.prepare()
    app.extensions["portal.storage"] = storage
    app.extensions["portal.parts"] = Parts(storage.incoming, reserve)
    app.extensions["portal.zips"] = Slots(app.config["ARCHIVES_AT_ONCE"])


def _set_up_delegate(app: Flask, folder: Path) -> None:
    app.config["DELEGATE_ROOT"] = folder / "files"
    app.config["DELEGATE_HEADERS"] = headers.constant(app)
    if app.config.get("DELEGATE_BACKEND", "auto") in {"auto", "mod_wsgi"}:
        app.config["DELEGATE_SIGNED_URL"] = "/signed/"
    try:
        Delegate(app)
    except ConfigurationError as error:
        raise settings.SettingError(str(error)) from None
