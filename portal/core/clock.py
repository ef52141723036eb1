"""What the portal believes of a clock that may be wrong for a while, and right again.

Nothing lasts longer than its time from now on, and nothing is deleted for its age before the portal
has seen that many days.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from .database import AWAY, commit_change, db, upsert
from .models import SeenDay, now

SKEW = timedelta(minutes=2)
"""How far a clock is set back in everyday use. What is later than that is from a wrong clock."""

_MOST_WRONG_DAYS = 2
"""Days that may have been seen by a clock that was ahead; by so many, things may expire early."""


def latest() -> datetime:
    """Return the latest moment that can have been noted by a clock that was right."""
    return now() + SKEW


def within(passed: timedelta) -> tuple[datetime, datetime]:
    """Return between which moments something was noted that is no older than that."""
    return now() - passed, latest()


def believed(moment: datetime) -> datetime:
    """Return a moment as noted, or this one if a wrong clock noted one that is still to come."""
    return min(moment, now())


def correct(column: InstrumentedAttribute[datetime | None]) -> None:
    """Set to now what a wrong clock has noted as later, for its time to run from now on.

    Where the portal has seen many later days, it is the present clock that is wrong.
    """
    later = select(func.count()).where(SeenDay.day > now().date())
    if (db.session.scalar(later) or 0) > _MOST_WRONG_DAYS:
        return
    is_wrong = column > latest()
    if db.session.scalar(select(select(column).where(is_wrong).exists())):
        commit_change(update(column.class_).where(is_wrong).values({column: now()}))


def days_ago(days: int) -> datetime:
    """Return the moment so many days ago, of those that the portal has seen, and note this one.

    It is the first moment of all where the portal has not seen that many.
    """
    today = now().date()
    try:
        commit_change(upsert(SeenDay).values(day=today).on_conflict_do_nothing())
    except AWAY:  # deleting works on a full disk, too
        db.session.rollback()
    seen = select(SeenDay.day).where(SeenDay.day <= today).order_by(SeenDay.day.desc())
    first = db.session.scalar(seen.offset(max(days - 1, 0)).limit(1))
    if first is None:
        return datetime.min.replace(tzinfo=UTC)
    return min(now() - timedelta(days=days), datetime.combine(first, time.min, UTC))
