"""What the database says of itself, in rows of a name and a value."""

from __future__ import annotations

import sqlalchemy as sa

from .database import commit_change, db, upsert
from .models.fact import Fact


def are_kept() -> bool:
    """Return whether the database has a place for them, which an empty one has not."""
    return sa.inspect(db.engine).has_table(Fact.__tablename__)


def noted(name: str) -> str | None:
    """Return what is noted by a name, if anything is."""
    return db.session.scalars(sa.select(Fact.value).where(Fact.name == name)).one_or_none()


def note(name: str, mine: str, earlier: list[str]) -> str:
    """Return what is noted by now: the first that was, or what replaces one of the earlier."""
    row = upsert(Fact).values(name=name, value=mine)
    replaced = row.on_conflict_do_update(
        index_elements=["name"], set_={"value": mine}, where=Fact.value.in_(earlier)
    )
    db.session.execute(replaced)
    found = noted(name) or mine
    db.session.commit()
    return found


def forget(name: str, value: str) -> None:
    """Delete what is noted by a name, if it is that."""
    commit_change(sa.delete(Fact).where(Fact.name == name, Fact.value == value))
