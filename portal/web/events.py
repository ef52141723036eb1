"""Events: recorded, logged, and said on the next page, by one call."""

from __future__ import annotations

from portal.activity.record import Action, Recorded, record

from .flashes import tell


def done(
    action: Action,
    *things: Recorded,
    owner_id: int | None = None,
    detail: str = "",
    actor: str | None = None,
    say: str | None = None,
    undo: str | None = None,
) -> None:
    """Record and log what was done, and say it on the next page.

    :param things: as for :func:`portal.activity.record.record`, like the next three.
    :param say: the message; None: the page shows the result anyway.
    :param undo: as for :func:`.flashes.tell`.
    """
    record(action, *things, owner_id=owner_id, detail=detail, actor=actor)
    if say:
        tell(say, undo=undo)
