"""The application's store of files' content."""

from __future__ import annotations

from typing import cast

from flask import current_app

from .base import Storage


def current_storage() -> Storage:
    """Return the store that the files' content is in."""
    return cast("Storage", current_app.extensions["portal.storage"])
