"""Attempts of this request to guess a secret: counted before it is checked, logged if it fails.

The log's lines are for fail2ban, see ``deploy/fail2ban``: the address stands before all that a
client may choose.
"""

from __future__ import annotations

import ipaddress
import logging
from pathlib import Path
from typing import cast
from urllib.parse import quote

from flask import Flask, current_app, request
from limits.errors import ConfigurationError
from limits.storage import Storage, storage_from_string

from portal.core.models import Account
from portal.core.settings import SettingError

from . import throttle, throttle_store
from .throttle import Attempt, TooManyAttemptsError

_EXTENSION = "portal.throttle"
_LOGGED = 100
"""Characters of a name."""
logger = logging.getLogger(__name__)


def init_app(app: Flask, path: Path) -> None:
    """Set the application up to count attempts: in ``path``, unless a setting says otherwise.

    :raises SettingError: if the setting names a store that cannot be used.
    """
    uri = app.config["THROTTLE_STORE"] or f"{throttle_store.SCHEME}:{quote(str(path))}"
    try:
        storage = storage_from_string(str(uri), wrap_exceptions=True)
    except (ConfigurationError, ValueError) as error:
        reason = str(error).replace(str(uri), "…").rstrip(".")  # it may hold a password
        raise SettingError(
            f"PORTAL_THROTTLE_STORE names no store that can be used: {reason}."
        ) from error
    app.extensions[_EXTENSION] = storage


def count_password(name: str, what: str = "sign-in") -> Attempt:
    """Count an attempt to guess a password.

    :param what: what is tried, for the log.
    :raises TooManyAttemptsError: if it must not be made.
    """
    return _count(throttle.password_attempt(_storage(), name, client_address()), what, name)


def count_code(account: Account) -> Attempt:
    """Count an attempt to guess a code of the second factor.

    :raises TooManyAttemptsError: if it must not be made.
    """
    attempt = throttle.code_attempt(_storage(), account.id, client_address())
    return _count(attempt, "second factor", account.name)


def count_link() -> Attempt:
    """Count an attempt to guess a link.

    :raises TooManyAttemptsError: if it must not be made.
    """
    return _count(throttle.link_attempt(_storage(), client_address()), "link", "")


def count_choice(what: str, name: str = "") -> Attempt:
    """Count an attempt to choose a name or a password.

    :param what: as for :func:`count_password`.
    :raises TooManyAttemptsError: if it must not be made.
    """
    return _count(throttle.choice_attempt(_storage(), client_address()), what, name)


def forget_failures(account_id: int, name: str) -> None:
    """Let an account be signed in to from here again, after its password was changed."""
    throttle.password_attempt(_storage(), name, client_address()).forget_failures()
    throttle.code_attempt(_storage(), account_id, client_address()).forget_failures()


def log_failure(what: str, name: str) -> None:
    """Log that an attempt failed, on one line."""
    # %r keeps control characters from making lines of their own. The name's quotes are the only
    # ones of their kind, and end the line: that is how fail2ban's filter knows a whole one.
    name = name[:_LOGGED].replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    logger.warning("%s failed from %s: %r", what, client_address(), name)


def client_address() -> str:
    """Give the address that this request came from, as far as it is one."""
    try:
        return str(ipaddress.ip_address(request.remote_addr or ""))
    except ValueError:
        return "unknown"


def _count(attempt: Attempt, what: str, name: str) -> Attempt:
    try:
        attempt.count()
    except TooManyAttemptsError:
        log_failure(what, name)
        raise
    return attempt


def _storage() -> Storage:
    return cast("Storage", current_app.extensions[_EXTENSION])
