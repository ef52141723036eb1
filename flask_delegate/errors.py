"""Exceptions become HTTP answers here, and nowhere else."""

from __future__ import annotations

import logging
from inspect import signature

from flask import Flask, current_app
from flask.globals import app_ctx
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)

from .exceptions import (
    AccessDenied,
    DelegateError,
    FileRefused,
    FileUnreadable,
    NotGenerated,
    StoreUnavailable,
)
from .servers.base import RETRY_AFTER
from .signals import file_refused

# From Flask 3.2 on, the methods that dispatch a request take the context first.
_TAKES_CONTEXT = "ctx" in signature(Flask.handle_http_exception).parameters


def answer(error: DelegateError) -> ResponseReturnValue:
    """Log the reason, send the signal, and answer with the application's own error page."""
    translated = _translate(error)
    is_ours = isinstance(translated, InternalServerError | ServiceUnavailable)
    current_app.logger.log(logging.ERROR if is_ours else logging.WARNING, "file refused: %s", error)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    file_refused.send(app, error=error)
    context = (app_ctx._get_current_object(),) if _TAKES_CONTEXT else ()  # type: ignore[attr-defined]
    answered: ResponseReturnValue = app.handle_http_exception(*context, translated)
    return answered


def _translate(error: DelegateError) -> HTTPException:
    if isinstance(error, AccessDenied):
        return NotFound() if error.conceal else Forbidden()
    if isinstance(error, FileRefused) and not isinstance(error, FileUnreadable):
        return NotFound()
    if isinstance(error, StoreUnavailable | NotGenerated):
        return ServiceUnavailable(retry_after=RETRY_AFTER)
    return InternalServerError(original_exception=error)
