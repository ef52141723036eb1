"""Health of the portal, for monitoring."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from portal.core import database
from portal.storage.content import current_storage

health = Blueprint("health", __name__)
logger = logging.getLogger(__name__)


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 if everything works, or 503 and the parts that do not."""
    failing = [part for part in (_failing_database(), _failing_storage()) if part]
    if failing:
        return jsonify(status="failing", failing=failing), 503
    return jsonify(status="ok")


def _failing_database() -> str | None:
    try:
        database.check()
        return None if database.schema_is_current() else "schema"
    except (OSError, SQLAlchemyError):
        logger.exception("the database does not work")
        return "database"


def _failing_storage() -> str | None:
    return None if current_storage().is_writable() else "storage"
