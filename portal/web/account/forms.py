"""The forms for signing in, and for one's own account."""

from __future__ import annotations

from wtforms import SelectField  # type: ignore[import-untyped]
from wtforms.validators import EqualTo  # type: ignore[import-untyped]

from portal.accounts.accounts import LONGEST_NAME
from portal.core.language import gettext, languages, lazy_gettext
from portal.identity import passwords
from portal.web.forms import Form, password, text

_LONGEST_TYPED = 255
"""Characters of a name before it is normalised, which can shorten it."""
_NAME = {
    "required": True,
    "autocomplete": "username",
    "autocapitalize": "none",
    "spellcheck": "false",
}
_PRESENT = {"required": True, "autocomplete": "current-password"}
_NEW = {"required": True, "autocomplete": "new-password"}


class SignInForm(Form):
    """The name and the password."""

    username = text(lazy_gettext("Name"), _LONGEST_TYPED, render_kw=_NAME)
    password = password(lazy_gettext("Password"), render_kw=_PRESENT)


class CodeForm(Form):
    """A code of the second factor, or one that stands in for it."""

    code = text(lazy_gettext("6-digit code"), 16)
    recovery_code = text(lazy_gettext("Recovery code"), 64)


class PresentPasswordForm(Form):
    """The present password: whoever finds an open browser does not know it."""

    password = password(lazy_gettext("Current password"), render_kw=_PRESENT)


class NewPasswordForm(Form):
    """A new password, twice."""

    new_password = password(
        lazy_gettext("New password"), render_kw=_NEW | {"minlength": passwords.SHORTEST}
    )
    again = password(
        lazy_gettext("Repeat the new password"),
        EqualTo("new_password", message=lazy_gettext("The two passwords are not the same.")),
        render_kw=_NEW,
    )


class ChangePasswordForm(NewPasswordForm, PresentPasswordForm):
    """The present password and a new one."""


class LanguageForm(Form):
    """The language of pages; empty for the browser's."""

    language = SelectField(lazy_gettext("Language"), choices=lambda: _languages())


def _languages() -> list[tuple[str, str, dict[str, str]]]:
    own = [(one.code, one.name, {"lang": one.code}) for one in languages().values()]
    return [("", gettext("As the browser"), {}), *own]


class InvitationForm(NewPasswordForm):
    """The name and the password of a new account."""

    username = text(
        lazy_gettext("Name"), _LONGEST_TYPED, render_kw=_NAME | {"maxlength": LONGEST_NAME}
    )
