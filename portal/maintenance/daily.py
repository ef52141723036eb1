"""Backups of several days in one folder, which share the content that they have in common."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from portal.core.models import now
from portal.storage.disk import Disk

from .backup import BLOCK, DRAFT, read_only

DAYS = 2
"""A backup that is older than so many days is late."""
_NAME = re.compile(r"portal-\d{8}T\d{6}Z")
_FORMAT = "portal-%Y%m%dT%H%M%SZ"


def found_in(folder: Path) -> Sequence[Path]:
    """Return the backups in a folder, the oldest first."""
    return sorted(path for path in folder.glob("portal-*") if _NAME.fullmatch(path.name))


def name_in(folder: Path) -> Path:
    """Return the path of a backup that begins now, in a second that no other one has."""
    while os.path.lexists(target := folder / now().strftime(_FORMAT)):
        time.sleep(0.1)
    return target


def latest_in(folder: Path) -> Path | None:
    """Return the last backup, if there is one."""
    return next(reversed(found_in(folder)), None)


def space_needed(database: Path, storage: Disk, earlier: Path | None) -> tuple[int, int]:
    """Return the bytes of all files, and those that a backup needs beside the earlier one."""
    with closing(read_only(database)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        total, needed = 0, 2 * pages * page
        for key, size in connection.execute("SELECT storage_key, size FROM entry WHERE is_file"):
            total += size
            if earlier is None or not (earlier / "files" / storage.path(key)).exists():
                needed += size
            needed += BLOCK  # its line in the manifest, and its name
    return total, needed


def remove_old(folder: Path, keep: int) -> int:
    """Delete all backups but the last ones, and return how many."""
    old = found_in(folder)[:-keep]
    for path in old:
        # What is left where this is killed is a draft, which the next backup deletes.
        draft = tempfile.mkdtemp(prefix=DRAFT, dir=folder)
        shutil.rmtree(path.rename(Path(draft, path.name)).parent)
    return len(old)


def is_late(folder: Path) -> bool:
    """Return whether the last backup is too old, or the folder so old without one.

    :raises OSError: if the folder cannot be read.
    """
    last = max((path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)), default=None)
    if last is None:
        begun = folder.stat().st_mtime
    else:
        begun = datetime.strptime(last, _FORMAT).replace(tzinfo=UTC).timestamp()
    return time.time() - begun > DAYS * 86_400
