"""Health of the portal, for monitoring."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from flask import Blueprint, Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from portal.core import database, starting
from portal.maintenance import daily
from portal.storage.ballast import current_ballast
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.storage.incoming import StorageFullError

health = Blueprint("health", __name__)
logger = logging.getLogger(__name__)

_TRIALS = "portal.health.trials"
_PATIENCE = 1.8
"""Seconds that a disk, or the database's server, has to answer."""


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 if everything works, or 503 and the parts that do not."""
    trials = {part: _trial(part) for part in _PARTS}
    end, failing = time.monotonic() + _PATIENCE, list[str]()
    for part, trial in trials.items():
        try:
            failing += trial.result(max(end - time.monotonic(), 0))
        except TimeoutError:
            logger.error("no answer from the %s", part)  # noqa: TRY400  (no traceback)
            failing.append(part)
    warning = ["backup"] if _backup_is_late() else []
    said = {"warning": warning} if warning else {}
    if failing:
        return jsonify(status="failing", failing=failing, **said), 503
    return jsonify(status="ok", **said)


def _backup_is_late() -> bool:
    """Return whether somebody should look at the backups. The portal works without them."""
    folder = current_app.config["BACKUPS"]
    try:
        return folder is not None and daily.is_late(Path(folder))
    except OSError:
        return True


def _trial(part: str) -> Future[list[str]]:
    """Return the trial of a part that is in progress, or begin one.

    What does not answer holds its thread, whatever the limit. So one thread tries, and requests
    wait for it no longer than they like.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # for another thread
    trials: dict[str, Future[list[str]]] = app.extensions.setdefault(_TRIALS, {})
    trial = trials.get(part)
    if trial is None or trial.done():
        trial = trials[part] = Future()
        Thread(target=_try, args=(app, _PARTS[part], trial), daemon=True).start()
    return trial


def _try(app: Flask, fails: Callable[[], list[str]], trial: Future[list[str]]) -> None:
    try:
        with app.app_context():
            trial.set_result(fails())
    except BaseException as error:
        trial.set_exception(error)


def _database_fails() -> list[str]:
    """Write as people do, and return what fails."""
    if not starting.is_checked():
        return ["database"]
    try:
        with current_ballast().room():
            database.check()
        return [] if database.schema_fits() else ["schema"]
    except (OSError, SQLAlchemyError):
        logger.exception("the database does not work")
        return ["database"]


def _storage_fails() -> list[str]:
    try:
        current_storage().check()
    except StorageFullError:
        return ["space"]
    except StoreAwayError as error:
        logger.error("the store of the files: %s", error)  # noqa: TRY400  (no traceback)
        return ["storage"]
    except OSError:
        logger.exception("the storage does not work")
        return ["storage"]
    return []


_PARTS: dict[str, Callable[[], list[str]]] = {
    "database": _database_fails,
    "storage": _storage_fails,
}
