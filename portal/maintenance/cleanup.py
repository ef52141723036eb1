"""What is over is removed: to be done each day, while the portal runs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flask import current_app
from sqlalchemy import ColumnElement, delete

from portal.accounts import invitations
from portal.activity import record
from portal.core.database import db
from portal.core.models import OneTimeLink, SignIn, now
from portal.files import trash
from portal.storage.disk import ABANDONED, Storage
from portal.tus import uploads as resumable

from .restore import DRAFT

# Of a file that a process was killed before renaming: see datafolder and demo.
_DRAFT_FILE = re.compile(r"(secret_key|demo_accounts)\.[0-9a-f]{16}")


def clean_up(data: Path, storage: Storage) -> dict[str, int]:
    """Remove what is over, and tell how much of each kind.

    :param data: the data folder.
    """
    return {
        "files in the trash": trash.purge_expired().files,
        "sessions": _delete(
            SignIn, SignIn.created_at < now() - current_app.permanent_session_lifetime
        ),
        "links": _delete(OneTimeLink, OneTimeLink.expires_at < now() - invitations.REMEMBERED),
        "records of activity": record.forget_old(),
        "unfinished uploads": resumable.remove_expired(),
        "abandoned uploads": storage.remove_abandoned(),
        "deletions put off": storage.deletions.finish(),
        "drafts": sum(_remove(path) for path in _drafts(data, storage)),
    }


def _delete(model: type[SignIn | OneTimeLink], which: ColumnElement[bool]) -> int:
    ids = db.session.scalars(delete(model).where(which).returning(model.id)).all()
    db.session.commit()
    return len(ids)


def _drafts(data: Path, storage: Storage) -> Iterator[Path]:
    """Give what killed commands left half-written a day ago or earlier."""
    found = [path for path in data.iterdir() if _DRAFT_FILE.fullmatch(path.name)]
    for path in [*found, *storage.incoming.glob(f"{DRAFT}*")]:
        with suppress(FileNotFoundError):
            if time.time() - path.lstat().st_mtime > ABANDONED:
                yield path


def _remove(path: Path) -> bool:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return True
