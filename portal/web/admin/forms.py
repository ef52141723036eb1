"""The forms of administrators."""

from __future__ import annotations

from wtforms import BooleanField, IntegerField, StringField  # type: ignore[import-untyped]
from wtforms.validators import AnyOf, NumberRange, Optional  # type: ignore[import-untyped]

from portal.accounts.invitations import INVITATION_DAYS
from portal.core.models import Account, Role
from portal.core.text import LONGEST_NOTE, fold
from portal.web.forms import Form, OptionalField, text

_GIB = 1024**3
_LARGEST_QUOTA = 1024**2
"""In GiB."""
_LONGEST_QUOTA = 32
"""Characters."""
_LONGEST_VALIDITY = 90
"""Days that an invitation created here may last."""


def _read_gibibytes(typed: str, _before: int | None) -> int:
    try:
        size = float(typed) if len(typed) <= _LONGEST_QUOTA else -1
    except ValueError:
        size = -1
    if not 0 <= size <= _LARGEST_QUOTA:  # which refuses 'nan', too
        raise ValueError("Enter a number of GiB, such as 5 or 0.5.")
    return int(size * _GIB)


class QuotaForm(Form):
    """How much an account may keep."""

    quota = OptionalField("Quota (GiB)", _read_gibibytes, lambda size: f"{size / _GIB:g}")


class RoleForm(Form):
    """What an account is for."""

    role = StringField("Role", validators=[AnyOf([role.value for role in Role])])


class DeleteForm(Form):
    """The name of an account to delete, typed to confirm."""

    name = text("Type the account's name to confirm", 255)

    def confirms(self, account: Account) -> bool:
        """Return whether the form was sent with the name of that account."""
        if not self.validate_on_submit():
            return False
        if fold(self.name.data) == account.name_key:
            return True
        self.name.errors = ["This is not the account's name."]
        return False


class InvitationForm(QuotaForm):
    """Who may create an account, and which."""

    note = text("Who is it for?", LONGEST_NOTE)
    days = IntegerField(
        "Link expires after (days)",
        default=INVITATION_DAYS,
        validators=[
            Optional(),
            NumberRange(1, _LONGEST_VALIDITY, f"Use 1 to {_LONGEST_VALIDITY} days."),
        ],
    )
    administrator = BooleanField("Administrator, who manages all accounts")
