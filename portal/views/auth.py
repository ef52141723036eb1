"""Signing in and out."""

from __future__ import annotations

import hmac
import logging
import time
from urllib.parse import urlsplit

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from .. import accounts, attempts, secondfactor, sessions
from ..access import may_manage_accounts
from ..activity.record import record
from ..database import db
from ..extensions import (
    current_account,
    current_sign_in,
    find_session,
    login_manager,
    login_required,
    signed_in_account,
    start_session,
)
from ..models import Account, hash_token

auth = Blueprint("auth", __name__)
logger = logging.getLogger(__name__)

_WAITING = "waiting for the second factor"
_PATIENCE = 5 * 60
"""Seconds between the password and the code."""


def init_app(app: Flask) -> None:
    """Set the application up to know who is signed in."""
    # Templates ask signed_in_account() themselves: error pages must do without the database.
    login_manager.init_app(app, add_context_processor=False)
    login_manager.user_loader(find_session)
    login_manager.unauthorized_handler(_ask_to_sign_in)
    app.add_template_global(signed_in_account)
    app.add_template_global(may_manage_accounts)


@auth.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Show the form, or check the password and go on to where the person was headed."""
    target = request.values.get("next", "")
    if not is_local(target):
        target = url_for("files.index")
    if signed_in_account():
        return redirect(target)
    if request.method != "POST":
        return render_template("sign_in.html", target=target)
    name = request.form.get("username", "")
    attempt = attempts.count_password(name)
    account = accounts.authenticate(name, request.form.get("password", ""))
    if account is None:
        attempts.log_failure("sign-in", name)
        _record_failure(accounts.find(name), "password")
        return render_template("sign_in.html", target=target, name=name, failed=True), 422
    attempt.succeeded()
    if account.has_second_factor:
        _wait_for_code(account, target)
        return redirect(url_for("auth.second_factor"))
    return _signed_in(account, target)


@auth.route("/sign-in/code", methods=["GET", "POST"])
def second_factor() -> ResponseReturnValue:
    """Ask for the second factor of whoever just gave the password, or check it."""
    account, target = _waiting()
    if account is None:
        flash("Sign in with your password first.")
        return redirect(url_for("auth.sign_in"))
    if request.method != "POST":
        return render_template("second_factor.html")
    attempt = attempts.count_code(account)
    by_recovery = bool(request.form.get("recovery_code"))
    if by_recovery:
        right = secondfactor.use_recovery_code(account, request.form["recovery_code"])
    else:
        right = secondfactor.check(account, request.form.get("code", ""))
    if not right:
        attempts.log_failure("second factor", account.name)
        _record_failure(account, "second factor")
        return render_template("second_factor.html", failed=True, by_recovery=by_recovery), 422
    attempt.succeeded()
    response = _signed_in(account, target)
    if by_recovery:
        left = secondfactor.recovery_codes_left(account)
        flash(f"You have {left} recovery codes left. Make new ones under Account when you can.")
    return response


@auth.post("/sign-out")
@login_required
def sign_out() -> ResponseReturnValue:
    """End this session, so that no copy of its cookie goes on working."""
    name = current_account().name
    record("sign out", owner_id=current_account().id)
    sessions.end(current_sign_in())
    session.clear()
    flash("You are signed out.")
    logger.info("signed out: %.100r", name)
    return redirect(url_for("auth.sign_in"))


def is_local(target: str) -> bool:
    r"""Tell whether a redirect to it stays on this site.

    Browsers read ``//host`` and ``/\host`` as another site, and drop control characters first.
    """
    if not target.startswith("/") or target.startswith("//"):
        return False
    if "\\" in target or not target.isprintable():
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def _signed_in(account: Account, target: str) -> ResponseReturnValue:
    start_session(account)
    # %r keeps control characters from making lines of their own in the log, .100 keeps it short.
    record("sign in", owner_id=account.id, actor=account.name)
    logger.info("signed in: %.100r from %s", account.name, attempts.client_address())
    return redirect(target)


def _record_failure(account: Account | None, what: str) -> None:
    # What was typed for an unknown name is not kept: now and then it is somebody's password.
    detail = f"{what}, for {account.name}" if account else "an unknown name"
    record("sign-in failed", owner_id=account.id if account else None, actor="", detail=detail)


def _wait_for_code(account: Account, target: str) -> None:
    """Remember who gave the password, in a session that has nothing of the one before."""
    session.clear()
    session[_WAITING] = {
        "account": account.id,
        "proof": _proof(account),
        "until": time.time() + _PATIENCE,
        "target": target,
    }


def _waiting() -> tuple[Account | None, str]:
    """Give the account whose password was given not long ago, and where the person was headed."""
    waiting = session.get(_WAITING)
    if signed_in_account() or not waiting or waiting["until"] < time.time():
        return None, ""
    account = db.session.get(Account, waiting["account"])
    if account is None or not account.is_active or not account.has_second_factor:
        return None, ""
    if not hmac.compare_digest(_proof(account), waiting["proof"]):
        return None, ""
    return account, waiting["target"]


def _proof(account: Account) -> str:
    """Make what no longer fits once the password or the second factor changed."""
    return hash_token(f"{account.password_hash} {account.totp_secret}")


def _ask_to_sign_in() -> ResponseReturnValue:
    # Coming back by GET to what was a POST would find nothing.
    if request.method not in {"GET", "HEAD"} or request.path == "/":
        return redirect(url_for("auth.sign_in"))
    target = request.script_root + request.full_path.removesuffix("?")
    return redirect(url_for("auth.sign_in", next=target))
