"""Names of files for those who run the portal: administrators, commands and the log.

They see a reference in place of a name, unless ``PORTAL_ADMINISTRATORS_SEE_NAMES`` says otherwise.
Its owner finds a file by its reference on the page *Activity*.
"""

from __future__ import annotations

from flask import current_app

LENGTH = 8
"""Characters of the name that a file or folder has in URLs: too few to guess the rest."""


def reference(public_id: str | None) -> str:
    """Return what stands for a file or folder; nothing if there is none."""
    return (public_id or "")[:LENGTH]


def shows_names() -> bool:
    """Return whether those who run the portal see names."""
    return bool(current_app.config["ADMINISTRATORS_SEE_NAMES"])


def name_or_reference(public_id: str | None, name: str) -> str:
    """Return what those who run the portal see of a name."""
    return name if shows_names() else reference(public_id)
