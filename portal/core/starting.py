"""What is checked of the database at a start; where its server is away, as soon as it is back.

A host may start while the server does not: it answers 503 then, and lets nobody in unchecked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

import click
from flask import Flask, current_app

from .postgresql import ServerAwayError
from .setting_checks import SettingError

_PENDING = "portal.starting.pending"
_lock = Lock()

logger = logging.getLogger(__name__)


def init_app(app: Flask, check: Callable[[], None]) -> None:
    """Check, or note that it is to be done; a command needs the server at once.

    :raises SettingError: if the database cannot be used, or does not fit to this host.
    """
    try:
        check()
    except ServerAwayError as error:
        if click.get_current_context(silent=True) is not None:
            raise
        logger.error("%s Until then, all requests are answered 503.", error.message)  # noqa: TRY400
        app.extensions[_PENDING] = check


def is_checked() -> bool:
    """Return whether the database was found to fit, by trying where it was away before.

    One request tries at a time, and the others do not wait for it.
    """
    if _PENDING not in current_app.extensions:
        return True
    if not _lock.acquire(blocking=False):
        return False
    try:
        if check := current_app.extensions.get(_PENDING):
            check()
    except SettingError as error:
        logger.error("%s", error.message)  # noqa: TRY400  (a sentence says it)
        return False
    else:
        current_app.extensions.pop(_PENDING, None)
        return True
    finally:
        _lock.release()
