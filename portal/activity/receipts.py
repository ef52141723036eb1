"""How downloads ended, by the web server's log: see ``docs/extension/receipts.md``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from flask_delegate.receipts import Receipt as LogLine
from flask_delegate.rotation import Position
from portal.core.database import db, is_sqlite, upsert
from portal.core.models import Activity, LogPosition, Receipt

from .record import bring_in

_TABLE = Receipt.metadata.tables[Receipt.__tablename__]


def position_in(log: Path) -> Position:
    """Return how far a log was read; it is empty for one that was not."""
    found = db.session.get(LogPosition, _name_of(log))
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
    stored = _insert(values) if values else 0
    if log:
        db.session.merge(LogPosition(log=_name_of(log), position=position))
    db.session.commit()
    return stored


def _insert(values: Sequence[dict[str, Any]]) -> int:
    connection, insert = db.session.connection(), upsert(_TABLE).on_conflict_do_nothing()
    if is_sqlite():
        # Row by row: a statement with all rows would be compiled anew each time.
        return connection.execute(insert, values).rowcount
    return len(connection.execute(insert.returning(_TABLE.c.handoff), values).all())


def _name_of(log: Path) -> str:
    """Return what a log is known by: of several hosts, each has its own at that path."""
    path = str(log.absolute())
    return path if is_sqlite() else f"{platform.node()}:{path}"


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
