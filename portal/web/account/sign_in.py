"""Signing in and out."""

from __future__ import annotations

import hmac
import logging
import time
from urllib.parse import urlsplit

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from flask_delegate.servers import signing
from portal.accounts import accounts
from portal.activity.record import record
from portal.core.database import db
from portal.core.models import Account, hash_token
from portal.files.policy import may_manage_accounts
from portal.identity import attempts, sessions
from portal.identity import second_factor as secondfactor
from portal.identity.current_user import (
    current_account,
    current_sign_in_id,
    find_session,
    login_manager,
    login_required,
    signed_in_account,
    start_session,
)
from portal.identity.sessions import OutdatedProofError, Proof

auth = Blueprint("auth", __name__)
logger = logging.getLogger(__name__)

_WAITING = "waiting for the second factor"
_PATIENCE = 5 * 60
"""Seconds between the password and the code."""
_LONGEST_TARGET = 1024
"""Bytes of an address to go on to. It waits for the code in a cookie, which browsers keep short."""


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
        return render_template("account/sign_in.html", target=target)
    name = request.form.get("username", "")
    attempt = attempts.count_password(name)
    proof = accounts.authenticate(name, request.form.get("password", ""))
    if proof is None:
        return _failed(name, target)
    attempt.succeeded()
    if proof.totp_secret:
        _wait_for_code(proof, target)
        return redirect(url_for("auth.second_factor"))
    try:
        return _signed_in(proof, target)
    except OutdatedProofError:
        return _failed(name, target)


@auth.route("/sign-in/code", methods=["GET", "POST"])
def second_factor() -> ResponseReturnValue:
    """Ask for the second factor of whoever just gave the password, or check it."""
    account, target = _waiting()
    if account is None:
        return _password_first()
    proof = Proof.of(account)
    if request.method != "POST":
        return render_template("account/code.html")
    attempt = attempts.count_code(account)
    by_recovery = bool(request.form.get("recovery_code"))
    if by_recovery:
        right = secondfactor.use_recovery_code(account, request.form["recovery_code"])
    else:
        right = secondfactor.check(account, request.form.get("code", ""))
    if not right:
        attempts.log_failure("second factor", proof.name)
        _record_failure(proof, "second factor")
        return render_template("account/code.html", failed=True, by_recovery=by_recovery), 422
    attempt.succeeded()
    try:
        response = _signed_in(proof, target)
    except OutdatedProofError:
        return _password_first()
    if by_recovery:
        left = secondfactor.recovery_codes_left(proof.account_id)
        flash(f"You have {left} recovery codes left. Make new ones under Account when you can.")
    return response


@auth.post("/sign-out")
@login_required
def sign_out() -> ResponseReturnValue:
    """End this session, so that no copy of its cookie goes on working."""
    name = current_account().name
    record("sign out", owner_id=current_account().id)
    sessions.end(current_sign_in_id())
    session.clear()
    flash("You are signed out.")
    logger.info("signed out: %.100r", name)
    response = redirect(url_for("auth.sign_in"))
    # What pages showed in this browser is shut with it.
    response.delete_cookie(signing.COOKIE)
    return response


def is_local(target: str) -> bool:
    r"""Tell whether a redirect to it stays on this site, and is short enough to wait for a code.

    Browsers read ``//host`` and ``/\host`` as another site, and drop control characters first.
    """
    if not target.startswith("/") or target.startswith("//"):
        return False
    if "\\" in target or not target.isprintable() or len(target.encode()) > _LONGEST_TARGET:
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def _signed_in(proof: Proof, target: str) -> ResponseReturnValue:
    start_session(proof)
    # %r keeps control characters from making lines of their own in the log, .100 keeps it short.
    record("sign in", owner_id=proof.account_id, actor=proof.name)
    logger.info("signed in: %.100r from %s", proof.name, attempts.client_address())
    return redirect(target)


def _failed(name: str, target: str) -> ResponseReturnValue:
    attempts.log_failure("sign-in", name)
    account = accounts.find(name)
    _record_failure(Proof.of(account) if account else None, "password")
    return render_template("account/sign_in.html", target=target, name=name, failed=True), 422


def _password_first() -> ResponseReturnValue:
    flash("Sign in with your password first.")
    return redirect(url_for("auth.sign_in"))


def _record_failure(found: Proof | None, what: str) -> None:
    # What was typed for an unknown name is not kept: now and then it is somebody's password.
    detail = f"{what}, for {found.name}" if found else "an unknown name"
    record("sign-in failed", owner_id=found.account_id if found else None, actor="", detail=detail)


def _wait_for_code(proof: Proof, target: str) -> None:
    """Remember who gave the password, in a session that has nothing of the one before."""
    session.clear()
    session[_WAITING] = {
        "account": proof.account_id,
        "proof": _hashed(proof),
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
    if not hmac.compare_digest(_hashed(Proof.of(account)), waiting["proof"]):
        return None, ""
    return account, waiting["target"]


def _hashed(proof: Proof) -> str:
    """Make what no longer fits once the password or the second factor changed."""
    return hash_token(f"{proof.password_hash} {proof.totp_secret}")


def _ask_to_sign_in() -> ResponseReturnValue:
    # Coming back by GET to what was a POST would find nothing.
    if request.method not in {"GET", "HEAD"} or request.path == "/":
        return redirect(url_for("auth.sign_in"))
    target = request.script_root + request.full_path.removesuffix("?")
    return redirect(url_for("auth.sign_in", next=target))
