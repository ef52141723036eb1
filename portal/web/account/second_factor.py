"""One's own second factor: switched on and off, with codes for the day that it is lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import record
from portal.identity import attempts
from portal.identity import second_factor as secondfactor
from portal.identity.current_user import current_account, login_required
from portal.web.flashes import tell

from .account import is_my_password

second_factor = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")
logger = logging.getLogger(__name__)

_WRONG_CODE = "This is not the present code. Wait for the next one; check the device's time, too."
_WRONG_PASSWORD = "This is not your present password."  # noqa: S105  (a message)


@second_factor.get("")
@login_required
def index() -> ResponseReturnValue:
    """Show whether my second factor is on, or how to go on with switching it on."""
    return _page()


@second_factor.post("/begin")
@login_required
def begin() -> ResponseReturnValue:
    """Choose a secret, to be read by my authenticator application."""
    if current_account().has_second_factor:
        return redirect(url_for("second_factor.index"))
    if not is_my_password():
        return _page(password_problem=_WRONG_PASSWORD), 422
    secondfactor.begin(current_account())
    return redirect(url_for("second_factor.index"))


@second_factor.get("/qr.svg")
@login_required
def qr_code() -> ResponseReturnValue:
    """Draw the secret, for as long as it waits for its first code."""
    if not secondfactor.is_pending(current_account()):
        abort(404)
    return Response(secondfactor.qr_code(current_account()), mimetype="image/svg+xml")


@second_factor.post("/confirm")
@login_required
def confirm() -> ResponseReturnValue:
    """Switch my second factor on with the first code, and show the recovery codes."""
    mine = current_account()
    if not secondfactor.is_pending(mine):
        return redirect(url_for("second_factor.index"))
    attempt = attempts.count_code(mine)
    codes = secondfactor.confirm(mine, request.form.get("code", ""))
    if codes is None:
        attempts.log_failure("second factor", mine.name)
        return _page(code_problem=_WRONG_CODE), 422
    attempt.succeeded()
    record("change account", owner_id=mine.id, detail="second factor on")
    logger.info("second factor on: %.100r", mine.name)
    return _codes_page(codes)


@second_factor.post("/recovery-codes")
@login_required
def renew_recovery_codes() -> ResponseReturnValue:
    """Make new recovery codes in place of mine."""
    mine = current_account()
    if not mine.has_second_factor:
        return redirect(url_for("second_factor.index"))
    if not is_my_password():
        return _page(renew_problem=_WRONG_PASSWORD), 422
    logger.info("recovery codes renewed: %.100r", mine.name)
    return _codes_page(secondfactor.renew_recovery_codes(mine))


@second_factor.post("/off")
@login_required
def switch_off() -> ResponseReturnValue:
    """Let my password alone be enough."""
    if not is_my_password("off_password"):
        return _page(off_problem=_WRONG_PASSWORD), 422
    secondfactor.switch_off(current_account())
    record("change account", owner_id=current_account().id, detail="second factor off")
    logger.info("second factor off: %.100r", current_account().name)
    tell("The second factor is off. Your password alone signs you in.")
    return redirect(url_for("account.index"))


def _page(**problems: str) -> str:
    mine = current_account()
    return render_template(
        "account/second_factor.html",
        pending=secondfactor.is_pending(mine),
        codes_left=secondfactor.recovery_codes_left(mine.id),
        **problems,
    )


def _codes_page(codes: Sequence[str]) -> str:
    return render_template("account/recovery_codes.html", codes=codes)
