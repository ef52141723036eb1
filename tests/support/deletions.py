"""What is deleted without the room that the ballast makes for it on a full disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from portal.storage.ballast import Ballast

_DELETES = re.compile(
    "DELETE FROM (entry|upload|account|sign_in WHERE sign_in.id)"
    "|trash_id IS NULL.*UPDATE entry SET trash_id=",
    re.DOTALL,
)
"""What people delete, cancel, put into the trash or end; nothing else deletes these."""


@contextmanager
def without_room(engine: sa.Engine, monkeypatch: Any) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the deletions in the block that had room, and those that had none."""
    within, deleted, missing = [0], list[str](), list[str]()
    really = Ballast.room_to_delete

    @contextmanager
    def room_to_delete(ballast: Ballast) -> Iterator[None]:
        within[0] += 1
        try:
            with really(ballast):
                yield
        finally:
            within[0] -= 1

    def look(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if _DELETES.search(statement):
            (deleted if within[0] else missing).append(statement)

    monkeypatch.setattr(Ballast, "room_to_delete", room_to_delete)
    sa.event.listen(engine, "before_cursor_execute", look)
    try:
        yield deleted, missing
    finally:
        sa.event.remove(engine, "before_cursor_execute", look)
