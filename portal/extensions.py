"""The extensions without type hints, and typed names for what the portal uses of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import flask_login  # type: ignore[import-untyped]
from flask import session
from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .models import Account

__all__ = [
    "CSRFError",
    "check_form_in_view",
    "csrf",
    "current_account",
    "login_manager",
    "login_required",
    "signed_in_account",
    "start_session",
]

P = ParamSpec("P")
R = TypeVar("R")

csrf = CSRFProtect()
login_manager = flask_login.LoginManager()
# The check would write to the session whenever an address or a browser's name changes, downloads
# included, and it trusts X-Forwarded-For.
login_manager.session_protection = None


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Send whoever is not signed in to the sign-in page."""
    return cast("Callable[P, R]", flask_login.login_required(view))


def check_form_in_view(view: Callable[P, R]) -> Callable[P, R]:
    """Leave the check of the form's token to the view, which calls ``csrf.protect()``."""
    return cast("Callable[P, R]", csrf.exempt(view))


def signed_in_account() -> Account | None:
    """Give the account that this request is signed in to, if any."""
    user = flask_login.current_user
    return cast("Account", user._get_current_object()) if user.is_authenticated else None


def current_account() -> Account:
    """Give the account that this request is signed in to, in views that need one."""
    account = signed_in_account()
    if account is None:
        raise RuntimeError("current_account() is for views below @login_required")
    return account


def start_session(account: Account) -> None:
    """Sign in, in a session that has nothing of the one before, which may be somebody else's."""
    session.clear()
    flask_login.login_user(account)
