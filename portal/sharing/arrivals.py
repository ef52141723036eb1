"""What arrived by links to upload, and from whom: each visitor sees their own, the owner all of it.

Who sends something is what they say themselves. Nobody has checked it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import Select, delete, exists, func, select

from portal.core.clock import days_ago
from portal.core.database import change, commit_change, db, total
from portal.core.models import Arrival, Entry, FileRequest, Sender, StoredFile, now
from portal.core.models.arrival import LONGEST_PATH
from portal.core.paging import Page, newest_first

from . import links

PAGE = 100
"""Arrivals of a page."""
MOST_WAITING = 1000
"""Visitors of a link who have said who they are, and have sent nothing yet."""
_LONGEST_NOTE = 255
"""Characters of what is recorded of an upload."""


class NameMissingError(Exception):
    """A link asks for the visitor's name, and it was not given yet."""


class TooManyWaitingError(Exception):
    """Too many visitors of a link have said who they are, and have sent nothing yet."""


class Received(NamedTuple):
    """A file that arrived, for the owner of the link.

    :param entry: its public id, if it is still there.
    :param name: its name now, likewise.
    """

    arrival: Arrival
    entry: str | None
    name: str | None

    @property
    def stored_as(self) -> str:
        """Its name, if that is not the one that it was sent with: that was taken, or changed."""
        sent = self.arrival.path.rpartition("/")[2]
        return "" if self.name is None or self.name == sent else self.name


class Sum(NamedTuple):
    """How much arrived."""

    files: int = 0
    size: int = 0


def sender_of(link: FileRequest, visitor: str) -> Sender | None:
    """Return what a visitor said last of themselves for a link, or has sent by it."""
    mine = select(Sender).where(Sender.request_id == link.id, Sender.visitor == visitor)
    return db.session.scalar(mine.order_by(Sender.id.desc()).limit(1))


def is_asked(link: FileRequest) -> bool:
    """Return whether a link asks its visitors who they are, or for a message."""
    return link.asks_name or link.asks_message


def has_answered(link: FileRequest, visitor: str) -> bool:
    """Return whether a visitor has said all that a link needs to know; a message may be empty.

    A visitor who has sent files before the link asked is asked, too.
    """
    if not is_asked(link):
        return True
    sender = sender_of(link, visitor)
    return sender is not None and (bool(sender.name) or not link.asks_name)


def check_name(link: FileRequest, visitor: str) -> None:
    """Raise :exc:`NameMissingError` if a link asks for a name, and the visitor has given none."""
    if link.asks_name and not has_answered(link, visitor):
        raise NameMissingError


def introduce(link: FileRequest, visitor: str, name: str, message: str) -> None:
    """Note what a visitor says of themselves; what has arrived before keeps what they said then.

    :raises TooManyWaitingError: for one of very many who have sent nothing.
    """
    has_sent = exists().where(Arrival.sender_id == Sender.id)
    here = Sender.request_id == link.id
    waiting = select(func.count()).select_from(Sender).where(here, ~has_sent)
    if (db.session.scalar(waiting) or 0) >= MOST_WAITING:
        raise TooManyWaitingError
    change(delete(Sender).where(here, Sender.visitor == visitor, ~has_sent))
    db.session.add(Sender(request_id=link.id, visitor=visitor, name=name, message=message))
    db.session.commit()


def told_of(link: FileRequest, visitor: str) -> str:
    """Return how a visitor came, where the link has no name, and who they say they are."""
    hint, sender = links.hint(link), sender_of(link, visitor)
    if not (sender and sender.name):
        return hint
    said = f"calls themselves {sender.name} (not checked)"
    return f"{hint[: _LONGEST_NOTE - len(said) - 2]}, {said}" if hint else said


def add(link: FileRequest, visitor: str, path: Sequence[str], file: StoredFile) -> None:
    """Add a file to what arrived, in the transaction that brings it.

    :param path: the folders and the name that it was sent with, all of them clean.
    """
    sender = sender_of(link, visitor)
    if sender is None:
        sender = Sender(request_id=link.id, visitor=visitor, name="", message="")
        db.session.add(sender)
        db.session.flush()
    whole = "/".join(path)
    if len(whole) > LONGEST_PATH:
        whole = f"…{whole[1 - LONGEST_PATH :]}"
    values = {"entry": file.public_id, "size": file.size, "sha256": file.sha256}
    db.session.add(Arrival(sender_id=sender.id, path=whole, **values))


def of_visitor(link: FileRequest, visitor: str, before: int | None = None) -> Page[Arrival]:
    """Return a page of what a visitor has sent by a link, the latest first.

    :param before: the id of the arrival that the page before ends with, if any.
    """
    place = None if before is None else (before,)
    found = newest_first(_sent(link, visitor), (Arrival.id,), place, PAGE)
    return found.map(lambda row: row[0]).fitting(lambda arrival: arrival.path)


def has_sent(link: FileRequest, visitor: str) -> bool:
    """Return whether a visitor has sent a file by a link."""
    return bool(db.session.scalar(select(_sent(link, visitor).exists())))


def sum_of_visitor(link: FileRequest, visitor: str) -> Sum:
    """Return how much a visitor has sent by a link."""
    mine = Sender.request_id == link.id, Sender.visitor == visitor
    counted = select(func.count(), total(Arrival.size)).join(Arrival.sender).where(*mine)
    return Sum(*db.session.execute(counted).one())


def of_link(link: FileRequest, before: int | None = None) -> Page[Received]:
    """Return a page of all that arrived by a link, the latest first.

    :param before: the id of the arrival that the page before ends with, if any.
    """
    place = None if before is None else (before,)
    page = newest_first(_received(link), (Arrival.id,), place, PAGE).map(lambda row: Received(*row))
    return page.fitting(
        lambda one: (
            f"{one.arrival.path}{one.stored_as}{one.arrival.sender.name}{one.arrival.sender.message}"
        )
    )


def all_of_link(link: FileRequest) -> Iterator[Arrival]:
    """Yield all that arrived by a link, oldest first, in batches: there may be very many."""
    rows = _received(link).order_by(Arrival.id).limit(1000)
    after = 0
    while found := [row[0] for row in db.session.execute(rows.where(Arrival.id > after)).all()]:
        # Whoever reads them may take hours, and no transaction waits for that.
        db.session.expunge_all()
        db.session.rollback()
        yield from found
        after = found[-1].id


def forget_old() -> int:
    """Delete what is older than the record of activity, and return how many files that were.

    Visitors who said who they are, and sent nothing while their session lasted, are forgotten, too.
    """
    oldest = days_ago(current_app.config["ACTIVITY_DAYS"])
    count = commit_change(delete(Arrival).where(Arrival.at < oldest))
    lifetime: timedelta = current_app.permanent_session_lifetime
    has_sent = exists().where(Arrival.sender_id == Sender.id)
    commit_change(delete(Sender).where(~has_sent, Sender.at < now() - lifetime))
    return count


def _sent(link: FileRequest, visitor: str) -> Select[Arrival]:
    mine = Sender.request_id == link.id, Sender.visitor == visitor
    return select(Arrival).join(Arrival.sender).where(*mine)


def _received(link: FileRequest) -> Select[Arrival, str, str]:
    there = (Entry.public_id == Arrival.entry) & Entry.trash_id.is_(None)
    found = (
        select(Arrival, Entry.public_id, Entry.name).join(Arrival.sender).outerjoin(Entry, there)
    )
    return found.where(Sender.request_id == link.id)
