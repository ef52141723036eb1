"""How downloads ended, taken from the web server's log: see ``docs/receipts.md``."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.dialects.sqlite import insert

from flask_delegate.receipts import Receipt as LogLine

from ..database import db
from ..models import Activity, Receipt


def store(line: LogLine) -> bool:
    """Note how a download of the portal's ended; a log may be read any number of times.

    :returns: whether it was news.
    """
    if not db.session.scalar(select(exists().where(Activity.handoff == line.id))):
        return False
    start, _, total = line.part or (0, 0, None)
    values = {
        "handoff": line.id,
        "outcome": line.outcome,
        "status": line.status,
        "sent": line.sent,
        "start": start,
        "total": total,
        "at": line.time,
    }
    added = db.session.scalar(
        insert(Receipt).values(values).on_conflict_do_nothing().returning(Receipt.handoff)
    )
    db.session.commit()
    return added is not None
