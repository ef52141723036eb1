"""Signing in and out, and what the links of administrators open: a new account or password."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError, UnusableNameError
from portal.accounts.invitations import LinkError, LinkUnknownError
from portal.activity.record import record
from portal.core.database import db
from portal.core.models import Account, hash_token
from portal.files.policy import may_manage_accounts
from portal.identity import second_factor, sessions, throttle
from portal.identity.current_user import (
    clear_session,
    current_account,
    current_sign_in_id,
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
from portal.web.flashes import done, tell
from portal.web.forms import form_page

from .forms import CodeForm, InvitationForm, NewPasswordForm, SignInForm

auth = Blueprint("auth", __name__)
invitation_pages = Blueprint("invitations", __name__)

T = TypeVar("T")

_LONGEST_TARGET = 1024
"""Bytes of an address to go on to. It waits for the code in a cookie, which browsers keep short."""
_WAITING = "waiting for the second factor"
_PAGES = {
    "files.download": "entries.show_in_folder",
    "files.preview": "entries.show_in_folder",
    "zips.download_folder": "folders.show",
    "second_factor.qr_code": "second_factor.index",
    "activity.index_csv": "activity.index",
    "activity.everybody_csv": "activity.everybody",
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
    if signed_in_account():
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
        field.errors = ["This code is wrong or has been used already."]
        return form_page("account/code.html", form)
    attempt.succeeded()
    response = _signed_in(proof, target)
    if by_recovery:
        left = second_factor.recovery_codes_left(proof.account_id)
        flash(f"You have {left} recovery codes left. You can create new ones under Account.")
    return response


@auth.post("/sign-out")
@login_required
@with_room_to_delete
def sign_out() -> ResponseReturnValue:
    """End this session, so that no copy of its cookie goes on working."""
    name, owner_id = current_account().name, current_account().id
    end_session()
    done("sign out", owner_id=owner_id, actor=name)
    flash("You are signed out.")
    return redirect(url_for("auth.sign_in"))


# A link's token moves from the address into the session at once. It is in no page's address then,
# and so in no Referer, which servers log with the request for the style sheet already.
@invitation_pages.get("/invitation/<token>", endpoint="open_invitation")
@invitation_pages.get("/reset/<token>", endpoint="open_reset")
def open_link(token: str) -> ResponseReturnValue:
    """Keep a link's token in the session, and show a page without it in its address."""
    kind = (request.endpoint or "").rpartition("_")[2]
    session[kind] = token[: invitations.LONGEST_TOKEN]
    return redirect(url_for(f"invitations.{kind}"))


@invitation_pages.route("/invitation", methods=["GET", "POST"])
def invitation() -> ResponseReturnValue:
    """Ask for a name and a password, and create the account."""
    token, form = session.get("invitation", ""), InvitationForm()
    _find(invitations.find_invitation, token)
    proof = _submit(
        form,
        lambda: invitations.accept_invitation(token, form.username.data, form.new_password.data),
    )
    if proof is None:
        return form_page("account/invitation.html", form)
    done("change account", owner_id=proof.account_id, actor=proof.name, detail="by an invitation")
    if signed_in_account():
        sessions.end(current_sign_in_id())
    start_session(proof)
    tell("Account created. You are signed in.")
    return redirect(url_for("files.index"))


@invitation_pages.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Ask for a new password, and set it."""
    token, form = session.get("reset", ""), NewPasswordForm()
    name = _find(invitations.find_reset, token)[1].name
    proof = _submit(form, lambda: invitations.reset_password(token, form.new_password.data))
    if proof is None:
        return form_page("account/reset.html", form, name=name)
    throttle.forget_failures(proof.account_id, proof.name)
    detail = "password, by a link"
    done("change account", owner_id=proof.account_id, actor=proof.name, detail=detail)
    session.pop("reset", None)
    flash("Password changed. Sign in with the new one.")
    return redirect(url_for("auth.sign_in"))


@auth.errorhandler(OutdatedProofError)
@invitation_pages.errorhandler(OutdatedProofError)
def ask_for_password(_error: OutdatedProofError | None = None) -> ResponseReturnValue:
    """Go back to the form for the password, where the account was changed since it was entered."""
    flash("Sign in with your password first.")
    return redirect(url_for("auth.sign_in"))


@invitation_pages.errorhandler(LinkError)
def show_dead_link(error: LinkError) -> ResponseReturnValue:
    """Say why a link does not work, and forget it."""
    session.pop(request.path.strip("/"), None)
    return render_template("account/dead_link.html", reason=str(error)), 410


def is_local(target: str) -> bool:
    r"""Return whether a redirect stays on this site, and is short enough to wait for a code.

    Browsers read ``//host`` and ``/\host`` as another site, and drop control characters first.
    """
    return (
        target.startswith("/")
        and not target.startswith("//")
        and "\\" not in target
        and target.isprintable()
        and len(target.encode()) <= _LONGEST_TARGET
    )


def next_page() -> str:
    """Return the page of this site that the request asks to go on to; my files, if none."""
    target = request.values.get("next", "").strip()
    return target if is_local(target) else url_for("files.index")


def _find(find: Callable[[str], T], token: str) -> T:
    """Find what a token is for. An unknown one counts as guessed."""
    try:
        return find(token)
    except LinkUnknownError:
        if token:
            throttle.count_link().log_failure()
        raise


def _submit(form: NewPasswordForm, use_link: Callable[[], Proof]) -> Proof | None:
    """Use a link with what a form holds, if it was sent. If that is refused, the form says why."""
    if request.method != "POST":
        return None
    attempt = throttle.count_choice("link")
    if not form.validate():
        return None
    try:
        proof = use_link()
    except UnusableNameError as error:
        form.username.errors = [str(error)]
    except AccountError as error:
        form.new_password.errors = [str(error)]
    else:
        attempt.succeeded()
        return proof
    return None


def _signed_in(proof: Proof, target: str) -> ResponseReturnValue:
    start_session(proof)
    done("sign in", owner_id=proof.account_id, actor=proof.name)
    return redirect(target)


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
    clear_session()
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
    # Coming back by GET to what was a POST would find nothing.
    if request.method not in {"GET", "HEAD"} or request.path == "/":
        return redirect(url_for("auth.sign_in"))
    page = _PAGES.get(request.endpoint or "", request.endpoint or "")
    target = url_for(page, **(request.view_args or {}))
    if request.query_string:
        target += f"?{request.full_path.partition('?')[2]}"
    return redirect(url_for("auth.sign_in", next=target))
