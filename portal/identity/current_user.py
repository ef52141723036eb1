"""Who this request is signed in as: Flask-Login, with typed names for what the portal uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import flask_login  # type: ignore[import-untyped]
from flask import Response, abort, after_this_request, g, request, session
from flask_login import current_user, login_user, logout_user

from flask_delegate.servers import signing
from portal.core import language

from . import sessions
from .cookie import VISITS

if TYPE_CHECKING:
    from portal.core.models import Account

    from .sessions import Proof

P = ParamSpec("P")
R = TypeVar("R")

login_manager = flask_login.LoginManager()
# The check would write to the session whenever an address or a browser's name changes, downloads
# included, and it trusts X-Forwarded-For.
login_manager.session_protection = None


class BrowserSession(flask_login.UserMixin):  # type: ignore[misc]
    """What Flask-Login calls the user: a session, by the key that the browser's cookie holds."""

    def __init__(self, found: sessions.Session, key: str) -> None:
        self.sign_in_id = found.id
        self.account = found.account
        # Kept here: the account may have to be read again, which a page of an error must not need.
        self.language = found.account.language
        self._key = key

    def get_id(self) -> str:
        """Return what goes into the cookie."""
        return self._key


def load_session(key: str) -> BrowserSession | None:
    """Return the session that a cookie's key belongs to, unless it ended."""
    found = sessions.find(key)
    language.choose_again()
    return BrowserSession(found, key) if found else None


login_manager.user_loader(load_session)


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Send whoever is not signed in to the sign-in page."""
    return cast("Callable[P, R]", flask_login.login_required(view))


def require_sign_in() -> None:
    """Do what ``@login_required`` does, in the middle of a view."""
    if not current_user.is_authenticated:
        abort(login_manager.unauthorized())


def session_key() -> str:
    """Return the key of a session that this browser's cookie holds, which may have ended."""
    return str(session.get("_user_id", ""))


def signed_in_account() -> Account | None:
    """Return the account that this request is signed in to, if any."""
    return cast("Account", current_user.account) if current_user.is_authenticated else None


def chosen_language() -> str | None:
    """Return the language that the account has chosen, if this request has asked who is signed in.

    It asks nothing of the database, which an error page may have to do without.
    """
    user = g.get("_login_user")
    return user.language if isinstance(user, BrowserSession) else None


def choose_language(code: str | None) -> None:
    """Go on in a language that the account has chosen by this request, or in the browser's."""
    _current_session().language = code
    language.choose_again()


def current_account() -> Account:
    """Return the account that this request is signed in to, below ``@login_required``."""
    return _current_session().account


def current_sign_in_id() -> int:
    """Return the id of this request's session, below ``@login_required``."""
    return _current_session().sign_in_id


def clear_session() -> None:
    """Empty the browser's cookie, but for the links that were opened without an account.

    A download by such a link goes on, whoever signs in or out meanwhile.
    """
    visits = {name: session[name] for name in VISITS if name in session}
    session.clear()
    session.update(visits)


def start_session(proof: Proof) -> None:
    """Sign in, in a session that has nothing of the account before, which may be somebody else's.

    :raises sessions.OutdatedProofError: if the account was changed since.
    """
    clear_session()
    key = sessions.start(proof, request.user_agent.string, request.remote_addr or "")
    started = load_session(key)
    if started is None:
        raise sessions.OutdatedProofError
    login_user(started)


def end_session() -> None:
    """Sign out: no copy of the cookie goes on working, and the browser forgets the account."""
    sessions.end(current_sign_in_id())
    forget_session()


def forget_session() -> None:
    """Take the account from the browser's cookie, wherever its session was ended."""
    forget_ended_session()
    clear_session()


def forget_ended_session() -> None:
    """Take a session that was ended elsewhere, or has expired, from the browser's cookie, if any.

    What else the cookie has, such as links that were opened, stays.
    """
    if "_user_id" in session:
        logout_user()
        language.choose_again()
        after_this_request(_forget_browser)


def _forget_browser(response: Response) -> Response:
    # Signed URLs that pages showed in this browser stop working with it.
    response.delete_cookie(signing.COOKIE)
    return response


def _current_session() -> BrowserSession:
    if not current_user.is_authenticated:
        raise RuntimeError("only for views below @login_required")
    return cast("BrowserSession", current_user)
