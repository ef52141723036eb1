"""One's own second factor: switched on and off, with recovery codes for a lost device."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal.identity import second_factor, throttle
from portal.identity.current_user import current_account, login_required
from portal.web.events import done
from portal.web.forms import Form

from .account import is_my_password
from .forms import CodeForm, PresentPasswordForm

second_factor_pages = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")

_OFF = "off_"
"""The prefix of the fields of the second form on one page."""


@second_factor_pages.get("")
@login_required
def index() -> ResponseReturnValue:
    """Show whether my second factor is on, or how to switch it on."""
    return _page()


@second_factor_pages.post("/begin")
@login_required
def begin() -> ResponseReturnValue:
    """Choose a secret for my authenticator app to read."""
    form = PresentPasswordForm()
    if not current_account().has_second_factor:
        if not is_my_password(form.password):
            return _page(form=form), 422
        second_factor.begin(current_account())
    return _back()


@second_factor_pages.get("/qr.svg")
@login_required
def qr_code() -> ResponseReturnValue:
    """Draw the secret, until its first code has confirmed it."""
    if not second_factor.is_pending(current_account()):
        abort(404)
    return Response(second_factor.qr_code(current_account()), mimetype="image/svg+xml")


@second_factor_pages.post("/confirm")
@login_required
def confirm() -> ResponseReturnValue:
    """Switch my second factor on with the first code, and show the recovery codes."""
    mine, form = current_account(), CodeForm()
    if not second_factor.is_pending(mine):
        return _back()
    attempt = throttle.count_code(mine)
    codes = second_factor.confirm(mine, form.code.data) if form.validate() else None
    if codes is None:
        attempt.log_failure()
        form.code.errors = [
            "This is not the current code. Wait for the next one, and check the device's clock."
        ]
        return _page(code_form=form), 422
    attempt.succeeded()
    done("change account", owner_id=mine.id, detail="second factor on")
    return render_template("account/recovery_codes.html", codes=codes)


@second_factor_pages.post("/recovery-codes")
@login_required
def renew_recovery_codes() -> ResponseReturnValue:
    """Replace my recovery codes."""
    mine, form = current_account(), PresentPasswordForm()
    if not mine.has_second_factor:
        return _back()
    if not is_my_password(form.password):
        return _page(form=form), 422
    codes = second_factor.renew_recovery_codes(mine)
    done("change account", owner_id=mine.id, detail="recovery codes")
    return render_template("account/recovery_codes.html", codes=codes)


@second_factor_pages.post("/off")
@login_required
def switch_off() -> ResponseReturnValue:
    """Let my password alone be enough."""
    mine, form = current_account(), PresentPasswordForm(prefix=_OFF)
    if not is_my_password(form.password):
        return _page(off_form=form), 422
    second_factor.switch_off(mine)
    say = "Second factor switched off. You sign in with your password alone."
    done("change account", say=say, owner_id=mine.id, detail="second factor off")
    return redirect(url_for("account.index"))


def _page(**failed: Form) -> str:
    """Show the page, with the form that had a problem."""
    mine = current_account()
    forms = {
        "form": PresentPasswordForm(formdata=None),
        "code_form": CodeForm(formdata=None),
        "off_form": PresentPasswordForm(formdata=None, prefix=_OFF),
    }
    return render_template(
        "account/second_factor.html",
        pending=second_factor.is_pending(mine),
        codes_left=second_factor.recovery_codes_left(mine.id),
        **(forms | failed),
    )


def _back() -> ResponseReturnValue:
    return redirect(url_for("second_factor.index"))
