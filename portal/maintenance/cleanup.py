"""The daily clean-up of what has expired, while the portal runs."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from portal.accounts import invitations
from portal.activity import record
from portal.core.database import once
from portal.files import thumbnail_maker, trash
from portal.identity import sessions
from portal.sharing import arrivals
from portal.storage.ballast import with_room_to_delete
from portal.storage.base import Storage
from portal.storage.incoming import is_abandoned
from portal.tus import uploads as resumable

from .restore import DRAFT

# A process was killed before it renamed the file: see datafolder and demo.
_DRAFT_FILE = re.compile(r"(secret_key|demo_accounts(\.json)?)\.[0-9a-f]{16}")


@with_room_to_delete
def clean_up(data: Path, storage: Storage) -> dict[str, int]:
    """Delete what has expired, and return the number of each kind.

    Of several hosts, one at a time deletes from the database, and each from its data folder.
    """
    with once("cleanup") as is_mine:
        expired = _delete_expired() if is_mine else {}
    return {
        **expired,
        "abandoned uploads": storage.remove_abandoned() + resumable.remove_orphans(),
        "postponed deletions": storage.finish_deletions(),
        "drafts": _delete_drafts(data, storage),
    }


def _delete_expired() -> dict[str, int]:
    unfinished, finished = resumable.remove_expired()
    return {
        "files in the trash": trash.purge_expired().files,
        "thumbnails without a file": thumbnail_maker.delete_orphans(),
        "sessions": sessions.delete_ended(),
        "links": invitations.forget_expired(),
        "records of activity": record.forget_old(),
        "records of arrivals": arrivals.forget_old(),
        "unfinished uploads": unfinished,
        "records of finished uploads": finished,
    }


def _delete_drafts(data: Path, storage: Storage) -> int:
    """Delete what killed commands left half-written at least a day ago."""
    count = 0
    files = [path for path in data.iterdir() if _DRAFT_FILE.fullmatch(path.name)]
    for path in [*files, *storage.incoming.glob(f"{DRAFT}*")]:
        with suppress(FileNotFoundError):
            if is_abandoned(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
                count += 1
    return count
