"""Who this request is signed in as: Flask-Login, with typed names for what the portal uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import flask_login  # type: ignore[import-untyped]
from flask import request, session

from . import sessions

if TYPE_CHECKING:
    from portal.core.models import Account, SignIn

    from .sessions import Proof

__all__ = [
    "current_account",
    "current_sign_in_id",
    "find_session",
    "login_manager",
    "login_required",
    "signed_in_account",
    "start_session",
]

P = ParamSpec("P")
R = TypeVar("R")

login_manager = flask_login.LoginManager()
# The check would write to the session whenever an address or a browser's name changes, downloads
# included, and it trusts X-Forwarded-For.
login_manager.session_protection = None


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Send whoever is not signed in to the sign-in page."""
    return cast("Callable[P, R]", flask_login.login_required(view))


class BrowserSession:
    """What Flask-Login calls the user: the session, by the key that the browser's cookie holds."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, sign_in: SignIn, key: str) -> None:
        # Not the row: another request may end the session while this one is under way.
        self.sign_in_id = sign_in.id
        self.account = sign_in.account
        self._key = key

    def get_id(self) -> str:
        """Give what goes into the cookie."""
        return self._key


def find_session(key: str) -> BrowserSession | None:
    """Find the session that a cookie means."""
    sign_in = sessions.find(key)
    return BrowserSession(sign_in, key) if sign_in else None


def signed_in_account() -> Account | None:
    """Give the account that this request is signed in to, if any."""
    user = flask_login.current_user
    return cast("Account", user.account) if user.is_authenticated else None


def current_account() -> Account:
    """Give the account that this request is signed in to, in views that need one."""
    account = signed_in_account()
    if account is None:
        raise RuntimeError("current_account() is for views below @login_required")
    return account


def current_sign_in_id() -> int:
    """Give the id of this request's session, in views that need one."""
    user = flask_login.current_user
    if not user.is_authenticated:
        raise RuntimeError("current_sign_in_id() is for views below @login_required")
    return cast("int", user.sign_in_id)


def start_session(proof: Proof) -> None:
    """Sign in, in a session that has nothing of the one before, which may be somebody else's.

    :raises sessions.OutdatedProofError: if the account was changed since.
    """
    session.clear()
    key = sessions.start(proof, request.user_agent.string, request.remote_addr or "")[1]
    started = find_session(key)
    if started is None:
        raise sessions.OutdatedProofError
    flask_login.login_user(started)
