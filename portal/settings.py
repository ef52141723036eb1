"""The portal's settings: defaults, then the environment, then what the caller gives."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import Flask

DEFAULTS: Mapping[str, Any] = {
    "MAX_CONTENT_LENGTH": 1024**3,  # bytes in one upload
    "DISK_RESERVE": 64 * 1024**2,  # bytes that uploads leave free, so that deleting still works
    "MAX_FORM_PARTS": 100,  # each file of an upload holds a file descriptor until its end
    "PERMANENT_SESSION_LIFETIME": 12 * 60 * 60,  # seconds
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_SECURE": True,
    # A token is good for as long as its session, so that a page left open still works.
    "WTF_CSRF_TIME_LIMIT": None,
}
_NUMBERS = ("DISK_RESERVE", "MAX_CONTENT_LENGTH", "MAX_FORM_PARTS", "PERMANENT_SESSION_LIFETIME")

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
    app.config.from_prefixed_env("PORTAL")
    app.config.update(config or {})
    for key in _NUMBERS:
        value = app.config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingError(f"PORTAL_{key} must be a whole number from 1 up, not {value!r}.")
    secure = app.config["SESSION_COOKIE_SECURE"]
    if not isinstance(secure, bool):
        raise SettingError(f"PORTAL_SESSION_COOKIE_SECURE must be true or false, not {secure!r}.")


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
