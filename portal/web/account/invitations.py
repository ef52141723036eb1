"""What the links open that an administrator hands over: a new account, or a new password."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import invitations
from portal.accounts.accounts import AccountError, UnusableNameError
from portal.accounts.invitations import LinkError, LinkUnknownError
from portal.identity import sessions, throttle
from portal.identity.current_user import current_sign_in_id, signed_in_account, start_session
from portal.identity.sessions import OutdatedProofError, Proof
from portal.web.events import done
from portal.web.flashes import tell

from .forms import InvitationForm, NewPasswordForm

invitation_pages = Blueprint("invitations", __name__)

T = TypeVar("T")

# A link's token moves from the address into the session at once. It is in no page's address then,
# and so in no Referer, which servers log with the request for the style sheet already.
_INVITATION, _RESET = "invitation", "reset"


@invitation_pages.get("/invitation/<token>")
def open_invitation(token: str) -> ResponseReturnValue:
    """Keep a link's token in the session, and show a page without it in its address."""
    session[_INVITATION] = token[: invitations.LONGEST_TOKEN]
    return redirect(url_for("invitations.invitation"))


@invitation_pages.get("/reset/<token>")
def open_reset(token: str) -> ResponseReturnValue:
    """Keep a link's token in the session, and show a page without it in its address."""
    session[_RESET] = token[: invitations.LONGEST_TOKEN]
    return redirect(url_for("invitations.reset"))


@invitation_pages.route("/invitation", methods=["GET", "POST"])
def invitation() -> ResponseReturnValue:
    """Ask for a name and a password, and create the account."""
    token, form = session.get(_INVITATION, ""), InvitationForm()
    try:
        _find(invitations.find_invitation, token)
        if request.method != "POST":
            return render_template("account/invitation.html", form=form)
        proof = _submit(
            form,
            lambda: invitations.accept_invitation(
                token, form.username.data, form.new_password.data
            ),
        )
    except LinkError as error:
        return _dead_link(_INVITATION, error)
    if proof is None:
        return render_template("account/invitation.html", form=form), 422
    detail = "by an invitation"
    done("change account", owner_id=proof.account_id, actor=proof.name, detail=detail)
    if signed_in_account():
        sessions.end(current_sign_in_id())
    try:
        start_session(proof)
    except OutdatedProofError:
        return redirect(url_for("auth.sign_in"))
    tell("Account created. You are signed in.")
    return redirect(url_for("files.index"))


@invitation_pages.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Ask for a new password, and set it."""
    token, form = session.get(_RESET, ""), NewPasswordForm()
    try:
        name = _find(invitations.find_reset, token)[1].name
        if request.method != "POST":
            return render_template("account/reset.html", form=form, name=name)
        proof = _submit(form, lambda: invitations.reset_password(token, form.new_password.data))
    except LinkError as error:
        return _dead_link(_RESET, error)
    if proof is None:
        return render_template("account/reset.html", form=form, name=name), 422
    throttle.forget_failures(proof.account_id, proof.name)
    detail = "password, by a link"
    done("change account", owner_id=proof.account_id, actor=proof.name, detail=detail)
    session.pop(_RESET, None)
    flash("Password changed. Sign in with the new one.")
    return redirect(url_for("auth.sign_in"))


def _find(find: Callable[[str], T], token: str) -> T:
    """Find what a token is for. An unknown one counts as guessed."""
    try:
        return find(token)
    except LinkUnknownError:
        if token:
            throttle.count_link().log_failure()
        raise


def _submit(form: NewPasswordForm, use_link: Callable[[], Proof]) -> Proof | None:
    """Use a link with what a form holds. If that is refused, the form says why."""
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


def _dead_link(kind: str, error: LinkError) -> ResponseReturnValue:
    session.pop(kind, None)
    return render_template("account/dead_link.html", reason=str(error)), 410
