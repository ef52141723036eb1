"""The tree of folders: what lies around an entry, and what lies in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import aliased

from portal.core.database import db
from portal.core.language import gettext
from portal.core.models import Entry

DEEPEST = 50
"""Folders inside one another: what archives and other systems still take."""
_LONGEST = 240
"""Characters of a location that lists show."""
_ENDLESS = 2 * DEEPEST
"""What only a damaged database has: folders that lie in one another."""


class RefusedError(Exception):
    """Entries cannot lie so; the message says why."""


class TooDeepError(RefusedError):
    """A folder would lie too deep."""


class Step(NamedTuple):
    """An entry on the path from the root folder to another."""

    id: int
    public_id: str
    name: str
    is_root: bool

    @classmethod
    def of(cls, entry: Entry) -> Step:
        """Return the step to an entry."""
        return cls(entry.id, entry.public_id, entry.name, entry.parent_id is None)


def _upwards() -> sa.Select[Any]:
    """Return the query for the path to each of some ``ids``: the start of it, and its steps."""
    columns = Entry.id, Entry.public_id, Entry.name, Entry.parent_id
    start = select(Entry.id.label("start"), *columns, sa.literal(0).label("distance"))
    here = Entry.id.in_(sa.bindparam("ids", expanding=True))
    up = start.where(here).cte("up", recursive=True)
    parent = aliased(Entry)
    up = up.union_all(
        select(up.c.start, parent.id, parent.public_id, parent.name, parent.parent_id)
        .add_columns(up.c.distance + 1)
        .where(parent.id == up.c.parent_id, up.c.distance < _ENDLESS)
    )
    rows = select(up.c.start, up.c.id, up.c.public_id, up.c.name, up.c.parent_id.is_(None))
    return rows.order_by(up.c.distance.desc())


# Built once: to build it takes ten times as long as to run it.
_UPWARDS = _upwards()


def paths(entry_ids: Collection[int]) -> Mapping[int, Sequence[Step]]:
    """Return the path to each of some entries: from the root folder, the entry included."""
    found: dict[int, list[Step]] = {}
    for start_id, *step in db.session.execute(_UPWARDS, {"ids": list(entry_ids)}):
        found.setdefault(start_id, []).append(Step(*step))
    return found


def around(start: sa.ColumnElement[bool]) -> sa.CTE:
    """Return a query for the ``id`` of an entry, and of each folder around it.

    :param start: the condition that finds the entry.
    """
    first = select(Entry.id, Entry.parent_id, sa.literal(0).label("distance")).where(start)
    up = first.cte("around", recursive=True)
    parent = aliased(Entry)
    return up.union_all(
        select(parent.id, parent.parent_id, up.c.distance + 1).where(
            parent.id == up.c.parent_id, up.c.distance < _ENDLESS
        )
    )


def _with_folders() -> sa.Select[Any]:
    """Return the query for the entry that has a ``public_id``, after the folders around it."""
    up = around(Entry.public_id == sa.bindparam("public_id"))
    return select(Entry).join(up, up.c.id == Entry.id).order_by(up.c.distance.desc())


_WITH_FOLDERS = _with_folders()


def find_with_path(public_id: str) -> tuple[Entry | None, Sequence[Step]]:
    """Find an entry together with the path to it, as :func:`paths` returns it."""
    *folders, entry = db.session.scalars(_WITH_FOLDERS, {"public_id": public_id}).all() or [None]
    return entry, [Step.of(one) for one in (*folders, entry) if one]


def path_to(entry_id: int) -> Sequence[Step]:
    """Return the path to one entry: see :func:`paths`."""
    return paths([entry_id]).get(entry_id, [])


def descendants(
    start_ids: Collection[int] | sa.Select[int], *conditions: sa.ColumnElement[bool]
) -> sa.CTE:
    """Return a query for entries and all that lies in them, by ``id`` and ``depth``.

    :param start_ids: of the entries, which have the depth 0. An entry that lies in another one of
        them comes once for each.
    :param conditions: on what lies in them; nothing is looked for below an entry that fails them.
    """
    start = select(Entry.id, sa.literal(0).label("depth")).where(Entry.id.in_(start_ids))
    below = start.cte("below", recursive=True)
    return below.union_all(
        select(Entry.id, below.c.depth + 1).where(
            Entry.parent_id == below.c.id, below.c.depth < _ENDLESS, *conditions
        )
    )


class Place(NamedTuple):
    """Where a folder lies, such as ``Projects / 2026``, and what it is called in URLs."""

    location: str
    public_id: str


def places(folder_ids: Collection[int]) -> Mapping[int, Place]:
    """Return where folders lie, as :func:`locations`, by their ids."""
    return {
        folder_id: Place(_location(path), path[-1].public_id)
        for folder_id, path in paths(set(folder_ids)).items()
    }


def locations(folder_ids: Collection[int]) -> Mapping[int, str]:
    """Return where folders lie, such as ``Projects / 2026``, by their ids.

    The root folder is an empty string. What is very long is shortened in the middle.
    """
    return {folder_id: place.location for folder_id, place in places(folder_ids).items()}


def _location(path: Sequence[Step]) -> str:
    return _shortened(" / ".join(step.name for step in path if not step.is_root))


def _shortened(path: str) -> str:
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST // 2]} … {path[-_LONGEST // 2 :]}"


def depth(folder_id: int) -> int:
    """Return how many folders lie around one; none around the root."""
    return len(path_to(folder_id)) - 1


def height(folder_id: int, trash_id: int | None = None) -> int:
    """Return how many folders lie inside one another, from this one on: at least 1.

    :param trash_id: of what is in the trash, for what was put there with it.
    """
    here = Entry.trash_id.is_(None) if trash_id is None else Entry.trash_id == trash_id
    below = descendants([folder_id], here, Entry.is_file.is_(False))
    return (db.session.scalar(select(sa.func.max(below.c.depth))) or 0) + 1


def check_depth(wanted: int) -> None:
    """Raise :exc:`TooDeepError` for a folder that would lie too deep."""
    if wanted > DEEPEST:
        raise TooDeepError(
            gettext(
                "Folders can be nested at most %(deepest)s deep. Select a folder further up.",
                deepest=DEEPEST,
            )
        )
