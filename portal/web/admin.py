"""What administrators do: invite people and manage accounts. They never see anybody's files."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, IntegerField  # type: ignore[import-untyped]
from wtforms.validators import NumberRange, Optional  # type: ignore[import-untyped]

from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError, NotAdministratorError
from portal.accounts.invitations import LinkError
from portal.core import sizes
from portal.core.database import db
from portal.core.language import gettext, lazy_gettext
from portal.core.models import Account, OneTimeLink, Role
from portal.core.text import LONGEST_NOTE, fold
from portal.files.policy import may_manage_accounts
from portal.files.quota import quota_of, usages
from portal.identity import second_factor
from portal.identity.current_user import current_account, login_required
from portal.web import marks, shown_once
from portal.web.filters import human_size
from portal.web.flashes import done, shorten, tell
from portal.web.forms import Form, OptionalField, Query, form_page, name_in_url, page_before, text

admin = Blueprint("admin", __name__)

P = ParamSpec("P")
_LARGEST_ID = 2**63 - 1
"""The database's largest number."""
_LONGEST_VALIDITY = 90
"""Days that an invitation created here may last."""
_UNUSABLE_DAYS = lazy_gettext("Use 1 to %(most)s days.", most=_LONGEST_VALIDITY)


def _read_gibibytes(typed: str, _before: int | None) -> int:
    try:
        return sizes.read(typed, sizes.GIB)
    except ValueError as error:
        most = sizes.LARGEST // sizes.GIB
        raise ValueError(
            gettext(
                "Enter a number of GiB, such as 5 or 0.5: at most %(most)s, and at least"
                " 0.000000001 if it is not 0.",
                most=most,
            )
        ) from error


def _write_gibibytes(size: int) -> str:
    return sizes.write(size, sizes.GIB)


class PlaceQuery(Query):
    """Where a page of accounts or invitations begins."""

    after = name_in_url("After", marks.LONGEST)
    before = page_before()


class QuotaForm(Form):
    """How much an account may keep."""

    quota = OptionalField(lazy_gettext("Quota (GiB)"), _read_gibibytes, _write_gibibytes)


class DeleteForm(Form):
    """The name of an account to delete, typed to confirm."""

    name = text(lazy_gettext("Type the account's name to confirm"), 255)


class InvitationForm(QuotaForm):
    """Who may create an account, and which."""

    note = text(lazy_gettext("Who is it for?"), LONGEST_NOTE)
    days = IntegerField(
        lazy_gettext("Link expires after (days)"),
        [Optional(), NumberRange(1, _LONGEST_VALIDITY, _UNUSABLE_DAYS)],
        default=invitations.INVITATION_DAYS,
    )
    administrator = BooleanField(lazy_gettext("Administrator, who manages all accounts"))


def for_administrators(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Refuse everybody else, before anything is looked up."""

    @wraps(view)
    @login_required
    def checked(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not may_manage_accounts(current_account()):
            abort(403)
        return view(*args, **kwargs)

    return checked


def with_account(
    view: Callable[[Account], ResponseReturnValue],
) -> Callable[[int], ResponseReturnValue]:
    """Pass the account of the URL to the view, and show why something was refused."""

    @wraps(view)
    @for_administrators
    def found(account_id: int) -> ResponseReturnValue:
        if account_id > _LARGEST_ID:
            abort(404)
        account = db.session.get(Account, account_id) or abort(404)
        try:
            return view(account)
        except AccountError as error:
            tell(str(error), "error")
            return _back(account_id)

    return found


@admin.get("/accounts")
@for_administrators
def index() -> ResponseReturnValue:
    """List the accounts."""
    asked = PlaceQuery().after.data
    page, number, is_first = accounts.page(marks.read_ids(asked))
    return render_template(
        "admin/accounts.html",
        page=page,
        usages=usages(one for one, _ in page.rows),
        number=number,
        has_previous=not is_first,
        after=marks.of_ids(account.id for account, _ in reversed(page.rows)),
        changed=marks.end_or_beginning(page.is_end, is_lost=bool(asked) and is_first),
    )


@admin.get("/accounts/<int:account_id>")
@with_account
def show(account: Account) -> ResponseReturnValue:
    """Show what can be done with an account."""
    return form_page("admin/account.html", QuotaForm(obj=account), managed=account)


@admin.post("/accounts/<int:account_id>/quota")
@with_account
def set_quota(account: Account) -> ResponseReturnValue:
    """Change how much an account may keep."""
    form = QuotaForm(obj=account)
    if not form.validate():
        return form_page("admin/account.html", form, managed=account)
    accounts.set_quota(account, form.quota.data)
    values = {"name": account.name, "quota": human_size(quota_of(account))}
    if account.quota is None:
        say = gettext("Quota of %(name)s set to %(quota)s (the default).", **values)
    else:
        say = gettext("Quota of %(name)s set to %(quota)s.", **values)
    return _done(account, "quota", say)


@admin.post("/accounts/<int:account_id>/role")
@with_account
def set_role(account: Account) -> ResponseReturnValue:
    """Make an account an administrator or a member."""
    role = request.form.get("role", type=Role) or abort(400)
    accounts.set_role(account, role)
    if role is Role.ADMINISTRATOR:
        say = gettext("%(name)s is now an administrator.", name=account.name)
    else:
        say = gettext("%(name)s is now a member.", name=account.name)
    return _done(account, f"role {role.value}", say)


@admin.post("/accounts/<int:account_id>/deactivate")
@with_account
def deactivate(account: Account) -> ResponseReturnValue:
    """Sign an account out everywhere, and refuse sign-ins."""
    accounts.deactivate(account)
    say = gettext(
        "%(name)s deactivated: signed out everywhere, and cannot sign in.", name=account.name
    )
    return _done(account, "deactivated", say)


@admin.post("/accounts/<int:account_id>/activate")
@with_account
def activate(account: Account) -> ResponseReturnValue:
    """Let somebody sign in again."""
    accounts.activate(account)
    say = gettext("%(name)s activated. They can sign in again.", name=account.name)
    return _done(account, "activated", say)


@admin.post("/accounts/<int:account_id>/second-factor-off")
@with_account
def second_factor_off(account: Account) -> ResponseReturnValue:
    """Let somebody who lost the second factor sign in with the password alone."""
    _refuse_own(account)
    second_factor.reset_lost(account)
    say = gettext(
        "Second factor of %(name)s switched off. The password alone is enough now.",
        name=account.name,
    )
    return _done(account, "second factor off", say)


@admin.post("/accounts/<int:account_id>/reset-link")
@with_account
def reset_link(account: Account) -> ResponseReturnValue:
    """Create a password reset link, and go on to the page that shows it."""
    _refuse_own(account)
    _, token = invitations.create_reset_link(account, current_account())
    done("change account", owner_id=account.id, detail=f"{account.name}: reset link")
    return shown_once.show(url_for("admin.show_reset_link", account_id=account.id), token)


@admin.get("/accounts/<int:account_id>/reset-link")
@with_account
def show_reset_link(account: Account) -> ResponseReturnValue:
    """Show a new password reset link, once."""
    token = shown_once.take(gettext("Reset links"), url_for("admin.show", account_id=account.id))
    return _link_page("reset", token, lambda: invitations.find_reset(token)[0], managed=account)


@admin.route("/accounts/<int:account_id>/delete", methods=["GET", "POST"])
@with_account
def delete(account: Account) -> ResponseReturnValue:
    """Ask for an account's name, and delete the account and its files permanently."""
    form = DeleteForm()
    if form.validate_on_submit() and fold(form.name.data) != account.name_key:
        form.name.errors = [gettext("This is not the account's name.")]
    if form.errors or not form.is_submitted():
        number, size = accounts.count_files(account)
        return form_page("admin/delete.html", form, managed=account, number=number, size=size)
    # Noted before: the account may be the administrator's own.
    name, account_id, actor = account.name, account.id, current_account().name
    accounts.delete(account)
    say = gettext("Account %(name)s and its files deleted.", name=shorten(name))
    done("change account", say=say, owner_id=account_id, actor=actor, detail=f"{name}: deleted")
    return redirect(url_for("admin.index"))


@admin.route("/invitations", methods=["GET", "POST"])
@for_administrators
def invite() -> ResponseReturnValue:
    """List the open invitations; create one, and go on to the page that shows its link."""
    form = InvitationForm()
    if not form.validate_on_submit():
        before = PlaceQuery().before.data or None
        page = invitations.open_invitations(before)
        return form_page(
            "admin/invitations.html",
            form,
            page=page,
            has_previous=before is not None,
            changed=marks.end_or_beginning(page.is_end),
        )
    role = Role.ADMINISTRATOR if form.administrator.data else Role.MEMBER
    days = form.days.data or invitations.INVITATION_DAYS
    try:
        _, token = invitations.create_invitation(
            role, form.quota.data, form.note.data, days, current_account()
        )
    except NotAdministratorError:
        abort(403)
    done("change account", detail="an invitation")
    return shown_once.show(url_for("admin.show_invitation"), token)


@admin.get("/invitations/created")
@for_administrators
def show_invitation() -> ResponseReturnValue:
    """Show a new invitation's link, once."""
    token = shown_once.take(gettext("Invitation links"), url_for("admin.invite"))
    return _link_page("invitation", token, lambda: invitations.find_invitation(token))


@admin.post("/invitations/<public_id>/revoke")
@for_administrators
def revoke_invitation(public_id: str) -> ResponseReturnValue:
    """Revoke an invitation."""
    if not invitations.revoke_invitation(public_id):
        abort(404)
    say = gettext("Invitation revoked. Its link no longer works.")
    done("change account", say=say, detail="an invitation revoked")
    return redirect(url_for("admin.invite"))


def _link_page(
    kind: str, token: str, find: Callable[[], OneTimeLink], managed: Account | None = None
) -> ResponseReturnValue:
    try:
        link = find()
    except LinkError:  # it was used or revoked meanwhile
        abort(404)
    url = invitations.link_url(kind, token)
    return render_template("admin/link.html", link=link, url=url, managed=managed)


def _done(account: Account, what: str, say: str) -> ResponseReturnValue:
    done("change account", say=say, owner_id=account.id, detail=f"{account.name}: {what}")
    return _back(account.id)


def _refuse_own(account: Account) -> None:
    """Refuse what would need no password here, and does for one's own account elsewhere.

    :raises AccountError: if the account is one's own.
    """
    if account.id == current_account().id:
        raise AccountError(
            gettext(
                "This is your own account. Change your password and your second factor under"
                " Account, with your current password."
            )
        )


def _back(account_id: int) -> ResponseReturnValue:
    if not may_manage_accounts(current_account()):  # any more, by this very request
        return redirect(url_for("account.index"))
    return redirect(url_for("admin.show", account_id=account_id))
