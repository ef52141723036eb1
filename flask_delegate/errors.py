"""Exceptions become HTTP answers here, and nowhere else."""

from __future__ import annotations

import logging

from flask import current_app
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, HTTPException, InternalServerError, NotFound

from .exceptions import AccessDenied, DelegateError, FileRefused, FileUnreadable
from .signals import file_refused


def answer(error: DelegateError) -> ResponseReturnValue:
    """Log the reason, send the signal, and answer with the application's own error page."""
    translated = _translate(error)
    is_ours = isinstance(translated, InternalServerError)
    current_app.logger.log(logging.ERROR if is_ours else logging.WARNING, "file refused: %s", error)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    file_refused.send(app, error=error)
    return current_app.handle_http_exception(translated)


def _translate(error: DelegateError) -> HTTPException:
    if isinstance(error, AccessDenied):
        return NotFound() if error.conceal else Forbidden()
    if isinstance(error, FileRefused) and not isinstance(error, FileUnreadable):
        return NotFound()
    return InternalServerError(original_exception=error)
