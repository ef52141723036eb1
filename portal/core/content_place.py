"""Where the database's hosts keep the content of files, which a start must not take for another.

The database notes the bucket from the first start with one until all files have come back from it,
and which data folder files are moved to or from: another host would lack what is there.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import click
from flask import Flask

from flask_delegate.stores.store import Store

from . import facts
from .database import is_sqlite
from .datafolder import locked, write_private
from .models.fact import BUCKET, MOVING
from .setting_checks import SettingError
from .stores import FROM_STORE, TO_STORE

_MARK = "moving"
"""The file in the data folder that says which one files are moved to or from."""
_WAY = "moving.way"
"""The file in the data folder that says whether files are moved to the store or from it."""
_NONE = ""
"""What is noted in place of a bucket that all files have left."""


def check(app: Flask, store: Store | None, folder: Path) -> None:
    """Check that this host looks for files where they are, and note the first one's bucket.

    :raises SettingError: if it looks elsewhere.
    """
    bucket = facts.noted(BUCKET)
    if store is None:
        if bucket:
            raise SettingError(_NO_STORE.format(bucket))
    elif not bucket and not _leaves_open(app.config["STORE_MOVING"], bucket):
        bucket = use_bucket(store)
    if store and bucket and bucket != store.path:
        raise SettingError(
            f"PORTAL_STORE is {store.path} here, and {bucket} on the other hosts with the same"
            " database, or before, and files would be missing. Name one bucket and prefix on each."
            " After you have moved the files, delete the row 'bucket' from the table fact."
        )
    if not is_sqlite():
        _check_host(folder, is_moving=app.config["STORE_MOVING"] is not None)


_NO_STORE = (
    "The content of files lies in the bucket {} of a store, and PORTAL_STORE is not set. Set it and"
    " PORTAL_STORE_KEYS_FILE. To keep files in the data folder again, set PORTAL_STORE_MOVING to"
    " from-store, too, and run: flask --app portal portal move-from-store. If nothing is there,"
    " delete the row 'bucket' from the table fact."
)


def note_way(folder: Path, way: str | None) -> None:
    """Note in the data folder where files are moved to, or that they are not moved any more."""
    with suppress(OSError):  # it is a help, and a start must not fail for it on a full disk
        if way is None:
            (folder / _WAY).unlink(missing_ok=True)
        elif noted_way(folder) != way:
            (folder / _WAY).write_text(way)


def noted_way(folder: Path) -> str:
    """Return where files were moved to last: into the store, if nothing is noted."""
    try:
        is_back = (folder / _WAY).read_text() == FROM_STORE
    except OSError:
        is_back = False
    return FROM_STORE if is_back else TO_STORE


def _leaves_open(way: str | None, bucket: str | None) -> bool:
    """Return whether the portal may start with and without the bucket.

    So it is before it is restarted to move files there: a command, such as the one that writes the
    web server's configuration, comes first. And when all files have come back.
    """
    if way == TO_STORE:
        return click.get_current_context(silent=True) is not None
    return way == FROM_STORE and bucket == _NONE


def use_bucket(store: Store) -> str:
    """Note that files lie in the bucket, or come into it; return what is noted by now."""
    return facts.note(BUCKET, store.path, [_NONE])


def leave_bucket(store: Store) -> None:
    """Note that nothing is left in the bucket, and nothing comes into it."""
    facts.note(BUCKET, _NONE, [store.path])


def _check_host(folder: Path, *, is_moving: bool) -> None:
    """Check that files are moved here, if they are; note that, or its end."""
    mark = folder / _MARK
    found, mine = facts.noted(MOVING), mark.read_text() if mark.exists() else None
    if is_moving and found is None:
        with locked(folder):
            if not mark.exists():  # no other process was first
                write_private(mark, secrets.token_hex(16).encode())
        mine = mark.read_text()
        found = facts.note(MOVING, mine, [])
    if found is None or (found == mine and is_moving):
        return
    if found == mine:
        facts.forget(MOVING, mine)
        mark.unlink(missing_ok=True)
        return
    raise SettingError(
        "Files are being moved to or from the data folder of another host with the same"
        " PORTAL_DATABASE, and this one would lack them. Wait until that host has started without"
        " PORTAL_STORE_MOVING. If there is none, delete the row 'moving' from the table fact."
    )
