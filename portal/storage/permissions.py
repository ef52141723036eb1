"""Stored files on disk as commands see them: adopted, and given their rights."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from .disk import Disk
from .incoming import sync_folder


def adopt(storage: Disk, folder: Path) -> None:
    """Take over files that are laid out as the storage's, with the rights that these have.

    :param folder: on the same file system; nothing else may use it.
    """
    parts = sorted(folder.iterdir())
    for part in parts:
        for path in part.iterdir():
            path.chmod(storage.file_mode)
        part.chmod(storage.folder_mode)
    for part in parts:
        part.rename(storage.files / part.name)
    sync_folder(storage.files)


def remove_all(storage: Disk) -> None:
    """Delete all that is kept."""
    for part in storage.files.glob("[0-9a-f][0-9a-f]/"):
        shutil.rmtree(part)


def paths(storage: Disk) -> Iterator[tuple[Path, int]]:
    """Yield all folders and files that are kept, each with the mode that it should have."""
    for folder in sorted(storage.files.glob("[0-9a-f][0-9a-f]/")):
        yield folder, storage.folder_mode
    for key in storage.all_keys():
        if storage.find(key):
            yield storage.files / storage.path(key), storage.file_mode


def wrong_rights(storage: Disk, path: Path, mode: int) -> str | None:
    """Return what is wrong with the owner, group or mode of a folder or file, if anything."""
    found, group = path.stat(), storage.files.stat().st_gid
    if found.st_uid != os.geteuid():
        return f"belongs to user id {found.st_uid}"
    if mode & stat.S_IRGRP and found.st_gid != group:
        return f"has the group id {found.st_gid} instead of {group}"
    if found.st_mode & 0o777 != mode:
        return f"has the mode {found.st_mode & 0o777:04o} instead of {mode:04o}"
    return None


def set_rights(storage: Disk, path: Path, mode: int) -> str | None:
    """Set owner, group and mode, and return what was done; none if this user may not."""
    group = storage.files.stat().st_gid if mode & stat.S_IRGRP else -1
    try:
        os.chown(path, os.geteuid(), group)
        path.chmod(mode)
    except PermissionError:
        return None
    return f"has the mode {mode:04o} now"
