"""The portal's settings: defaults, a file, the environment, and the caller's own."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask

from flask_delegate.servers import AUTO

from .setting_checks import (
    LONGEST_DAYS,
    SettingError,
    check_base_url,
    check_colour,
    check_database,
    check_lists,
    check_name,
    check_names,
    check_number,
    check_page_url,
    check_path,
    check_switch,
    check_texts,
    check_throttle_store,
    shown,
)


class Setting(NamedTuple):
    """A setting, with a range if it is a number, and the first words of its documentation."""

    key: str
    default: Any
    least: int | None
    most: int | None
    meaning: str


SETTINGS = (
    Setting("ACTIVITY_DAYS", 365, 1, LONGEST_DAYS, "days to keep the record of who did what"),
    Setting("ADMINISTRATORS_SEE_NAMES", False, None, None, "whether administrators"),
    # Each holds a thread.
    Setting("ARCHIVES_AT_ONCE", 3, 1, None, "ZIPs and other long answers"),
    # Each stands in the directory of the ZIP, which is kept in memory.
    Setting("ARCHIVE_ENTRIES", 10_000, 1, None, "files and folders in one ZIP"),
    Setting("BACKUPS", None, None, None, "the folder of daily backups"),
    Setting("BASE_URL", None, None, None, "the portal's address"),
    Setting("COLOUR", None, None, None, "the organisation's colour"),
    Setting("DATABASE", None, None, None, "the address of a PostgreSQL database"),
    Setting("DELEGATE_BACKEND", AUTO, None, None, "which web server sends files"),
    # Deleting needs some room, too.
    Setting("DISK_RESERVE", 64 * 1024**2, 1, None, "bytes that uploads leave free"),
    Setting("HSTS", False, None, None, "whether answers tell browsers"),
    Setting("IMPRINT_URL", None, None, None, "the address of the organisation's imprint"),
    Setting("LOGO", None, None, None, "the organisation's logo"),
    Setting("MAX_CONTENT_LENGTH", 1024**3, 1, None, "bytes in one request"),
    # Each file of an upload holds a file descriptor until its end.
    Setting("MAX_FORM_PARTS", 100, 1, None, "parts of one upload's form"),
    Setting("NAME", "File portal", None, None, "what the portal is called"),
    Setting(
        "PERMANENT_SESSION_LIFETIME", 43_200, 1, LONGEST_DAYS * 86_400, "seconds until a session"
    ),
    Setting("PRIVACY_URL", None, None, None, "the address of what the organisation says"),
    Setting("PROXIES", 0, 0, None, "reverse proxies in front"),
    Setting("QUOTA", 10 * 1024**3, 0, None, "bytes for each account"),
    Setting("SECRET_KEY_FALLBACKS", None, None, None, "a list of earlier secret keys"),
    Setting("SECRET_KEY_FILE", None, None, None, "the file with the key"),
    Setting("SESSION_COOKIE_NAME", "session", None, None, "the name of the session cookie"),
    Setting("SESSION_COOKIE_SECURE", True, None, None, "whether browsers send the session cookie"),
    Setting("STORE", None, None, None, "the bucket of an object store"),
    Setting("STORE_KEYS_FILE", None, None, None, "the file with the store's keys"),
    Setting("STORE_MOVING", None, None, None, "which way files are being moved"),
    Setting("TERMS_URL", None, None, None, "the address of terms"),
    Setting("THUMBNAILS", True, None, None, "whether the portal makes thumbnails"),
    Setting("THROTTLE_STORE", None, None, None, "where [attempts to sign in]"),
    Setting("TRASH_DAYS", 30, 1, LONGEST_DAYS, "days after which items in the trash are deleted"),
    Setting("TRUSTED_HOSTS", None, None, None, "a list of the host names"),
    Setting("UPLOAD_DAYS", 3, 1, LONGEST_DAYS, "days after which an unfinished upload"),
)
_FLASK = {
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    # A token is valid for as long as its session, so that a page left open still works.
    "WTF_CSRF_TIME_LIMIT": None,
    # The edge judges by more than the Referer, which browsers and proxies may leave out.
    "WTF_CSRF_SSL_STRICT": False,
}

_KEYS = ("DATA", "SETTINGS", *(setting.key for setting in SETTINGS))
# What Kubernetes sets in each container for a service called "portal", or "portal-database".
_OF_A_SERVICE = re.compile(
    r"PORTAL_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)"
)

# Flask-Delegate refuses these in a folder, but only after the portal would have created it.
_UNUSABLE = re.compile(r'[\x00-\x1f\x7f"\\*?\[\]{}$%]')


def load(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Set ``app.config``, or raise :exc:`SettingError` for what is out of its range."""
    app.config.update(_FLASK, **{setting.key: setting.default for setting in SETTINGS})
    given = {
        name.removeprefix("PORTAL_"): value
        for name, value in os.environ.items()
        if name.startswith("PORTAL_") and not _OF_A_SERVICE.fullmatch(name)
    }
    check_names(given, _KEYS)
    if path := given.get("SETTINGS"):
        found = _read(Path(path))
        check_names(found, _KEYS)
        app.config.update(found)
    app.config.update({key: _parsed(value) for key, value in given.items()})
    check_names(config or {}, (*_KEYS, "TESTING"))
    app.config.update(config or {})
    for key, default, least, most, _ in SETTINGS:
        if least is not None:
            check_number(key, app.config[key], least, most)
        elif isinstance(default, bool):
            check_switch(key, app.config[key])
    check_database(app.config["DATABASE"])  # first, as a check of all texts may show one
    check_path("BACKUPS", "folder", app.config["BACKUPS"])
    check_path("SECRET_KEY_FILE", "file", app.config["SECRET_KEY_FILE"])
    check_texts(app.config)
    check_lists(app.config)
    check_base_url(app.config["BASE_URL"])
    check_name(app.config["NAME"])
    check_colour(app.config["COLOUR"])
    for key in ("IMPRINT_URL", "PRIVACY_URL", "TERMS_URL"):
        check_page_url(key, app.config[key])
    check_throttle_store(app.config["THROTTLE_STORE"])


def _parsed(value: str) -> object:
    """Return a value as Flask reads it: JSON, or text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _read(path: Path) -> Mapping[str, Any]:
    """Return the settings in a file."""
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise SettingError(f"PORTAL_SETTINGS is {path}, which cannot be read: {error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"PORTAL_SETTINGS is {path}, which is not TOML: {error}.") from error
    for key in found:
        if key != key.upper() or key.startswith("PORTAL_"):
            raise SettingError(
                f"{path} sets {key!r}. Write names in capitals and without PORTAL_, such as"
                """ DATA = "/srv/portal"."""
            )
    return found


def data_folder(app: Flask) -> Path:
    """Return the folder for everything that the portal keeps.

    :raises SettingError: if it is not set, or the portal or Apache cannot use the path.
    """
    value = app.config.get("DATA")
    if not value:
        raise SettingError(
            "PORTAL_DATA is not set. Set it to the folder for the portal's files, database and"
            " secret key, such as /srv/portal."
        )
    # Flask reads a number in the environment as JSON.
    folder = Path(str(value))
    if not folder.is_absolute():
        raise SettingError(f"PORTAL_DATA must be an absolute path, not {shown(str(value))}.")
    if not folder.resolve().name:
        raise SettingError("PORTAL_DATA cannot be /, the root of all files. Name another folder.")
    if _UNUSABLE.search(str(folder)) or _UNUSABLE.search(os.path.realpath(folder)):
        raise SettingError(
            f"PORTAL_DATA is {str(value)!r}, and Apache would misread such a path. Choose a folder"
            """ without control characters and without " \\ * ? [ ] { } $ % in its whole path."""
        )
    return folder
