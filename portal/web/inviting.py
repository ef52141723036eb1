"""Inviting several people at once: from a list of names to a link for each."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import TextAreaField, ValidationError  # type: ignore[import-untyped]

from portal.accounts import invitations, invited_names
from portal.accounts.accounts import NotAdministratorError
from portal.activity.record import record_each
from portal.activity.report import csv_row
from portal.core.language import gettext, lazy_gettext
from portal.core.models import Role
from portal.identity.current_user import current_account
from portal.web import shown_once
from portal.web.admin import InvitationForm, for_administrators
from portal.web.forms import form_page

inviting = Blueprint("inviting", __name__)
_MOST_SHOWN = 5
"""Problems that are named at once."""


class SeveralForm(InvitationForm):
    """Who may create accounts, and which."""

    note = None
    names = TextAreaField(
        lazy_gettext("Names, one a line"),
        filters=[lambda value: value or ""],
        render_kw={"rows": 8, "required": True, "autofocus": True, "spellcheck": "false"},
    )

    def validate_names(self, field: TextAreaField) -> None:
        """Check each name, and say all that is wrong."""
        if found := invited_names.problems(invited_names.read(field.data)):
            more = len(found) - _MOST_SHOWN
            rest = [gettext("%(number)s more.", number=more)] if more > 0 else []
            raise ValidationError("\n".join([*found[:_MOST_SHOWN], *rest]))


@inviting.route("/invitations/several", methods=["GET", "POST"])
@for_administrators
def invite() -> ResponseReturnValue:
    """Ask for names; create an invitation for each, and go on to the page that shows the links."""
    form = SeveralForm()
    if not form.validate_on_submit():
        return form_page("admin/invite_several.html", form, most=invited_names.MOST)
    names = [one.name for one in invited_names.read(form.names.data)]
    role = Role.ADMINISTRATOR if form.administrator.data else Role.MEMBER
    days = form.days.data or invitations.INVITATION_DAYS
    try:
        seed = invitations.create_invitations(names, role, form.quota.data, days, current_account())
    except NotAdministratorError:
        abort(403)
    record_each("change account", [f"an invitation for {name}" for name in names])
    return shown_once.show(url_for("inviting.show"), [seed, len(names)])


@inviting.get("/invitations/several/created")
@for_administrators
def show() -> ResponseReturnValue:
    """Show the links of new invitations, once."""
    seed, number = shown_once.take(gettext("Invitation links"), url_for("inviting.invite"))
    found = invitations.invited(seed, number) or abort(404)
    invited = [
        (link.proposed_name, invitations.link_url("invitation", token)) for link, token in found
    ]
    return render_template(
        "admin/invited.html",
        invited=invited,
        lines="\n".join("\t".join(one) for one in invited),
        csv="".join(csv_row(*row) for row in [("name", "link"), *invited]),
        expires_at=found[0][0].expires_at,
    )
