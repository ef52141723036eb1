"""Signing in and out."""

from __future__ import annotations

import hmac
import time

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import accounts
from portal.activity.record import record
from portal.core.database import db
from portal.core.language import gettext, ngettext
from portal.core.models import Account, hash_token
from portal.core.text import fold
from portal.files.policy import may_manage_accounts
from portal.identity import second_factor, throttle
from portal.identity.current_user import (
    clear_session,
    current_account,
    end_session,
    forget_ended_session,
    login_manager,
    login_required,
    signed_in_account,
    start_session,
)
from portal.identity.sessions import OutdatedProofError, Proof
from portal.identity.throttle import Attempt
from portal.storage.ballast import with_room_to_delete
from portal.web import stale_forms
from portal.web.flashes import done, tell
from portal.web.forms import form_page
from portal.web.next_page import next_page

from .forms import CodeForm, SignInForm

auth = Blueprint("auth", __name__)

_WAITING = "waiting for the second factor"
_PAGES = {
    "files.download": "entries.show_in_folder",
    "files.preview": "entries.show_in_folder",
    "thumbnails.show": "entries.show_in_folder",
    "versions.download": "entries.details",
    "zips.download_folder": "folders.show",
    "second_factor.qr_code": "second_factor.index",
    "activity.index_csv": "activity.index",
    "activity.everybody_csv": "activity.everybody",
    "received.download": "received.show",
}
"""By the endpoint of what is no page, the page to go on to: a browser that gets a file stays on the
form for signing in."""
_PATIENCE = 5 * 60
"""Seconds between the password and the code."""


def init_app(app: Flask) -> None:
    """Set the application up to know who is signed in."""
    # Templates ask signed_in_account() themselves: error pages must do without the database.
    login_manager.init_app(app, add_context_processor=False)
    app.add_template_global(signed_in_account)
    app.add_template_global(may_manage_accounts)


@auth.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Show the form, or check the password and go on to where the person was headed."""
    target, form = next_page(), SignInForm()
    if _is_there(form):
        return redirect(target)
    if request.method != "POST":
        return render_template("account/sign_in.html", form=form, target=target)
    name = form.username.data
    attempt = throttle.count_password(name)
    proof = accounts.authenticate(name, form.password.data) if form.validate() else None
    if proof is None:
        return _failed(attempt, form, target)
    attempt.succeeded()
    if proof.totp_secret:
        _wait_for_code(proof, target)
        return redirect(url_for("auth.enter_code"))
    try:
        return _signed_in(proof, target)
    except OutdatedProofError:
        return _failed(attempt, form, target)


@auth.route("/sign-in/code", methods=["GET", "POST"])
def enter_code() -> ResponseReturnValue:
    """Ask for the second factor of whoever has given the password, or check it."""
    account, target = _waiting()
    if account is None:
        return ask_for_password()
    proof, form = Proof.of(account), CodeForm()
    if request.method != "POST":
        return form_page("account/code.html", form)
    attempt = throttle.count_code(account)
    by_recovery = bool(form.recovery_code.data)
    field = form.recovery_code if by_recovery else form.code
    check = second_factor.use_recovery_code if by_recovery else second_factor.check
    if not form.validate() or not check(account, field.data):
        attempt.log_failure()
        _record_failure(proof, "second factor")
        field.errors = [gettext("This code is wrong or has been used already.")]
        return form_page("account/code.html", form)
    attempt.succeeded()
    response = _signed_in(proof, target)
    if by_recovery:
        left = second_factor.recovery_codes_left(proof.account_id)
        flash(
            ngettext(
                "You have %(num)s recovery code left. You can create new ones under Account.",
                "You have %(num)s recovery codes left. You can create new ones under Account.",
                left,
            )
        )
    return response


@auth.post("/sign-out")
@login_required
@with_room_to_delete
def sign_out() -> ResponseReturnValue:
    """End this session, so that no copy of its cookie goes on working."""
    _end_session()
    flash(gettext("You are signed out."), "signed-out")  # see static/signed_out.js
    return redirect(url_for("auth.sign_in"))


@auth.errorhandler(OutdatedProofError)
def ask_for_password(_error: OutdatedProofError | None = None) -> ResponseReturnValue:
    """Go back to the form for the password, where the account was changed since it was entered."""
    flash(gettext("Sign in with your password first."))
    return redirect(url_for("auth.sign_in"))


def show_anew() -> ResponseReturnValue:
    """Answer a form for signing in that belongs to another session: show it again, or go on.

    Whoever is signed in by another tab goes on from there, unless the form has another name.
    """
    account, form = signed_in_account(), SignInForm()
    if account is None:
        tell(gettext("The form had expired, so you are not signed in yet. Try again."), "error")
        return redirect(url_for(request.endpoint or "", next=request.values.get("next")))
    if request.endpoint == "auth.enter_code" or _is_there(form):
        return redirect(next_page())
    values = {"form": form, "target": next_page(), "present": account.name}
    return render_template("account/sign_in.html", **values), 400


def _is_there(form: SignInForm) -> bool:
    """Return whether somebody is signed in, and the form names nobody else."""
    account, name = signed_in_account(), form.username
    if account is None or not name.validate(form):
        return False
    return fold(name.data) in {"", account.name_key}


def _signed_in(proof: Proof, target: str) -> ResponseReturnValue:
    before = leave_session(proof)
    start_session(proof)
    done("sign in", owner_id=proof.account_id, actor=proof.name)
    if before:
        tell(f"{before} " + gettext("You are signed in as %(name)s.", name=proof.name))
    return redirect(target)


def leave_session(proof: Proof) -> str:
    """End the session that this browser has, and return a sentence about it if it was another's.

    :param proof: of who is about to sign in.
    """
    account = signed_in_account()
    if account is None:
        return ""
    name, is_another = account.name, account.id != proof.account_id
    _end_session()
    return gettext("%(name)s is signed out.", name=name) if is_another else ""


def _end_session() -> None:
    name, owner_id = current_account().name, current_account().id
    end_session()
    done("sign out", owner_id=owner_id, actor=name)


def _failed(attempt: Attempt, form: SignInForm, target: str) -> ResponseReturnValue:
    attempt.log_failure()
    account = accounts.find(form.username.data) if form.validate() else None
    _record_failure(Proof.of(account) if account else None, "password")
    return render_template("account/sign_in.html", form=form, target=target, failed=True), 422


def _record_failure(found: Proof | None, what: str) -> None:
    # What was typed for an unknown name is not kept: now and then it is somebody's password.
    detail = f"{what}, for {found.name}" if found else "an unknown name"
    record("sign-in failed", owner_id=found.account_id if found else None, actor="", detail=detail)


def _wait_for_code(proof: Proof, target: str) -> None:
    """Remember who gave the password, in a session that has nothing of the account before."""
    said = leave_session(proof)
    clear_session()
    if said:
        tell(said)
    session[_WAITING] = {
        "account": proof.account_id,
        "proof": _hashed(proof),
        "until": time.time() + _PATIENCE,
        "target": target,
    }


def _waiting() -> tuple[Account | None, str]:
    """Return the account whose password has been given, and where the person was headed."""
    waiting = session.get(_WAITING)
    if signed_in_account() or not waiting or waiting["until"] < time.time():
        return None, ""
    account = db.session.get(Account, waiting["account"])
    if account is None or not account.is_active or not account.has_second_factor:
        return None, ""
    is_same = hmac.compare_digest(_hashed(Proof.of(account)), waiting["proof"])
    return (account, waiting["target"]) if is_same else (None, "")


def _hashed(proof: Proof) -> str:
    """Return a hash that changes with the password and the second factor."""
    return hash_token(f"{proof.password_hash} {proof.totp_secret}")


@login_manager.unauthorized_handler  # type: ignore[untyped-decorator]
def _ask_to_sign_in() -> ResponseReturnValue:
    forget_ended_session()
    if request.method not in {"GET", "HEAD"}:
        return stale_forms.answer()
    if request.path == "/":
        return redirect(url_for("auth.sign_in"))
    page = _PAGES.get(request.endpoint or "", request.endpoint or "")
    target = url_for(page, **(request.view_args or {}))
    if request.query_string:
        target += f"?{request.full_path.partition('?')[2]}"
    return redirect(url_for("auth.sign_in", next=target))
