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
    failing = []
    try:
        database.check()
        if not database.schema_is_current():
            failing.append("schema")
    except (OSError, SQLAlchemyError):
        logger.exception("the database does not work")
        failing.append("database")
    if not current_storage().is_writable():
        failing.append("storage")
    if failing:
        return jsonify(status="failing", failing=failing), 503
    return jsonify(status="ok")
