"""The time zone of whoever asks: their browser says it in a cookie. Days are days there.

Without a script there is no cookie, and days and times are in UTC. Pages say which zone is meant.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import cast
from zoneinfo import ZoneInfo

from flask import Flask, g, has_request_context, request

from portal.core.language import gettext

COOKIE = "zone"
"""Its value is a name of the IANA database: see ``static/page.js``."""

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAME = re.compile("[A-Za-z0-9_+/-]{1,64}")


def init_app(app: Flask) -> None:
    """Let templates name the zone."""
    app.add_template_global(current_zone)


def current_zone() -> tzinfo:
    """Return the time zone of this request, whose name is its ``str``; UTC if it names none."""
    if not has_request_context():
        return UTC
    zone = g.get("zone")
    if zone is None:
        zone = g.zone = _zone(request.cookies.get(COOKIE, ""))
    return cast("tzinfo", zone)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if _NAME.fullmatch(name) else UTC
    except (KeyError, OSError, ValueError):  # no zone, a folder of zones, a path out of it
        return UTC


def read_day(written: str) -> date:
    """Return a day that somebody typed or a browser sent.

    :raises ValueError: with what to enter. Python would read weeks, and days of another calendar.
    """
    try:
        if _DAY.fullmatch(written):
            return date.fromisoformat(written)
    except ValueError:  # there is no such day
        pass
    raise ValueError(gettext("Enter a day as year-month-day, such as 2027-01-31."))


def start_of(day: date) -> datetime:
    """Return the first moment of a day, in UTC; where midnight comes twice, the first one."""
    try:
        return datetime.combine(day, time.min, current_zone()).astimezone(UTC)
    except OverflowError:
        return (datetime.min if day.year == 1 else datetime.max).replace(tzinfo=UTC)


def end_of(day: date) -> datetime:
    """Return the last moment of a day, in UTC."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return start_of(day + timedelta(days=1)) - timedelta(microseconds=1)


def local(moment: datetime) -> datetime:
    """Return a moment in the zone of this request, or in UTC if that is out of all calendars."""
    try:
        return moment.astimezone(current_zone())
    except OverflowError:
        return moment.astimezone(UTC)
