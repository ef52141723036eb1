"""What the links open that an administrator hands over: a new account, or a new password."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import invitations as links
from portal.accounts.accounts import AccountError, UnusableNameError
from portal.accounts.invitations import LinkError, LinkUnknownError
from portal.activity.record import record
from portal.identity import attempts, passwords, sessions
from portal.identity.current_user import current_sign_in_id, signed_in_account, start_session
from portal.identity.sessions import OutdatedProofError
from portal.web.flashes import tell

invitations = Blueprint("invitations", __name__)
logger = logging.getLogger(__name__)

T = TypeVar("T")

# A link's token moves from the address into the session at once. It is in no page's address then,
# and so in no Referer, which servers log with the request for the style sheet already.
_INVITATION, _RESET = "invitation", "reset"
_NOT_THE_SAME = "This is not the same password as above."


@invitations.get("/invitation/<token>")
def open_invitation(token: str) -> ResponseReturnValue:
    """Keep a link's token, and show the page that has it in no address."""
    session[_INVITATION] = token[: links.LONGEST_TOKEN]
    return redirect(url_for("invitations.invitation"))


@invitations.get("/reset/<token>")
def open_reset(token: str) -> ResponseReturnValue:
    """Keep a link's token, and show the page that has it in no address."""
    session[_RESET] = token[: links.LONGEST_TOKEN]
    return redirect(url_for("invitations.reset"))


@invitations.route("/invitation", methods=["GET", "POST"])
def invitation() -> ResponseReturnValue:
    """Ask for a name and a password, or make the account."""
    token = session.get(_INVITATION, "")
    try:
        _find(links.find_invitation, token)
        if request.method != "POST":
            return _form("account/invitation.html")
        return _accept(token)
    except LinkError as error:
        return _dead_link(error)


@invitations.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Ask for a new password, or change it."""
    token = session.get(_RESET, "")
    try:
        account = _find(links.find_reset, token)[1]
        if request.method != "POST":
            return _form("account/reset.html", name=account.name)
        return _reset(token, account.name)
    except LinkError as error:
        return _dead_link(error)


def _find(find: Callable[[str], T], token: str) -> T:
    """Find what a token is for. An unknown one counts as guessed."""
    try:
        return find(token)
    except LinkUnknownError:
        if token:
            attempts.count_link()
            attempts.log_failure("link", "")
        raise


def _accept(token: str) -> ResponseReturnValue:
    name, password = request.form.get("username", ""), request.form.get("password", "")
    attempt = attempts.count_choice("link")
    if password != request.form.get("again", ""):
        return _form("account/invitation.html", name=name, again_problem=_NOT_THE_SAME), 422
    try:
        proof = links.accept(token, name, password)
    except UnusableNameError as error:
        return _form("account/invitation.html", name=name, name_problem=str(error)), 422
    except AccountError as error:
        return _form("account/invitation.html", name=name, password_problem=str(error)), 422
    attempt.succeeded()
    detail = "by an invitation"
    record("change account", owner_id=proof.account_id, actor=proof.name, detail=detail)
    logger.info("invitation accepted: %.100r from %s", proof.name, attempts.client_address())
    if signed_in_account():
        sessions.end(current_sign_in_id())
    try:
        start_session(proof)
    except OutdatedProofError:
        return redirect(url_for("auth.sign_in"))
    tell("Your account is ready, and you are signed in.")
    return redirect(url_for("files.index"))


def _reset(token: str, name: str) -> ResponseReturnValue:
    password = request.form.get("password", "")
    attempt = attempts.count_choice("link")
    if password != request.form.get("again", ""):
        return _form("account/reset.html", name=name, again_problem=_NOT_THE_SAME), 422
    try:
        proof = links.reset(token, password)
    except AccountError as error:
        return _form("account/reset.html", name=name, password_problem=str(error)), 422
    attempt.succeeded()
    attempts.forget_failures(proof.account_id, proof.name)
    detail = "password, by a link"
    record("change account", owner_id=proof.account_id, actor=proof.name, detail=detail)
    logger.info("password reset: %.100r from %s", proof.name, attempts.client_address())
    session.pop(_RESET, None)
    flash("Your password is changed. Sign in with it now.")
    return redirect(url_for("auth.sign_in"))


def _form(template: str, **values: str) -> str:
    return render_template(
        template, shortest=passwords.SHORTEST, longest=passwords.LONGEST, **values
    )


def _dead_link(error: LinkError) -> ResponseReturnValue:
    session.pop(_INVITATION if request.endpoint == "invitations.invitation" else _RESET, None)
    return render_template("account/dead_link.html", reason=str(error)), 410
