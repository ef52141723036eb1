"""The application's store of files' content."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from .disk import Storage

_KEY = "portal.storage"


def init_app(app: Flask, storage: Storage) -> None:
    """Set the application up with its store."""
    app.extensions[_KEY] = storage


def current_storage() -> Storage:
    """Return the store that the files' content is in."""
    return cast("Storage", current_app.extensions[_KEY])
