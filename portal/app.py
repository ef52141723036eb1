"""The application factory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import Flask

from flask_delegate import ConfigurationError, Delegate
from flask_delegate.stores.store import Store
from portal import cli
from portal.activity import record
from portal.core import (
    content_place,
    database,
    datafolder,
    facts,
    logs,
    settings,
    shared_key,
    starting,
    stores,
)
from portal.core.language import load as load_languages
from portal.core.setting_checks import SettingError
from portal.files import thumbnail_maker
from portal.files.quota import quota_of, usage_of
from portal.identity import throttle
from portal.identity.cookie import SessionInterface
from portal.storage import ballast
from portal.storage.base import AREA, Storage
from portal.storage.disk import Disk
from portal.storage.incoming import Incoming
from portal.storage.moving import Moving, hold_still
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
    inviting,
    language,
    own_look,
    places,
    receiving,
    static_files,
    zone,
)
from portal.web.account import account, one_time_links, sign_in
from portal.web.edge import Edge, Request, Room
from portal.web.files import (
    entries,
    files,
    list_look,
    thumbnails,
    trash,
    unfinished,
    versions,
    viewer,
)
from portal.web.forms import csrf
from portal.web.sharing import links, received, upload_page, visitors
from portal.web.uploads import groups, taken, tus

if TYPE_CHECKING:
    from portal.storage.bucket import Bucket

_BLUEPRINTS = (
    *(sign_in.auth, account.account, account.second_factor_pages, one_time_links.invitation_pages),
    *(activity.activity, admin.admin, inviting.inviting, health.health),
    *(files.files, files.folders, list_look.lists, entries.entry_pages, entries.zip_downloads),
    *(thumbnails.thumbnails, viewer.viewer_pages),
    *(trash.trash_pages, unfinished.unfinished_pages, tus.tus),
    *(versions.version_pages, groups.group_uploads, taken.taken_names, receiving.receiving),
    *(links.link_pages, visitors.share_page, upload_page.upload_page, received.received),
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
    errors.init_app(app)  # before all that asks the database at each request
    look, languages = own_look.look(app.config), load_languages()
    static_files.init_app(app, {**look.files, **language.files(languages)})
    language.init_app(app, languages)
    app.jinja_env.globals["look"] = look
    overridden = MethodOverride(app.wsgi_app)
    app.wsgi_app = Edge(overridden, app.config["PROXIES"])  # type: ignore[method-assign]
    store = stores.configured(app.config)
    folder = datafolder.prepare(settings.data_folder(app))
    app.secret_key = _secret_key(app.config["SECRET_KEY_FILE"], folder)
    app.session_interface = SessionInterface()
    database.init_app(app, folder / "portal.db")
    starting.init_app(app, partial(_check_database, app, folder, store))
    throttle.init_app(app, folder / "throttle.db")
    _prepare_storage(app, folder, store)
    app.wsgi_app = Room(app)  # type: ignore[method-assign]
    _set_up_delegate(app, folder, store)
    record.init_app(app, folder / "activity.spool")
    for extension in (
        csrf,
        sign_in,
        filters,
        zone,
        headers,
        compression,
        places,
        thumbnails,
    ):
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


def _check_database(app: Flask, folder: Path, store: Store | None) -> None:
    """Check that it can be used, and that what this host has fits to what it has noted of others.

    :raises ServerAwayError: if its server does not answer.
    :raises SettingError: if it cannot be used, or does not fit.
    """
    with app.app_context():
        try:
            database.check_server(app)
            if facts.are_kept():
                shared_key.check(app)
                content_place.check(app, store, folder)
        except _unreadable():  # such as a standby: whoever can write checks it
            app.logger.exception("it is not known whether the key and the bucket fit to it")
        finally:
            database.db.session.close()
            # This ends the start, and a process that is forked must not share a connection.
            database.db.engine.dispose()


def _unreadable() -> tuple[type[Exception], ...]:
    """Return what says that the database cannot be read; a file may be damaged, too."""
    return (*database.AWAY, sa.exc.DatabaseError) if database.is_sqlite() else database.AWAY


def _prepare_storage(app: Flask, folder: Path, store: Store | None) -> None:
    reserve, way = app.config["DISK_RESERVE"], app.config["STORE_MOVING"]
    mirror: Mirror | None = None
    disk = Disk(folder / "files", folder / "incoming", reserve)
    storage: Storage = disk
    if store:
        bucket = _bucket(store, disk.arriving)
        storage, mirror = bucket, _mirror(bucket)
        if way:
            storage = Moving(disk, bucket, to_store=way == stores.TO_STORE)
            # On the way back, each upload is where it will be finished.
            mirror = mirror if storage.to_store else None
        elif next(disk.all_keys(), None):
            noted = content_place.noted_way(folder)
            until = "they are in the bucket"
            if noted == stores.FROM_STORE:
                until = "nothing is left in the bucket, and then take out PORTAL_STORE, too"
            raise SettingError(
                f"PORTAL_STORE is set, and {folder / 'files'} still has the content of files. Set"
                f" PORTAL_STORE_MOVING to {noted} until {until}: see docs/portal/store.md."
            )
    storage.prepare()
    content_place.note_way(folder, way)
    if not way:
        hold_still(app, storage)
    app.extensions["portal.storage"] = storage
    ballast.init_app(app, folder)
    thumbnail_maker.init_app(app, storage.incoming)
    app.extensions["portal.parts"] = Parts(storage.incoming, reserve, mirror)


def _bucket(store: Store, incoming: Incoming) -> Bucket:
    """Return the storage in a store; who has none need not install what asks it."""
    try:
        from portal.storage.bucket import Bucket
    except ImportError as error:
        raise SettingError(
            f"PORTAL_STORE needs the package boto3, which cannot be imported ({error}). Install the"
            " dependency group 'store'."
        ) from error
    return Bucket(store, incoming)


def _mirror(bucket: Bucket) -> Mirror:
    from portal.storage.bucket import PieceMirror

    return PieceMirror(bucket)


def _set_up_delegate(app: Flask, folder: Path, store: Store | None) -> None:
    app.config["DELEGATE_HEADERS"] = headers.constant(app)
    if store:
        # Beside that of the folder, so that one configuration has both while files are moved.
        area = {"url": "/stored/", "store": app.config["STORE"]}
        app.config["DELEGATE_AREAS"] = {AREA: area}
        app.config["DELEGATE_STORE_KEYS"] = {AREA: store.keys}
    if not store or app.config["STORE_MOVING"]:
        app.config["DELEGATE_ROOT"] = folder / "files"
        if app.config.get("DELEGATE_BACKEND", "auto") in {"auto", "mod_wsgi"}:
            app.config["DELEGATE_SIGNED_URL"] = "/signed/"
    try:
        Delegate(app)
    except ConfigurationError as error:
        raise SettingError(str(error)) from None
