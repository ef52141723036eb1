"""The record: rows are only added, and outlive the account and the file that they tell of."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

from flask import Flask, current_app, g, has_request_context, request
from sqlalchemy import delete, insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError

from flask_delegate import file_delegated
from flask_delegate.handoff import Delivery
from portal.core.database import db
from portal.core.models import Activity, Entry, Receipt, now
from portal.identity.current_user import signed_in_account
from portal.identity.throttle import client_address

Action = Literal[
    "upload",
    "download",
    "resume",
    "view",
    "archive",
    "create folder",
    "rename",
    "move",
    "trash",
    "restore",
    "delete",
    "share",
    "change share",
    "revoke share",
    "request files",
    "change request",
    "revoke request",
    "sign in",
    "sign-in failed",
    "wrong password",
    "sign out",
    "change account",
]
"""``resume`` is the rest of a download, ``view`` a file shown in the browser."""

# The web server's log has downloads; the line of a failed attempt is fail2ban's.
_UNLOGGED = frozenset({"download", "resume", "view", "sign-in failed", "wrong password"})

logger = logging.getLogger(__name__)
_INSERT = insert(Activity.metadata.tables[Activity.__tablename__])


class Recorded(Protocol):
    """What is kept of a file or folder: an entry has it, and so has a :class:`Thing`."""

    @property
    def owner_id(self) -> int:
        """Whose it is."""

    @property
    def public_id(self) -> str:
        """What it is called in URLs."""

    @property
    def name(self) -> str:
        """What it is called now."""


class Thing(NamedTuple):
    """A file or folder that may be gone when it is recorded."""

    owner_id: int
    public_id: str
    name: str

    @classmethod
    def of(cls, entry: Entry) -> Thing:
        """Take down what is kept of an entry."""
        return cls(entry.owner_id, entry.public_id, entry.name)


def init_app(app: Flask) -> None:
    """Record each file that the extension delivers."""
    file_delegated.connect(_record_delivery, app)


def record(
    action: Action,
    entry: Recorded | None = None,
    *,
    owner_id: int | None = None,
    detail: str = "",
    actor: str | None = None,
    handoff: str | None = None,
    by_itself: bool = False,
) -> None:
    """Record what whoever made this request did, and log it.

    A full disk must not keep anybody from deleting, so what cannot be recorded is only logged.

    :param entry: to which file or folder.
    :param owner_id: whose thing it was, where there is no entry.
    :param detail: what else there is to say, in few words.
    :param actor: who, where it is not who is signed in.
    :param handoff: the id of a download's hand-off.
    :param by_itself: whether the portal did it, and nobody asked for it.
    """
    row = _row(action, entry, actor, owner_id=owner_id, detail=detail, handoff=handoff)
    if by_itself:
        row |= {"actor": "", "address": ""}
    _keep([row])


def record_all(
    action: Action, things: Sequence[Recorded], *, detail: str = "", actor: str | None = None
) -> None:
    """Record that the same was done to several files or folders: see :func:`record`."""
    _keep([_row(action, thing, actor, detail=detail) for thing in things])


def delivering(entry: Entry, action: Literal["download", "view"], detail: str = "") -> None:
    """Have the file that this request is about to deliver recorded, with its hand-off's id."""
    g.delivering = (entry, action, detail)


def forget_old() -> int:
    """Delete what is older than ``PORTAL_ACTIVITY_DAYS``, and tell how many rows."""
    oldest = now() - timedelta(days=current_app.config["ACTIVITY_DAYS"])
    forgotten = db.session.scalars(
        delete(Activity).where(Activity.at < oldest).returning(Activity.id)
    ).all()
    db.session.execute(delete(Receipt).where(Receipt.at < oldest))
    db.session.commit()
    return len(forgotten)


def _row(
    action: Action,
    entry: Recorded | None,
    actor: str | None,
    *,
    owner_id: int | None = None,
    detail: str = "",
    handoff: str | None = None,
) -> dict[str, Any]:
    return {
        "action": action,
        "actor": _actor() if actor is None else actor,
        "address": client_address() if has_request_context() else "command line",
        "owner_id": entry.owner_id if entry else owner_id,
        "entry": entry.public_id if entry else None,
        "name": entry.name if entry else "",
        "detail": detail[:255],
        "handoff": handoff,
    }


def _keep(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    for row in rows:
        if row["action"] not in _UNLOGGED:
            # %r keeps control characters from making lines of their own; .100 keeps it short.
            logger.info(
                "%(action)s: %(name).100r %(detail).100r, by %(actor).100r from %(address)s", row
            )
    try:
        # Not as objects, nor by the session: each download comes by here, and they take longer.
        db.session.connection().execute(_INSERT, list(rows))
        db.session.commit()
    except OperationalError:
        db.session.rollback()
        logger.exception("not recorded: %s", [row["action"] for row in rows])


def _record_delivery(_app: Flask, delivery: Delivery, **_more: object) -> None:
    found = g.pop("delivering", None)
    if found is None or request.method != "GET":
        return
    entry, action, detail = found
    if not _from_the_beginning():
        # A player asks for hundreds of parts; a download manager for the rest.
        if action == "view":
            return
        action = "resume"
    record(action, entry, detail=detail, handoff=delivery.id)


def _from_the_beginning() -> bool:
    wanted = request.range
    return wanted is None or not wanted.ranges or wanted.ranges[0][0] == 0


def _actor() -> str:
    account = signed_in_account() if has_request_context() else None
    try:
        return account.name if account else ""
    except ObjectDeletedError:  # just now, by an administrator
        return ""
