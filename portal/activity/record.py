"""The record of activity: rows are only added, and outlive their accounts and files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from flask import Flask, current_app, has_request_context, request
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.exc import ObjectDeletedError

from flask_delegate import Handoff, file_delegated
from flask_delegate.delivery import Delivery
from portal.core.clock import days_ago
from portal.core.database import (
    AWAY,
    begin_writing,
    change,
    commit_change,
    commit_soon,
    db,
    upsert,
)
from portal.core.models import Activity, Entry, LogPosition, Receipt, Via, now
from portal.core.references import reference, shows_names
from portal.core.text import counted, search_key
from portal.identity.current_user import signed_in_account
from portal.identity.throttle import client_address
from portal.storage.base import ContentLostError

from .spool import Spool, Waiting

Action = Literal[
    "upload",
    "replace",
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
    "restore version",
    "delete version",
    "share",
    "change share",
    "revoke share",
    "request files",
    "change request",
    "revoke request",
    "sign in",
    "sign-in failed",
    "wrong password",
    "accept terms",
    "sign out",
    "change account",
]
"""``resume`` is the rest of a download, ``view`` a file shown in the browser."""

_DELIVERIES = frozenset({"download", "resume", "view"})
_DOWNLOADS = _DELIVERIES | {"archive"}
_FAILED = frozenset({"sign-in failed", "wrong password"})
# Those are in the web server's log, failed attempts in their own lines for fail2ban.
_UNLOGGED = _DELIVERIES | _FAILED
_EXTENSION = "portal.activity"
_BROUGHT_IN = 32 * 1024
"""Bytes of the downloads that wait in the file, about 100, after which one brings them in."""
_UNREADABLE = (ValueError, LookupError, TypeError, OverflowError, RecursionError, SQLAlchemyError)
"""What a line raises that is no row."""

# %r escapes control characters, which would begin new lines.
_LINE = "%(action)s: %(name).100r %(detail).100r, %(size)sby %(actor).100r from %(address)s"

logger = logging.getLogger(__name__)
_INSERT = insert(Activity.metadata.tables[Activity.__tablename__])


class NotRecordedError(Exception):
    """A download cannot be recorded, so it must not begin."""


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
    """A hand-off that is recorded, with its id, once the file is on its way: see :func:`record`.

    Where the file's size is not that of ``thing``, nothing is sent: :exc:`ContentLostError`.
    """

    thing: Thing
    action: Literal["download", "view"]
    detail: str = ""
    actor: str | None = None
    linked: str | None = None
    via: Via | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is recorded of a change beside the action and its things: as for :func:`record`."""

    detail: str = ""
    actor: str | None = None
    linked: str | None = None
    via: Via | None = None
    address: str | None = None


NOTHING_MORE = Note()


def init_app(app: Flask, path: Path) -> None:
    """Record each file that the extension delivers, in ``path`` while the database is locked."""
    spool = app.extensions[_EXTENSION] = Spool(path)
    spool.reserve()
    file_delegated.connect(_record_delivery, app)


def record(
    action: Action,
    *entries: Recorded,
    owner_id: int | None = None,
    detail: str = "",
    actor: str | None = None,
    handoff: str | None = None,
    linked: str | None = None,
    via: Via | None = None,
    address: str | None = None,
) -> None:
    """Record and log what was done, in one row for each file or folder; without any, in one row.

    Where the database cannot be written, the rows wait in a file of a fixed size. Once that is
    full, too, they are only logged, for a full disk must not prevent deleting; but downloads end.

    :param owner_id: the account that it concerns, if there are no entries.
    :param detail: more, in a few words.
    :param actor: who did it. None: who is signed in.
    :param handoff: the id of a download's hand-off.
    :param linked: the public id of what a visitor's link leads to.
    :param via: the link that it was done by, or with.
    :param address: where from. None: where this request is from; empty: the portal did it unasked.
    :raises NotRecordedError: for a download that cannot be recorded.
    """
    note = Note(detail=detail, actor=actor, linked=linked, via=via, address=address)
    rows = _rows(action, entries, note, owner_id, handoff)
    _log(rows, _sizes(entries))
    _insert(rows)


def record_each(action: Action, details: Sequence[str]) -> None:
    """Record and log something that was done several times, each with more in a few words.

    It concerns no file, and no account; for the rest, it is as :func:`record`.
    """
    rows = [row for detail in details for row in _rows(action, (), Note(detail=detail))]
    if rows:
        _log(rows, [0] * len(rows))
        _insert(rows)


def commit_recorded(action: Action, *entries: Recorded, note: Note = NOTHING_MORE) -> None:
    """Commit what the session's transaction has changed together with its rows in the record.

    Whoever is killed has done both or neither, and who asks again hears of neither.

    :param entries: one or more, as for :func:`record`; those that are new get their ids here.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written.
    """
    commit_all_recorded([(action, entries)], note=note)


def commit_all_recorded(
    done: Iterable[tuple[Action, Sequence[Recorded]]], note: Note = NOTHING_MORE
) -> None:
    """Do as :func:`commit_recorded` does, with several actions and the things of each."""
    db.session.flush()
    rows, sizes = [], []
    for action, entries in done:
        rows += _rows(action, entries, note) if entries else []
        sizes += _sizes(entries) if entries else []
    connection = db.session.connection()
    with _after_what_waits(connection):
        connection.execute(_INSERT, rows)
        db.session.commit()
    _log(rows, sizes)


def _rows(
    action: Action,
    entries: Sequence[Recorded],
    note: Note,
    owner_id: int | None = None,
    handoff: str | None = None,
) -> list[dict[str, Any]]:
    here = client_address() if has_request_context() else "command line"
    actor = _signed_in_name() if note.actor is None else note.actor
    row: dict[str, Any] = {
        "at": now(),
        "action": action,
        "actor": actor,
        "actor_key": search_key(actor),
        "address": here if note.address is None else note.address,
        "owner_id": owner_id,
        "entry": None,
        "name": "",
        "name_key": "",
        "detail": note.detail[:255],
        "handoff": handoff,
        "linked_entry": note.linked,
        "link": note.via and note.via.link,
        "link_name": note.via.name if note.via else "",
    }
    if not entries:
        return [row]
    return [
        row
        | {"owner_id": entry.owner_id, "entry": entry.public_id}
        | {"name": entry.name, "name_key": search_key(entry.name)}
        for entry in entries
    ]


def _sizes(entries: Sequence[Recorded]) -> list[int]:
    return [entry.size for entry in entries] or [0]


def _log(rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> None:
    # A command says itself what it does.
    if has_request_context() and rows[0]["action"] not in _UNLOGGED:
        for size, row in zip(sizes, rows, strict=True):
            logger.info(_LINE, _as_logged(row, size))


def forget_old() -> int:
    """Delete rows older than ``PORTAL_ACTIVITY_DAYS``, and return how many."""
    bring_in(wait=True)
    oldest = days_ago(current_app.config["ACTIVITY_DAYS"])
    change(delete(Receipt).where(Receipt.at < oldest))
    return commit_change(delete(Activity).where(Activity.at < oldest))


def _as_logged(row: dict[str, Any], size: int) -> dict[str, Any]:
    logged = {**row, "size": f"{counted(size, 'byte')}, " if size else ""}
    if row["entry"] and not shows_names():
        logged |= {"name": reference(row["entry"]), "detail": ""}
    return logged


def bring_in(*, wait: bool, patience: int = 0) -> None:
    """Bring what waits in the file into the database: once each, whoever is killed meanwhile.

    :param wait: for another one's write, up to a few seconds; else it is left for later.
    :param patience: milliseconds to wait nevertheless, such as for another one who brings it in.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written, and we waited.
    """
    if not _spool().length():
        return
    try:
        with db.engine.connect() as connection:
            if not wait:
                commit_soon(connection, patience)
            with _after_what_waits(connection):
                connection.commit()
    except AWAY:
        if wait:
            raise


@contextmanager
def _after_what_waits(connection: Connection) -> Iterator[None]:
    """Bring in what waits first, in the transaction that the block commits."""
    if not _spool().length():
        yield
        return
    begin_writing(connection)  # first, so that nobody else brings in the same
    with _spool().take() as waiting:
        _bring_in(connection, waiting)
        yield


def _bring_in(connection: Connection, waiting: Waiting) -> None:
    place = f"spool {waiting.name}"
    found = connection.scalar(select(LogPosition.position).where(LogPosition.log == place))
    lines = waiting.after(found["end"] if found else 0)
    try:
        with connection.begin_nested():
            _insert_lines(connection, lines)
    except AWAY:
        raise
    except _UNREADABLE:
        for line in lines:
            try:
                with connection.begin_nested():
                    _insert_lines(connection, [line])
            except AWAY:
                raise
            except _UNREADABLE:
                # A power cut took what was appended last, or another version appended it.
                logger.exception("not recorded: a line of %d bytes", len(line))
    position = upsert(LogPosition).values(log=place, position={"end": waiting.end})
    connection.execute(
        position.on_conflict_do_update(
            index_elements=["log"], set_={"position": position.excluded.position}
        )
    )


def _insert_lines(connection: Connection, lines: Sequence[bytes]) -> None:
    rows = [json.loads(line) for line in lines]
    rows = [row | {"at": datetime.fromisoformat(row["at"])} for row in rows]
    if rows:
        connection.execute(_INSERT, rows)


def _insert(rows: list[dict[str, Any]]) -> None:
    action = rows[0]["action"]
    # Downloads wait for others: a transaction for each took a fifth of its time.
    if action in _DELIVERIES and (grown := _spool().append(_encoded(rows))):
        before, waiting = grown
        # Not each of them, while somebody brings them in, or the database is locked.
        if waiting // _BROUGHT_IN > before // _BROUGHT_IN:
            bring_in(wait=False)
        return
    try:
        if action in _DOWNLOADS | _FAILED:
            commit_soon()
        connection = db.session.connection()
        with _after_what_waits(connection):
            # Not by the ORM, which is slower.
            connection.execute(_INSERT, rows)
            db.session.commit()
    except AWAY as error:
        db.session.rollback()
        if not _spool().append(_encoded(rows)):
            logger.exception("not recorded: %s", [row["action"] for row in rows])
            if action in _DOWNLOADS:
                raise NotRecordedError from error


def _encoded(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return a line of ASCII for each row."""
    return b"".join(json.dumps(row, default=str).encode() + b"\n" for row in rows)


def _spool() -> Spool:
    return cast("Spool", current_app.extensions[_EXTENSION])


def _record_delivery(_app: Flask, delivery: Delivery, **_more: object) -> None:
    handoff = delivery.handoff
    if not isinstance(handoff, RecordedHandoff):
        return
    if delivery.file.size != handoff.thing.size:
        raise ContentLostError(handoff.thing.public_id)
    if request.method != "GET":
        return
    action: Action = handoff.action
    if not _starts_at_first_byte():
        # A player requests hundreds of ranges, a download manager the rest of a file.
        if action == "view":
            return
        action = "resume"
    record(
        action,
        handoff.thing,
        detail=handoff.detail,
        actor=handoff.actor,
        handoff=delivery.id,
        linked=handoff.linked,
        via=handoff.via,
    )


def _starts_at_first_byte() -> bool:
    wanted = request.range
    return wanted is None or not wanted.ranges or wanted.ranges[0][0] == 0


def _signed_in_name() -> str:
    account = signed_in_account() if has_request_context() else None
    try:
        return account.name if account else ""
    except ObjectDeletedError:  # meanwhile, by an administrator
        return ""
