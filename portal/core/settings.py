"""The portal's settings: defaults, a file, the environment, and what the caller gives."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
from flask import Flask

DEFAULTS: Mapping[str, Any] = {
    "MAX_CONTENT_LENGTH": 1024**3,  # bytes in one request
    "DISK_RESERVE": 64 * 1024**2,  # bytes that uploads leave free, so that deleting still works
    "MAX_FORM_PARTS": 100,  # each file of an upload holds a file descriptor until its end
    "QUOTA": 10 * 1024**3,  # bytes that an account may have, where it has no quota of its own
    "BASE_URL": None,  # the portal's address, for links that commands print
    "THROTTLE_STORE": None,  # where attempts are counted; none: in the data folder
    "ACTIVITY_DAYS": 365,  # until what was done is forgotten
    "UPLOAD_DAYS": 3,  # until an upload that nobody goes on with is given up
    "TRASH_DAYS": 30,  # until what is in the trash is deleted for good
    "ARCHIVE_ENTRIES": 10_000,  # files and folders in one ZIP: its directory is kept in memory
    "ARCHIVES_AT_ONCE": 4,  # ZIPs that one process sends: each holds a thread
    "PROXIES": 0,  # how many stand in front, each adding to X-Forwarded-For
    "PERMANENT_SESSION_LIFETIME": 12 * 60 * 60,  # seconds
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_SECURE": True,
    # A token is good for as long as its session, so that a page left open still works.
    "WTF_CSRF_TIME_LIMIT": None,
}
_LEAST = {
    "ARCHIVES_AT_ONCE": 1,
    "ARCHIVE_ENTRIES": 1,
    "DISK_RESERVE": 1,
    "MAX_CONTENT_LENGTH": 1,
    "MAX_FORM_PARTS": 1,
    "PERMANENT_SESSION_LIFETIME": 1,
    "PROXIES": 0,
    "QUOTA": 0,
    "ACTIVITY_DAYS": 1,
    "TRASH_DAYS": 1,
    "UPLOAD_DAYS": 1,
}
_LONGEST = 36_500
"""Days. So long before today, and so long after, there still are dates to compute with."""
_MOST = {
    "ACTIVITY_DAYS": _LONGEST,
    "PERMANENT_SESSION_LIFETIME": _LONGEST * 24 * 60 * 60,
    "TRASH_DAYS": _LONGEST,
    "UPLOAD_DAYS": _LONGEST,
}

# What Flask-Delegate refuses in a folder; said here before the folder is made.
_UNUSABLE = re.compile(r'[\x00-\x1f\x7f"\\*?\[\]{}$%]')


class SettingError(click.ClickException):
    """A setting is missing or out of its range; the message names it.

    A command that ends with it prints the message alone.
    """


def load(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Set ``app.config`` and check it.

    :raises SettingError: for a setting that is missing or out of its range.
    """
    app.config.update(DEFAULTS)
    if path := os.environ.get("PORTAL_SETTINGS"):
        app.config.update(_read(Path(path)))
    app.config.from_prefixed_env("PORTAL")
    app.config.update(config or {})
    for key, least in _LEAST.items():
        _check_number(key, app.config[key], least, _MOST.get(key))
    secure = app.config["SESSION_COOKIE_SECURE"]
    if not isinstance(secure, bool):
        raise SettingError(f"PORTAL_SESSION_COOKIE_SECURE must be true or false, not {secure!r}.")
    _check_base_url(app.config["BASE_URL"])


def _check_number(key: str, value: object, least: int, most: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= cast("int", value) <= (most or cast("int", value)):
        return
    end = f"to {most}" if most else "up"
    raise SettingError(f"PORTAL_{key} must be a whole number from {least} {end}, not {value!r}.")


def _check_base_url(value: object) -> None:
    if value is None:
        return
    parts = urlsplit(value) if isinstance(value, str) else None
    if not parts or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise SettingError(
            "PORTAL_BASE_URL must be the portal's address, such as https://files.example.org/,"
            f" not {value!r}."
        )


def _read(path: Path) -> Mapping[str, Any]:
    """Read the file that PORTAL_SETTINGS names."""
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
                f"{path} sets {key!r}. Names there are in capitals and without PORTAL_,"
                """ such as DATA = "/srv/portal"."""
            )
    return found


def data_folder(app: Flask) -> Path:
    """Give the folder that everything is kept in.

    :raises SettingError: if it is not set, or not a path that the portal and Apache can use.
    """
    value = app.config.get("DATA")
    if not value:
        raise SettingError(
            "PORTAL_DATA is not set. Set it to the folder that the portal keeps its files,"
            " database and secret key in, such as /srv/portal."
        )
    # A number in the environment is read as JSON, and would not be a path at all.
    folder = Path(str(value))
    if not folder.is_absolute():
        raise SettingError(f"PORTAL_DATA must be an absolute path, not {str(value)!r}.")
    if _UNUSABLE.search(str(folder)) or _UNUSABLE.search(os.path.realpath(folder)):
        raise SettingError(
            f"PORTAL_DATA is {str(value)!r}, and Apache would misread such a path. Choose a folder"
            """ without control characters and without " \\ * ? [ ] { } $ % in its whole path."""
        )
    return folder
