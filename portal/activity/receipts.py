"""How downloads ended, by the web server's log: see ``docs/receipts.md``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from flask_delegate.receipts import Receipt as LogLine
from portal.core.database import commit_change, db
from portal.core.models import Activity, Receipt


def store(lines: Sequence[LogLine]) -> int:
    """Store how the portal's downloads ended, unless that is stored; return how many were new."""
    mine = set(
        db.session.scalars(
            select(Activity.handoff).where(Activity.handoff.in_({line.id for line in lines}))
        )
    )
    values = [_values(line) for line in lines if line.id in mine]
    if not values:
        return 0
    return commit_change(insert(Receipt).values(values).on_conflict_do_nothing())


def _values(line: LogLine) -> dict[str, Any]:
    start, _, total = line.part or (0, 0, None)
    return {
        "handoff": line.id,
        "outcome": line.outcome,
        "status": line.status,
        "sent": line.sent,
        "start": start,
        "total": total,
        "at": line.time,
    }
