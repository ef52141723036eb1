"""Health of the portal, for monitoring."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from threading import Thread

from flask import Blueprint, Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from portal.core import database
from portal.storage.ballast import current_ballast
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.storage.incoming import StorageFullError

health = Blueprint("health", __name__)
logger = logging.getLogger(__name__)

_TRIAL = "portal.health.trial"
_PATIENCE = 1.8
"""Seconds that a disk has to answer."""


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 if everything works, or 503 and the parts that do not."""
    try:
        failing = _trial().result(_PATIENCE)
    except TimeoutError:
        logger.error("the disk of the data folder does not answer")  # noqa: TRY400  (no traceback)
        failing = ["storage"]
    if failing:
        return jsonify(status="failing", failing=failing), 503
    return jsonify(status="ok")


def _trial() -> Future[list[str]]:
    """Return the trial that is in progress, or begin one.

    A disk that does not answer holds its thread, whatever the limit. So one thread tries, and
    requests wait for it no longer than they like.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # for another thread
    trial: Future[list[str]] | None = app.extensions.get(_TRIAL)
    if trial is None or trial.done():
        trial = app.extensions[_TRIAL] = Future()
        Thread(target=_try, args=(app, trial), daemon=True).start()
    return trial


def _try(app: Flask, trial: Future[list[str]]) -> None:
    try:
        with app.app_context():
            trial.set_result(_failing())
    except BaseException as error:
        trial.set_exception(error)


def _failing() -> list[str]:
    """Do what people do, and return which parts fail."""
    failing = []
    try:
        with current_ballast().room():
            database.check()
        if not database.schema_is_current():
            failing.append("schema")
    except (OSError, SQLAlchemyError):
        logger.exception("the database does not work")
        failing.append("database")
    try:
        current_storage().check()
    except StorageFullError:
        failing.append("space")
    except StoreAwayError as error:
        logger.error("the store of the files: %s", error)  # noqa: TRY400  (no traceback)
        failing.append("storage")
    except OSError:
        logger.exception("the storage does not work")
        failing.append("storage")
    return failing
