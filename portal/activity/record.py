"""The record of activity: rows are only added, and outlive their accounts and files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flask import Flask, current_app, has_request_context, request
from sqlalchemy import delete, insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError

from flask_delegate import Handoff, file_delegated
from flask_delegate.delivery import Delivery
from portal.core.clock import days_ago
from portal.core.database import change, commit_change, commit_soon, db
from portal.core.models import Activity, Entry, Receipt
from portal.core.references import reference, shows_names
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

_DELIVERIES = frozenset({"download", "resume", "view"})
# Those are in the web server's log, failed attempts in their own lines for fail2ban.
_UNLOGGED = _DELIVERIES | {"sign-in failed", "wrong password"}

# %r escapes control characters, which would begin new lines.
_LINE = "%(action)s: %(name).100r %(detail).100r, %(size)sby %(actor).100r from %(address)s"

logger = logging.getLogger(__name__)
_INSERT = insert(Activity.metadata.tables[Activity.__tablename__])


class Thing(NamedTuple):
    """What is recorded about a file or folder that may be deleted by then; its size is logged."""

    owner_id: int
    public_id: str
    name: str
    size: int

    @classmethod
    def of(cls, entry: Entry) -> Thing:
        """Return what is recorded about an entry."""
        return cls(entry.owner_id, entry.public_id, entry.name, entry.size)


Recorded = Entry | Thing


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedHandoff(Handoff):
    """A hand-off that is recorded, with its id, once the file is on its way: see :func:`record`."""

    entry: Entry
    action: Literal["download", "view"]
    detail: str = ""
    linked: str | None = None


def init_app(app: Flask) -> None:
    """Record each file that the extension delivers."""
    file_delegated.connect(_record_delivery, app)


def record(
    action: Action,
    *entries: Recorded,
    owner_id: int | None = None,
    detail: str = "",
    actor: str | None = None,
    handoff: str | None = None,
    linked: str | None = None,
    by_itself: bool = False,
) -> None:
    """Record and log what was done, in one row for each file or folder; without any, in one row.

    If the database cannot be written, it is only logged: a full disk must not prevent deleting.

    :param owner_id: the account that it concerns, if there are no entries.
    :param detail: more, in a few words.
    :param actor: who did it. None: who is signed in.
    :param handoff: the id of a download's hand-off.
    :param linked: the public id of what a visitor's link leads to.
    :param by_itself: whether the portal did it, unasked.
    """
    row: dict[str, Any] = {
        "action": action,
        "actor": _signed_in_name() if actor is None else actor,
        "address": client_address() if has_request_context() else "command line",
        "owner_id": owner_id,
        "entry": None,
        "name": "",
        "detail": detail[:255],
        "handoff": handoff,
        "linked_entry": linked,
    }
    if by_itself:
        row |= {"actor": "", "address": ""}
    rows = [
        row | {"owner_id": entry.owner_id, "entry": entry.public_id, "name": entry.name}
        for entry in entries
    ] or [row]
    # A command says itself what it does.
    if has_request_context() and action not in _UNLOGGED:
        sizes = [entry.size for entry in entries] or [0]
        for size, row in zip(sizes, rows, strict=True):
            logger.info(_LINE, _as_logged(row, size))
    _insert(rows)


def forget_old() -> int:
    """Delete rows older than ``PORTAL_ACTIVITY_DAYS``, and return how many."""
    oldest = days_ago(current_app.config["ACTIVITY_DAYS"])
    change(delete(Receipt).where(Receipt.at < oldest))
    return commit_change(delete(Activity).where(Activity.at < oldest))


def _as_logged(row: dict[str, Any], size: int) -> dict[str, Any]:
    logged = {**row, "size": f"{size} bytes, " if size else ""}
    if row["entry"] and not shows_names():
        logged |= {"name": reference(row["entry"]), "detail": ""}
    return logged


def _insert(rows: list[dict[str, Any]]) -> None:
    try:
        if rows[0]["action"] in _DELIVERIES:
            commit_soon()
        # Not by the ORM, which is slower: each download passes here.
        db.session.connection().execute(_INSERT, rows)
        db.session.commit()
    except OperationalError:
        db.session.rollback()
        logger.exception("not recorded: %s", [row["action"] for row in rows])


def _record_delivery(_app: Flask, delivery: Delivery, **_more: object) -> None:
    handoff = delivery.handoff
    if not isinstance(handoff, RecordedHandoff) or request.method != "GET":
        return
    action: Action = handoff.action
    if not _starts_at_first_byte():
        # A player requests hundreds of ranges, a download manager the rest of a file.
        if action == "view":
            return
        action = "resume"
    detail, linked = handoff.detail, handoff.linked
    record(action, handoff.entry, detail=detail, handoff=delivery.id, linked=linked)


def _starts_at_first_byte() -> bool:
    wanted = request.range
    return wanted is None or not wanted.ranges or wanted.ranges[0][0] == 0


def _signed_in_name() -> str:
    account = signed_in_account() if has_request_context() else None
    try:
        return account.name if account else ""
    except ObjectDeletedError:  # meanwhile, by an administrator
        return ""
