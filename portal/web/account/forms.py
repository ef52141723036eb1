"""The forms for signing in, and for one's own account."""

from __future__ import annotations

from typing import Any

from wtforms import PasswordField  # type: ignore[import-untyped]
from wtforms.validators import EqualTo  # type: ignore[import-untyped]

from portal.accounts.accounts import LONGEST_NAME
from portal.identity import passwords
from portal.web.forms import Form, password, text

_LONGEST_TYPED = 255
"""Characters of a name before it is normalised, which can shorten it."""
LONGEST_TARGET = 1024
"""Bytes of an address to go on to. It waits for the code in a cookie, which browsers keep short."""


def _present_password() -> PasswordField:
    return password(
        "Current password", render_kw={"required": True, "autocomplete": "current-password"}
    )


def _new_password(label: str, *validators: Any, **attributes: Any) -> PasswordField:
    attributes |= {"required": True, "autocomplete": "new-password"}
    return password(label, *validators, render_kw=attributes)


def _again(label: str, field: str) -> PasswordField:
    return _new_password(label, EqualTo(field, message="The two passwords are not the same."))


class TargetForm(Form):
    """Where to go after signing in."""

    next = text("Next", LONGEST_TARGET)


class SignInForm(Form):
    """The name and the password."""

    username = text("Name", _LONGEST_TYPED)
    password = password("Password")


class CodeForm(Form):
    """A code of the second factor, or one that stands in for it."""

    code = text("6-digit code", 16)
    recovery_code = text("Recovery code", 64)


class PresentPasswordForm(Form):
    """The present password: whoever finds an open browser does not know it."""

    password = _present_password()


class ChangePasswordForm(PresentPasswordForm):
    """The present password and a new one."""

    new_password = _new_password("New password", minlength=passwords.SHORTEST)
    again = _again("Repeat the new password", "new_password")


class ResetForm(Form):
    """A new password."""

    password = _new_password("New password", minlength=passwords.SHORTEST)
    again = _again("Repeat the new password", "password")


class InvitationForm(Form):
    """The name and the password of a new account."""

    username = text(
        "Name",
        _LONGEST_TYPED,
        render_kw={
            "maxlength": LONGEST_NAME,
            "required": True,
            "autocomplete": "username",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
    )
    password = _new_password("Password", minlength=passwords.SHORTEST)
    again = _again("Repeat the password", "password")
