"""One's own account: its password, and where it is signed in."""

from __future__ import annotations

import logging

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import accounts
from portal.accounts.accounts import AccountError
from portal.activity.record import record
from portal.files.quota import quota_of
from portal.identity import attempts, passwords, second_factor, sessions
from portal.identity.current_user import (
    current_account,
    current_sign_in_id,
    login_required,
    start_session,
)
from portal.identity.sessions import OutdatedProofError
from portal.web.flashes import tell

account = Blueprint("account", __name__)
logger = logging.getLogger(__name__)


@account.get("/account")
@login_required
def index() -> ResponseReturnValue:
    """Show my account."""
    return _page()


@account.post("/account/password")
@login_required
def change_password() -> ResponseReturnValue:
    """Change my password, which ends all other sessions."""
    mine = current_account()
    seen = mine.password_hash
    new, again = request.form.get("new_password", ""), request.form.get("again", "")
    if not is_my_password():
        return _page(current_problem="This is not your present password."), 422
    attempt = attempts.count_choice("password check", mine.name)
    if new != again:
        return _page(again_problem="This is not the same password as above."), 422
    try:
        proof = accounts.set_password(mine, new, seen)
    except AccountError as error:
        return _page(new_problem=str(error)), 422
    attempt.succeeded()
    record("change account", owner_id=proof.account_id, actor=proof.name, detail="password")
    logger.info("password changed: %.100r", proof.name)
    try:
        start_session(proof)
    except OutdatedProofError:
        return _signed_out("Your password is changed. Sign in with it now.")
    tell("Your password is changed. Wherever else you were signed in, you are signed out.")
    return redirect(url_for("account.index"))


@account.post("/account/sessions/<public_id>/end")
@login_required
def end_session(public_id: str) -> ResponseReturnValue:
    """Sign myself out in one other browser."""
    found = sessions.find_of(current_account(), public_id)
    if found is None:
        abort(404)
    this_one = found.id == current_sign_in_id()
    sessions.end(found.id)
    if this_one:
        return _signed_out("You are signed out.")
    tell("That device is signed out.")
    return redirect(url_for("account.index"))


@account.post("/account/sessions/end")
@login_required
def end_all_sessions() -> ResponseReturnValue:
    """Sign myself out everywhere, here, too."""
    record("sign out", owner_id=current_account().id, detail="everywhere")
    logger.info("signed out everywhere: %.100r", current_account().name)
    sessions.end_all(current_account())
    return _signed_out("You are signed out everywhere.")


def is_my_password(field: str = "password") -> bool:
    """Tell whether a form has my present password: who finds an open browser does not know it."""
    mine = current_account()
    attempt = attempts.count_password(mine.name, "password check")
    if passwords.verify(mine.password_hash, request.form.get(field, "")):
        attempt.succeeded()
        return True
    attempts.log_failure("password check", mine.name)
    return False


def _page(**problems: str) -> str:
    mine = current_account()
    return render_template(
        "account.html",
        sessions=sessions.of(mine),
        this_session=current_sign_in_id(),
        quota=quota_of(mine),
        codes_left=second_factor.recovery_codes_left(mine.id),
        shortest=passwords.SHORTEST,
        longest=passwords.LONGEST,
        **problems,
    )


def _signed_out(message: str) -> ResponseReturnValue:
    session.clear()
    flash(message)
    return redirect(url_for("auth.sign_in"))
