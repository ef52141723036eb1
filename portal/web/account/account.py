"""One's own account: its password, its second factor, and where it is signed in."""

from __future__ import annotations

from flask import Blueprint, Response, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField  # type: ignore[import-untyped]

from portal.accounts import accounts
from portal.accounts.accounts import AccountError
from portal.core.language import gettext, languages
from portal.core.references import shows_names
from portal.files.quota import usage_of
from portal.identity import passwords, second_factor, sessions, throttle
from portal.identity.current_user import (
    choose_language,
    current_account,
    current_sign_in_id,
    end_session,
    forget_session,
    login_required,
    start_session,
)
from portal.identity.sessions import OutdatedProofError
from portal.storage.ballast import with_room_to_delete
from portal.web import compression, shown_once
from portal.web.flashes import done, tell
from portal.web.forms import Form, focus_first_error, form_page

from .forms import ChangePasswordForm, CodeForm, LanguageForm, PresentPasswordForm

account = Blueprint("account", __name__)
second_factor_pages = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")

_OFF = "off_"
"""The prefix of the fields of the second form on one page."""


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
        return _page(form)
    attempt = throttle.count_choice("password check", mine.name)
    if not form.validate():
        return _page(form)
    try:
        proof = accounts.set_password(mine, form.new_password.data, seen)
    except AccountError as error:
        form.new_password.errors = [str(error)]
        return _page(form)
    attempt.succeeded()
    done("change account", owner_id=proof.account_id, actor=proof.name, detail="password")
    try:
        start_session(proof)
    except OutdatedProofError:
        return _signed_out(gettext("Password changed. Sign in with the new one."))
    tell(gettext("Password changed. All other devices are signed out."))
    return redirect(url_for("account.index"))


@account.post("/account/language")
@login_required
def change_language() -> ResponseReturnValue:
    """Choose the language of the pages that I see, wherever I am signed in."""
    form = LanguageForm()
    if not form.validate():
        abort(400)  # no page offers another one
    language = form.language.data or None
    accounts.set_language(current_account(), language)
    choose_language(language)
    tell(gettext("Language changed."))
    return redirect(url_for("account.index"))


@account.post("/account/sessions/<public_id>/end")
@login_required
@with_room_to_delete
def end_one_session(public_id: str) -> ResponseReturnValue:
    """Sign myself out in one browser."""
    mine = sessions.list_sessions(current_account())
    found = next((one for one in mine if one.public_id == public_id), None) or abort(404)
    if found.id == current_sign_in_id():
        end_session()
        return _signed_out(gettext("You are signed out."))
    sessions.end(found.id)
    tell(gettext("Device signed out."))
    return redirect(url_for("account.index"))


@account.post("/account/sessions/end")
@login_required
@with_room_to_delete
def end_all_sessions() -> ResponseReturnValue:
    """Sign myself out everywhere, including here."""
    mine = current_account()
    sessions.end_all(mine)
    done("sign out", owner_id=mine.id, detail="everywhere", actor=mine.name)
    return _signed_out(gettext("You are signed out everywhere."))


@second_factor_pages.get("", endpoint="index")
@login_required
def show_second_factor() -> ResponseReturnValue:
    """Show whether my second factor is on, or how to switch it on."""
    return _second_factor_page()


@second_factor_pages.post("/begin")
@login_required
def begin() -> ResponseReturnValue:
    """Choose a secret for my authenticator app to read."""
    form = PresentPasswordForm()
    if not current_account().has_second_factor:
        if not is_my_password(form.password):
            return _second_factor_page(form=form)
        second_factor.begin(current_account())
    return redirect(url_for("second_factor.index"))


@second_factor_pages.get("/qr.svg")
@login_required
def qr_code() -> ResponseReturnValue:
    """Draw the secret, until its first code has confirmed it."""
    if not second_factor.is_pending(current_account()):
        abort(404)
    compression.forbid()
    return Response(second_factor.qr_code(current_account()), mimetype="image/svg+xml")


@second_factor_pages.post("/confirm")
@login_required
def confirm() -> ResponseReturnValue:
    """Switch my second factor on with the first code, and go on to the recovery codes."""
    mine, form = current_account(), CodeForm()
    if not second_factor.is_pending(mine):
        return redirect(url_for("second_factor.index"))
    attempt = throttle.count_code(mine)
    codes = second_factor.confirm(mine, form.code.data) if form.validate() else None
    if codes is None:
        attempt.log_failure()
        form.code.errors = [
            gettext(
                "This is not the current code. Wait for the next one, and check the device's clock."
            )
        ]
        return _second_factor_page(code_form=form)
    attempt.succeeded()
    done("change account", owner_id=mine.id, detail="second factor on")
    return shown_once.show(url_for("second_factor.show_recovery_codes"), codes)


@second_factor_pages.get("/recovery-codes")
@login_required
def show_recovery_codes() -> ResponseReturnValue:
    """Show new recovery codes, once."""
    codes = shown_once.take(gettext("Recovery codes"), url_for("second_factor.index"))
    return render_template("account/recovery_codes.html", codes=codes)


@second_factor_pages.post("/recovery-codes")
@login_required
def renew_recovery_codes() -> ResponseReturnValue:
    """Replace my recovery codes."""
    mine, form = current_account(), PresentPasswordForm()
    if not mine.has_second_factor:
        return redirect(url_for("second_factor.index"))
    if not is_my_password(form.password):
        return _second_factor_page(form=form)
    codes = second_factor.renew_recovery_codes(mine)
    done("change account", owner_id=mine.id, detail="recovery codes")
    return shown_once.show(url_for("second_factor.show_recovery_codes"), codes)


@second_factor_pages.post("/off")
@login_required
def switch_off() -> ResponseReturnValue:
    """Let my password alone be enough."""
    mine, form = current_account(), PresentPasswordForm(prefix=_OFF)
    if not is_my_password(form.password):
        return _second_factor_page(off_form=form)
    second_factor.switch_off(mine)
    say = gettext("Second factor switched off. You sign in with your password alone.")
    done("change account", say=say, owner_id=mine.id, detail="second factor off")
    return redirect(url_for("account.index"))


def _second_factor_page(**failed: Form) -> ResponseReturnValue:
    """Show the page, with the form that has a problem; and the secret that is to be confirmed."""
    mine = current_account()
    compression.forbid()
    for form in failed.values():
        focus_first_error(form)
    forms = {
        "form": PresentPasswordForm(formdata=None),
        "code_form": CodeForm(formdata=None),
        "off_form": PresentPasswordForm(formdata=None, prefix=_OFF),
    }
    page = render_template(
        "account/second_factor.html",
        pending=second_factor.is_pending(mine),
        codes_left=second_factor.recovery_codes_left(mine.id),
        **(forms | failed),
    )
    return page, 422 if failed else 200


def is_my_password(field: PasswordField) -> bool:
    """Return whether a field has my present password; if not, say so there."""
    mine = current_account()
    attempt = throttle.count_password(mine.name, "password check")
    if passwords.verify(mine.password_hash, field.data or ""):
        attempt.succeeded()
        return True
    attempt.log_failure()
    field.errors = [gettext("This is not your current password.")]
    return False


def _page(form: ChangePasswordForm) -> ResponseReturnValue:
    mine = current_account()
    form_of_language = LanguageForm(formdata=None, language=mine.language or "")
    return form_page(
        "account/account.html",
        form,
        language_field=form_of_language.language if len(languages()) > 1 else None,
        sessions=sessions.list_sessions(mine),
        this_session=current_sign_in_id(),
        usage=usage_of(mine),
        codes_left=second_factor.recovery_codes_left(mine.id),
        shows_names=shows_names(),
    )


def _signed_out(message: str) -> ResponseReturnValue:
    forget_session()
    flash(message)
    return redirect(url_for("auth.sign_in"))
