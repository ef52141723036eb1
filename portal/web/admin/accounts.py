"""What administrators do: invite, and manage accounts. They get nobody's files, nor their names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import accounts
from portal.accounts import invitations as links
from portal.accounts.accounts import AccountError, RightLostError
from portal.activity.record import record
from portal.core import text
from portal.core.database import db
from portal.core.models import Account, Role
from portal.files.policy import may_manage_accounts
from portal.files.quota import quota_of
from portal.identity import second_factor
from portal.identity.current_user import current_account, login_required
from portal.web.filters import GIB, QuotaError, read_quota
from portal.web.flashes import shorten, tell

admin = Blueprint("admin", __name__)
logger = logging.getLogger(__name__)

P = ParamSpec("P")
_LARGEST_ID = 2**63 - 1
"""What the database takes for a number."""
_LONGEST_VALIDITY = 90
"""Days that an invitation made here may last."""


def for_administrators(
    view: Callable[P, ResponseReturnValue],
) -> Callable[P, ResponseReturnValue]:
    """Refuse everybody else, before anything is looked for."""

    @wraps(view)
    @login_required
    def checked(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not may_manage_accounts(current_account()):
            abort(403)
        return view(*args, **kwargs)

    return checked


def with_account(
    view: Callable[Concatenate[Account, P], ResponseReturnValue],
) -> Callable[..., ResponseReturnValue]:
    """Give the view the account that the address names, and put refusals into words."""

    @wraps(view)
    @for_administrators
    def found(account_id: int, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        # Noted now: who deactivates himself is not signed in afterwards.
        g.actor, g.actor_name = current_account(), current_account().name
        if account_id > _LARGEST_ID:
            abort(404)
        account = db.session.get(Account, account_id) or abort(404)
        try:
            return view(account, *args, **kwargs)
        except AccountError as error:
            tell(str(error), "error")
            return _back(account_id)

    return found


@admin.get("/accounts")
@for_administrators
def index() -> ResponseReturnValue:
    """List the accounts."""
    return render_template("accounts.html", accounts=accounts.with_last_use(), quota_of=quota_of)


@admin.get("/accounts/<int:account_id>")
@with_account
def show(account: Account) -> ResponseReturnValue:
    """Show what can be done with an account."""
    return _page(account)


@admin.post("/accounts/<int:account_id>/quota")
@with_account
def set_quota(account: Account) -> ResponseReturnValue:
    """Change how much an account may keep."""
    given = request.form.get("quota", "")
    try:
        quota = read_quota(given)
    except QuotaError as error:
        return _page(account, quota_problem=str(error), given_quota=given), 422
    accounts.set_quota(account, quota)
    return _done(account, "quota", f"{account.name} has another quota now.")


@admin.post("/accounts/<int:account_id>/role")
@with_account
def set_role(account: Account) -> ResponseReturnValue:
    """Make an account an administrator, or a member."""
    try:
        role = Role(request.form.get("role"))
    except ValueError:
        abort(400)
    accounts.set_role(account, role)
    return _done(account, f"role {role.value}", f"{account.name} is {_with_article(role)} now.")


@admin.post("/accounts/<int:account_id>/deactivate")
@with_account
def deactivate(account: Account) -> ResponseReturnValue:
    """Sign an account out everywhere, and let nobody sign in to it."""
    accounts.deactivate(account)
    return _done(account, "deactivated", f"{account.name} is signed out and cannot sign in.")


@admin.post("/accounts/<int:account_id>/activate")
@with_account
def activate(account: Account) -> ResponseReturnValue:
    """Let somebody sign in again."""
    accounts.activate(account)
    return _done(account, "activated", f"{account.name} can sign in again.")


@admin.post("/accounts/<int:account_id>/second-factor-off")
@with_account
def second_factor_off(account: Account) -> ResponseReturnValue:
    """Let somebody who lost the second factor sign in with the password alone."""
    _refuse_own(account)
    second_factor.reset_lost(account)
    return _done(
        account, "second factor off", f"{account.name} can sign in with the password alone now."
    )


@admin.post("/accounts/<int:account_id>/reset-link")
@with_account
def reset_link(account: Account) -> ResponseReturnValue:
    """Make a link that somebody chooses a new password with, and show it this once."""
    _refuse_own(account)
    link, token = links.allow_reset(account, g.actor)
    _log("reset link", account)
    return render_template(
        "link.html", link=link, address=links.address("reset", token), account_of=account
    )


@admin.get("/accounts/<int:account_id>/delete")
@with_account
def confirm_delete(account: Account) -> ResponseReturnValue:
    """Say what deleting an account deletes, and ask for its name."""
    return _delete_page(account)


@admin.post("/accounts/<int:account_id>/delete")
@with_account
def delete(account: Account) -> ResponseReturnValue:
    """Delete an account and all its files, for good."""
    if text.fold(request.form.get("name", "")) != account.name_key:
        return _delete_page(account, problem="This is not the account's name."), 422
    name, actor, account_id = account.name, g.actor_name, account.id
    accounts.delete(account)
    record("change account", owner_id=account_id, actor=actor, detail=f"{name}: deleted")
    logger.info("account deleted: %.100r, by %.100r", name, actor)
    tell(f"Deleted: {shorten(name)}, with all files.")
    return redirect(url_for("admin.index"))


@admin.get("/invitations")
@for_administrators
def invitations() -> ResponseReturnValue:
    """List the open invitations, and offer to make one."""
    return _invitations_page()


@admin.post("/invitations")
@for_administrators
def invite() -> ResponseReturnValue:
    """Make an invitation, and show its link this once."""
    form = request.form
    try:
        quota = read_quota(form.get("quota", ""))
    except QuotaError as error:
        return _invitations_page(quota_problem=str(error)), 422
    days = form.get("days", links.INVITATION_DAYS, type=int)
    days = min(max(days, 1), _LONGEST_VALIDITY)
    role = Role.ADMINISTRATOR if form.get("administrator") else Role.MEMBER
    try:
        link, token = links.invite(role, quota, form.get("note", ""), days, current_account())
    except RightLostError:
        abort(403)
    record("change account", detail="an invitation")
    logger.info("invitation: %s, by %.100r", link.public_id, current_account().name)
    return render_template("link.html", link=link, address=links.address("invitation", token))


@admin.post("/invitations/<public_id>/withdraw")
@for_administrators
def withdraw(public_id: str) -> ResponseReturnValue:
    """Let an invitation not be used."""
    if not links.withdraw(public_id):
        abort(404)
    logger.info("invitation withdrawn: %.100r, by %.100r", public_id, current_account().name)
    tell("The invitation is withdrawn. Its link no longer works.")
    return redirect(url_for("admin.invitations"))


def _page(account: Account, **values: str) -> str:
    return render_template(
        "manage_account.html", managed=account, quota=quota_of(account), gib=GIB, **values
    )


def _delete_page(account: Account, **values: str) -> str:
    number, size = accounts.count_files(account)
    return render_template(
        "delete_account.html", managed=account, number=number, size=size, **values
    )


def _invitations_page(**values: str) -> str:
    return render_template(
        "invitations.html",
        invitations=links.open_invitations(),
        days=links.INVITATION_DAYS,
        most_days=_LONGEST_VALIDITY,
        form=request.form,
        **values,
    )


def _done(account: Account, what: str, message: str) -> ResponseReturnValue:
    _log(what, account)
    tell(message)
    return _back(account.id)


def _log(what: str, account: Account) -> None:
    detail = f"{account.name}: {what}"
    record("change account", owner_id=account.id, actor=g.actor_name, detail=detail)
    logger.info("%s: %.100r, by %.100r", what, account.name, g.actor_name)


def _refuse_own(account: Account) -> None:
    """Refuse, for one's own account, what would need no password here.

    :raises AccountError: if it is one's own.
    """
    if account.id == g.actor.id:
        raise AccountError(
            "This is your own account. Change your password and your second factor under Account,"
            " where your present password is asked for."
        )


def _back(account_id: int) -> ResponseReturnValue:
    if not may_manage_accounts(g.actor):  # any more, by this very request
        return redirect(url_for("account.index"))
    return redirect(url_for("admin.show", account_id=account_id))


def _with_article(role: Role) -> str:
    return "an administrator" if role is Role.ADMINISTRATOR else "a member"
