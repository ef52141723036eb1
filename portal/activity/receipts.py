"""How downloads ended, by the web server's log: see ``docs/extension/receipts.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from flask_delegate.receipts import Receipt as LogLine
from flask_delegate.rotation import Position
from portal.core.database import db
from portal.core.models import Activity, LogPosition, Receipt

from .record import bring_in

# Of the table, row by row: a statement with all rows would be compiled anew each time.
_INSERT = insert(Receipt.metadata.tables[Receipt.__tablename__]).on_conflict_do_nothing()


def position_in(log: Path) -> Position:
    """Return how far a log was read; it is empty for one that was not."""
    found = db.session.get(LogPosition, str(log.absolute()))
    return found.position if found else {}


def store(
    lines: Sequence[LogLine], log: Path | None = None, position: Position | None = None
) -> int:
    """Store how the portal's downloads ended, unless that is stored; return how many were new.

    :param log: where the lines come from, of which the position is stored with them.
    """
    # A download is recorded before its line is in the log, but maybe not in the database yet.
    bring_in(wait=True)
    mine = set(
        db.session.scalars(
            select(Activity.handoff).where(Activity.handoff.in_({line.id for line in lines}))
        )
    )
    values = [_values(line) for line in lines if line.id in mine]
    stored = db.session.connection().execute(_INSERT, values).rowcount if values else 0
    if log:
        db.session.merge(LogPosition(log=str(log.absolute()), position=position))
    db.session.commit()
    return stored


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
