"""Files and folders that are the portal's user's alone."""

from __future__ import annotations

import os
from pathlib import Path

from ...lib import machine


def give(folder: Path) -> Path:
    """Create a folder that nobody but the portal's user can enter, where it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _own(folder)
    return folder


def write_private(path: Path, text: str) -> Path:
    """Write a file that nobody but the portal's user can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    _own(path)
    return path


def _own(path: Path) -> None:
    if user := machine.daemon():
        os.chown(path, user.pw_uid, user.pw_gid)
