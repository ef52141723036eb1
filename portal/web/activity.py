"""The record of activity: a person's own, and for administrators everybody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Select
from wtforms import SelectChoice, SelectField, ValidationError  # type: ignore[import-untyped]
from wtforms.validators import Optional  # type: ignore[import-untyped]

from portal.activity import report, words
from portal.core import references
from portal.core.language import gettext, lazy_gettext
from portal.core.models import Activity, Receipt
from portal.identity.current_user import current_account, login_required
from portal.sharing.status import status_of
from portal.web.admin import for_administrators

from .forms import DayField, Query, focus_first_error, name_in_url, page_before, text
from .loaders import mine_of_any_kind_or_404
from .marks import end_or_beginning
from .zone import current_zone, end_of, start_of

activity = Blueprint("activity", __name__)


def _choices(labels: Mapping[Any, str]) -> list[SelectChoice]:
    """Return the choices of a filter: none, and each of some with its label."""
    return [SelectChoice("", ""), *(SelectChoice(*one) for one in labels.items())]


class FilterQuery(Query):
    """Which rows to show."""

    action = SelectField(lazy_gettext("Action"), choices=_choices(words.ACTIONS), default="")
    name = text(lazy_gettext("File or folder"), 255)
    by = SelectField(lazy_gettext("By"), choices=_choices(words.BY), default="")
    actor = text(lazy_gettext("Account"), 64)
    since = DayField(lazy_gettext("From"), [Optional()])
    until = DayField(lazy_gettext("To"), [Optional()])
    link = name_in_url(lazy_gettext("Link"))
    before = page_before()

    def validate_until(self, field: Any) -> None:
        """Refuse days of which there are none."""
        if self.since.data and field.data and self.since.data > field.data:
            raise ValidationError(
                gettext("The first day is after the last one. Enter a later one here.")
            )

    @property
    def given(self) -> dict[str, Any]:
        """The filters, without the page, as arguments of an address."""
        return {name: value for name, value in self.data.items() if value and name != "before"}

    @property
    def filters(self) -> dict[str, Any]:
        """Those of them that the page asks for."""
        return {name: value for name, value in self.given.items() if name != "link"}

    @property
    def is_refused(self) -> bool:
        """Whether a filter cannot be read."""
        return bool(self.errors.keys() - {"before"})

    def rows(self, owner_id: int | None, has_names: bool) -> Select[Activity, Receipt]:
        """Return an account's rows that match, or everybody's."""
        given = self.given
        for field, moment_of in (("since", start_of), ("until", end_of)):
            if field in given:
                given[field] = moment_of(given[field])
        if self.is_refused:
            owner_id = 0  # nobody: what cannot be must not show everything
        return report.matching(owner_id=owner_id, **given, has_names=has_names)


@activity.get("/activity", endpoint="index")
@activity.get("/activity.csv", endpoint="index_csv")
@login_required
def mine() -> ResponseReturnValue:
    """Show my activity, and that of others with my files; or send it as CSV."""
    return _answer(current_account().id, has_names=True)


@activity.get("/accounts/activity", endpoint="everybody")
@activity.get("/accounts/activity.csv", endpoint="everybody_csv")
@for_administrators
def everybody() -> ResponseReturnValue:
    """Show everybody's activity, or send it as CSV."""
    return _answer(None, has_names=references.shows_names())


def _answer(owner_id: int | None, has_names: bool) -> ResponseReturnValue:
    form, here = FilterQuery(), request.endpoint or ""
    link = mine_of_any_kind_or_404(form.link.data) if form.link.data else None
    wanted = form.rows(owner_id, has_names)
    if here.endswith("_csv") and not form.is_refused:
        rows = stream_with_context(report.as_csv(wanted, current_zone(), has_names=has_names))
        headers = {"Content-Disposition": 'attachment; filename="activity.csv"'}
        return Response(rows, mimetype="text/csv", headers=headers)
    here = here.removesuffix("_csv")
    focus_first_error(form)
    shown = report.page(wanted, form.before.data or None, has_names=has_names)
    before = shown.rows[-1].activity.id if shown.has_next else None
    page = render_template(
        "activity.html",
        form=form,
        link=link,
        status_of=status_of,
        lines=shown.rows,
        changed=end_or_beginning(shown.is_end),
        here=here,
        csv=url_for(f"{here}_csv", **form.given),
        next_page=url_for(here, **form.given, before=before) if before else None,
        is_everybody=owner_id is None,
        has_names=has_names,
    )
    return page, 422 if form.is_refused else 200
