"""The record of what was done: one's own, and for administrators everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import get_args

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from portal.activity import report
from portal.activity.record import Action
from portal.identity.current_user import current_account, login_required
from portal.web.admin.accounts import for_administrators

activity = Blueprint("activity", __name__)

_FIELDS = ("action", "name", "actor", "since", "until")


@activity.get("/activity")
@login_required
def index() -> ResponseReturnValue:
    """Show what was done with my things."""
    return _page(_filter(current_account().id), "activity.index", "activity.download_csv")


@activity.get("/activity.csv")
@login_required
def download_csv() -> ResponseReturnValue:
    """Give what was done with my things as a table."""
    return _csv(_filter(current_account().id))


@activity.get("/accounts/activity")
@for_administrators
def of_all() -> ResponseReturnValue:
    """Show what was done by anybody."""
    return _page(_filter(None), "activity.of_all", "activity.all_csv")


@activity.get("/accounts/activity.csv")
@for_administrators
def all_csv() -> ResponseReturnValue:
    """Give what was done by anybody as a table."""
    return _csv(_filter(None))


def _filter(owner_id: int | None) -> report.Filter:
    return report.Filter(
        owner_id=owner_id,
        actor=request.args.get("actor", "").strip(),
        action=request.args.get("action", ""),
        name=request.args.get("name", "").strip(),
        since=_day("since"),
        until=_day("until", timedelta(days=1)),
    )


def _day(field: str, later: timedelta = timedelta()) -> datetime | None:
    """Read a day; what is none does not matter."""
    try:
        day = date.fromisoformat(request.args.get(field, ""))
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + later
    except (ValueError, OverflowError):
        return None


def _row_id(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError("no number of a row")
    return number


def _page(wanted: report.Filter, here: str, csv: str) -> str:
    before = request.args.get("before", type=_row_id)
    lines = report.page(wanted, before)
    given = {key: request.args[key] for key in _FIELDS if request.args.get(key)}
    return render_template(
        "activity.html",
        lines=lines,
        given=given,
        actions=get_args(Action),
        here=here,
        csv=url_for(csv, **given),  # type: ignore[arg-type]
        next_page=_next(lines, here, given),
        is_all=wanted.owner_id is None,
    )


def _next(lines: Sequence[report.Line], here: str, given: dict[str, str]) -> str | None:
    if len(lines) < report.PAGE:
        return None
    return url_for(here, **given, before=lines[-1].activity.id)  # type: ignore[arg-type]


def _csv(wanted: report.Filter) -> Response:
    response = Response(stream_with_context(report.as_csv(wanted)), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="activity.csv"'
    return response
