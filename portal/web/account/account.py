"""One's own account: its password, and where it is signed in."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField  # type: ignore[import-untyped]

from portal.accounts import accounts
from portal.accounts.accounts import AccountError
from portal.files.quota import quota_of
from portal.identity import passwords, second_factor, sessions, throttle
from portal.identity.current_user import (
    current_account,
    current_sign_in_id,
    end_session,
    forget_session,
    login_required,
    start_session,
)
from portal.identity.sessions import OutdatedProofError
from portal.web.events import done
from portal.web.flashes import tell

from .forms import ChangePasswordForm

account = Blueprint("account", __name__)


@account.get("/account")
@login_required
def index() -> ResponseReturnValue:
    """Show my account."""
    return _page(ChangePasswordForm())


@account.post("/account/password")
@login_required
def change_password() -> ResponseReturnValue:
    """Change my password, which ends all other sessions."""
    mine, form = current_account(), ChangePasswordForm()
    seen = mine.password_hash
    if not is_my_password(form.password):
        return _page(form), 422
    attempt = throttle.count_choice("password check", mine.name)
    if not form.validate():
        return _page(form), 422
    try:
        proof = accounts.set_password(mine, form.new_password.data, seen)
    except AccountError as error:
        form.new_password.errors = [str(error)]
        return _page(form), 422
    attempt.succeeded()
    done("change account", owner_id=proof.account_id, actor=proof.name, detail="password")
    try:
        start_session(proof)
    except OutdatedProofError:
        return _signed_out("Password changed. Sign in with the new one.")
    tell("Password changed. All other devices are signed out.")
    return redirect(url_for("account.index"))


@account.post("/account/sessions/<public_id>/end")
@login_required
def end_one_session(public_id: str) -> ResponseReturnValue:
    """Sign myself out in one browser."""
    mine = sessions.list_sessions(current_account())
    found = next((one for one in mine if one.public_id == public_id), None) or abort(404)
    if found.id == current_sign_in_id():
        end_session()
        return _signed_out("You are signed out.")
    sessions.end(found.id)
    tell("Device signed out.")
    return redirect(url_for("account.index"))


@account.post("/account/sessions/end")
@login_required
def end_all_sessions() -> ResponseReturnValue:
    """Sign myself out everywhere, including here."""
    done("sign out", owner_id=current_account().id, detail="everywhere")
    sessions.end_all(current_account())
    return _signed_out("You are signed out everywhere.")


def is_my_password(field: PasswordField) -> bool:
    """Return whether a field has my present password; if not, say so there."""
    mine = current_account()
    attempt = throttle.count_password(mine.name, "password check")
    if passwords.verify(mine.password_hash, field.data or ""):
        attempt.succeeded()
        return True
    attempt.log_failure()
    field.errors = ["This is not your current password."]
    return False


def _page(form: ChangePasswordForm) -> str:
    mine = current_account()
    return render_template(
        "account/account.html",
        form=form,
        sessions=sessions.list_sessions(mine),
        this_session=current_sign_in_id(),
        quota=quota_of(mine),
        codes_left=second_factor.recovery_codes_left(mine.id),
    )


def _signed_out(message: str) -> ResponseReturnValue:
    forget_session()
    flash(message)
    return redirect(url_for("auth.sign_in"))
