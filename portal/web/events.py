"""What somebody did: recorded, logged, and said on the next page, by one call."""

from __future__ import annotations

from portal.activity.record import Action, Recorded, record, record_all

from .flashes import tell


def done(
    action: Action,
    *things: Recorded,
    say: str | None = None,
    detail: str = "",
    owner_id: int | None = None,
    actor: str | None = None,
    undo: str | None = None,
) -> None:
    """Record and log what was done, and say it on the next page.

    :param things: to which files or folders; none: to the account with ``owner_id``.
    :param say: the message; none: the page shows it anyway.
    :param detail: what else to record, in few words.
    :param actor: who, where it is not who is signed in.
    :param undo: as for :func:`.flashes.tell`.
    """
    if things:
        record_all(action, things, detail=detail, actor=actor)
    else:
        record(action, owner_id=owner_id, detail=detail, actor=actor)
    if say:
        tell(say, undo=undo)
