"""What the links of administrators open: a new account, or a new password."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import invitations
from portal.accounts.accounts import AccountError, UnusableNameError
from portal.accounts.invitations import LinkError, LinkUnknownError
from portal.core.language import gettext
from portal.identity import throttle
from portal.identity.current_user import start_session
from portal.identity.sessions import OutdatedProofError, Proof
from portal.web.flashes import done, tell
from portal.web.forms import form_page

from .forms import InvitationForm, NewPasswordForm
from .sign_in import ask_for_password, leave_session

invitation_pages = Blueprint("invitations", __name__)
invitation_pages.register_error_handler(OutdatedProofError, ask_for_password)

T = TypeVar("T")

_FINDERS: Mapping[str, Callable[[str], object]] = {
    "invitation": invitations.find_invitation,
    "reset": invitations.find_reset,
}


# A link's token moves from the address into the session at once. It is in no page's address then,
# and so in no Referer, which servers log with the request for the style sheet already.
@invitation_pages.get("/invitation/<token>", endpoint="open_invitation")
@invitation_pages.get("/reset/<token>", endpoint="open_reset")
def open_link(token: str) -> ResponseReturnValue:
    """Keep a link's token in the session, and show a page without it in its address.

    One that nobody has made is not kept: the cookie is compressed, and by texts of an attacker's
    beside the other secrets in it, its length would tell these.
    """
    kind = (request.endpoint or "").rpartition("_")[2]
    session.pop(kind, None)
    try:
        _find(_FINDERS[kind], token)
        session[kind] = token
    except LinkUnknownError:
        pass  # the page says so
    except LinkError:
        session[kind] = token
    return redirect(url_for(f"invitations.{kind}"))


@invitation_pages.route("/invitation", methods=["GET", "POST"])
def invitation() -> ResponseReturnValue:
    """Ask for a name and a password, and create the account."""
    token, form = session.get("invitation", ""), InvitationForm()
    link = _find(invitations.find_invitation, token)
    if request.method != "POST":
        form.username.data = link.proposed_name
    proof = _submit(
        form,
        lambda: invitations.accept_invitation(token, form.username.data, form.new_password.data),
    )
    if proof is None:
        return form_page("account/invitation.html", form)
    done("change account", owner_id=proof.account_id, actor=proof.name, detail="by an invitation")
    before = leave_session(proof)
    start_session(proof)
    created = gettext("Account created.")
    signed_in = gettext("You are signed in as %(name)s.", name=proof.name)
    tell(" ".join(said for said in (created, before, signed_in) if said))
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
    flash(gettext("Password changed. Sign in with the new one."))
    return redirect(url_for("auth.sign_in"))


@invitation_pages.errorhandler(LinkError)
def show_dead_link(error: LinkError) -> ResponseReturnValue:
    """Say why a link does not work, and forget it."""
    session.pop(request.path.strip("/"), None)
    return render_template("account/dead_link.html", reason=str(error)), 410


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
