"""Where entries lie: the way to a folder, and how deep folders go."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import aliased

from portal.core.database import db
from portal.core.models import Entry

DEEPEST = 50
"""Folders inside one another: what archives and other systems still take."""


class RefusedError(Exception):
    """Entries cannot lie so; the message says why."""


class IntoItselfError(RefusedError):
    """A folder would lie in itself."""

    def __init__(self) -> None:
        super().__init__("A folder cannot be moved into itself. Choose another place for it.")


class TooDeepError(RefusedError):
    """A folder would lie too deep."""

    def __init__(self) -> None:
        super().__init__(
            f"Folders can lie at most {DEEPEST} deep inside one another."
            " Choose a folder further up."
        )


class Step(NamedTuple):
    """A folder on the way to another."""

    id: int
    public_id: str
    name: str
    is_root: bool


def way_to(folder_id: int) -> Sequence[Step]:
    """Give the folders on the way to one, from the root, itself included."""
    return _ways({folder_id}).get(folder_id, [])


def paths(folder_ids: Collection[int]) -> Mapping[int, str]:
    """Write where folders lie, such as ``Projects / 2026``; the root is an empty word."""
    return {
        folder_id: " / ".join(step.name for step in way if not step.is_root)
        for folder_id, way in _ways(folder_ids).items()
    }


def depth(folder_id: int) -> int:
    """Tell how many folders lie around one; none around the root."""
    return len(way_to(folder_id)) - 1


def height(entry_id: int, trash_id: int | None = None) -> int:
    """Tell how many folders lie inside one another, from this one on: at least 1.

    :param trash_id: of what is in the trash, for what was put there with it.
    """
    here = Entry.trash_id.is_(None) if trash_id is None else Entry.trash_id == trash_id
    levels = select(Entry.id, sa.literal(1).label("level")).where(Entry.id == entry_id)
    levels_cte = levels.cte("levels", recursive=True)
    below = select(Entry.id, levels_cte.c.level + 1).where(
        Entry.parent_id == levels_cte.c.id, here, Entry.is_file.is_(False)
    )
    levels_cte = levels_cte.union_all(below)
    return db.session.scalar(select(sa.func.max(levels_cte.c.level))) or 1


def check_depth(wanted: int) -> None:
    """Refuse a folder that would lie too deep.

    :raises TooDeepError: if so.
    """
    if wanted > DEEPEST:
        raise TooDeepError


def _ways(folder_ids: Collection[int]) -> Mapping[int, Sequence[Step]]:
    up = (
        select(
            Entry.id.label("start"),
            Entry.id,
            Entry.public_id,
            Entry.name,
            Entry.parent_id,
            sa.literal(0).label("distance"),
        )
        .where(Entry.id.in_(folder_ids))
        .cte("up", recursive=True)
    )
    parent = aliased(Entry)
    up = up.union_all(
        select(
            up.c.start,
            parent.id,
            parent.public_id,
            parent.name,
            parent.parent_id,
            up.c.distance + 1,
        ).where(parent.id == up.c.parent_id)
    )
    ways: dict[int, list[Step]] = {}
    rows = select(up.c.start, up.c.id, up.c.public_id, up.c.name, up.c.parent_id.is_(None))
    for start, *step in db.session.execute(rows.order_by(up.c.distance.desc())):
        ways.setdefault(start, []).append(Step(*step))
    return ways
