"""ZIPs in the history of what was in them: a ZIP has one row, for the folder that was selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_

from portal.core.models import Activity


def rows_about(path: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition on the rows that :func:`containing` needs.

    :param path: the public ids of folders and an entry, from the root folder to the entry.
    """
    actions = ("archive", "move", "trash", "restore")
    return and_(Activity.entry.in_(path), Activity.action.in_(actions))


def containing(
    latest: Iterable[Activity], path: Sequence[str], created_at: datetime
) -> Sequence[Activity]:
    """Return the ZIPs that an entry was in, the last first.

    On the way back in time, a move ends what is known of the folders around what was moved; but the
    root folder has held it ever since. What is in the trash is in no ZIP of a folder around it.

    :param latest: rows, the last first; others are left out.
    :param created_at: when the entry was.
    """
    depths = {public_id: depth for depth, public_id in enumerate(path)}
    moved, trashed, found = 0, set[int](), []
    for activity in latest:
        depth = depths.get(activity.entry or "")
        if depth is None or activity.at < created_at:
            continue
        match activity.action:
            case "move":
                moved = max(moved, depth)
            case "restore":
                trashed.add(depth)
            case "trash":
                trashed.discard(depth)
            case "archive":
                is_around = depth == 0 or depth >= moved
                if is_around and depth >= max(trashed, default=0):
                    found.append(activity)
    return found
