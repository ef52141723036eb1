"""The application factory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from flask_delegate import ConfigurationError, Delegate
from flask_delegate.stores.store import Store
from portal import cli
from portal.activity import record
from portal.core import database, datafolder, logs, settings, shared_key, stores
from portal.core.setting_checks import SettingError
from portal.files.quota import quota_of, usage_of
from portal.identity import throttle
from portal.identity.cookie import SessionInterface
from portal.storage import ballast
from portal.storage.base import Storage
from portal.storage.disk import Disk
from portal.storage.incoming import Incoming
from portal.storage.parts import Mirror, Parts
from portal.tus.method_override import MethodOverride
from portal.web import (
    activity,
    admin,
    compression,
    errors,
    filters,
    headers,
    health,
    places,
    static_files,
    zone,
)
from portal.web.account import account, one_time_links, sign_in
from portal.web.edge import Edge, Request, Room
from portal.web.files import entries, files, trash, unfinished
from portal.web.forms import csrf
from portal.web.sharing import links, upload_page, visitors
from portal.web.uploads import groups, tus

_BLUEPRINTS = (
    *(sign_in.auth, account.account, account.second_factor_pages, one_time_links.invitation_pages),
    *(activity.activity, admin.admin, health.health),
    *(files.files, files.folders, entries.entry_pages, entries.zip_downloads),
    *(trash.trash_pages, unfinished.unfinished_pages, tus.tus),
    groups.group_uploads,
    *(links.link_pages, visitors.share_page, upload_page.upload_page),
)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Create the application.

    :param config: settings that override the ``PORTAL_*`` variables of the environment.
    :raises SettingError: for a setting that is missing or unusable.
    :raises datafolder.DataFolderError: for a data folder that cannot be used safely.
    """
    app = Flask("portal", template_folder="web/templates", static_folder=None)
    app.request_class = Request
    settings.load(app, config)
    logs.init_app(app)
    static_files.init_app(app)
    overridden = MethodOverride(app.wsgi_app)
    app.wsgi_app = Edge(overridden, app.config["PROXIES"])  # type: ignore[method-assign]
    store = stores.configured(app.config)
    folder = datafolder.prepare(settings.data_folder(app))
    app.secret_key = _secret_key(app.config["SECRET_KEY_FILE"], folder)
    app.session_interface = SessionInterface()
    database.init_app(app, folder / "portal.db")
    shared_key.check(app, store)
    throttle.init_app(app, folder / "throttle.db")
    _prepare_storage(app, folder, store)
    app.wsgi_app = Room(app)  # type: ignore[method-assign]
    _set_up_delegate(app, folder, store)
    record.init_app(app, folder / "activity.spool")
    for extension in (csrf, sign_in, filters, zone, errors, headers, compression, places):
        extension.init_app(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.add_template_global(quota_of)
    app.add_template_global(usage_of)
    app.cli.add_command(cli.portal)
    return app


def _secret_key(shared: str | None, folder: Path) -> bytes:
    if shared is None:
        return datafolder.secret_key(folder)
    try:
        return datafolder.shared_key(Path(shared))
    except datafolder.DataFolderError as error:
        raise SettingError(f"PORTAL_SECRET_KEY_FILE names no key: {error.message}") from error


def _prepare_storage(app: Flask, folder: Path, store: Store | None) -> None:
    reserve, incoming = app.config["DISK_RESERVE"], folder / "incoming"
    mirror: Mirror | None = None
    storage: Storage = Disk(folder / "files", incoming, reserve)
    if store:
        if next(storage.all_keys(), None):
            raise SettingError(
                f"PORTAL_STORE is set, and {folder / 'files'} still has the content of files. Copy"
                " it into the bucket, and move that folder away: see docs/portal/store.md."
            )
        storage, mirror = _bucket(store, Incoming(incoming, reserve))
    storage.prepare()
    app.extensions["portal.storage"] = storage
    ballast.init_app(app, folder)
    app.extensions["portal.parts"] = Parts(storage.incoming, reserve, mirror)


def _bucket(store: Store, incoming: Incoming) -> tuple[Storage, Mirror]:
    """Return the storage in a store; who has none need not install what asks it."""
    try:
        from portal.storage.bucket import Bucket, PieceMirror
    except ImportError as error:
        raise SettingError(
            f"PORTAL_STORE needs the package boto3, which cannot be imported ({error}). Install the"
            " dependency group 'store'."
        ) from error
    bucket = Bucket(store, incoming)
    return bucket, PieceMirror(bucket)


def _set_up_delegate(app: Flask, folder: Path, store: Store | None) -> None:
    app.config["DELEGATE_HEADERS"] = headers.constant(app)
    if store:
        area = {"url": "/private/", "store": app.config["STORE"]}
        app.config["DELEGATE_AREAS"] = {"files": area}
        app.config["DELEGATE_STORE_KEYS"] = {"files": store.keys}
    else:
        app.config["DELEGATE_ROOT"] = folder / "files"
        if app.config.get("DELEGATE_BACKEND", "auto") in {"auto", "mod_wsgi"}:
            app.config["DELEGATE_SIGNED_URL"] = "/signed/"
    try:
        Delegate(app)
    except ConfigurationError as error:
        raise SettingError(str(error)) from None
