"""Links of both kinds: created, found, listed, changed, revoked.

Tokens are signed, so that forged ones are refused without a query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack

from flask import current_app
from itsdangerous import BadSignature, Signer
from sqlalchemy import ColumnElement, Select, select, update

from portal.core import database
from portal.core.database import commit_change, db
from portal.core.models import (
    Account,
    Entry,
    FileRequest,
    Share,
    Via,
    hash_token,
    new_token,
    now,
)
from portal.core.paging import Page, newest_first
from portal.identity import passwords

from .visitor import Visited

PAGE = 100
"""Links of a page."""
L = TypeVar("L", bound=Share | FileRequest)
_TARGETS: dict[type, str] = {Share: "entry_id", FileRequest: "folder_id"}


class Terms(TypedDict, total=False):
    """The terms of a link. All but the first three belong to one kind."""

    name: str  # its owner sees it
    note: str  # visitors see it
    expires_at: datetime | None  # None: never
    download_limit: int | None  # of a share; None: unlimited
    password: str | None  # of a share; None: visitors need no password
    file_limit: int | None  # of a file request; None: unlimited
    size_limit: int | None  # of a file request, in bytes; None: only the owner's quota limits it
    asks_name: bool  # of a file request
    asks_message: bool  # of a file request


def create(kind: type[L], entry: Entry, **terms: Unpack[Terms]) -> tuple[L, str]:
    """Create a link to a file or folder of its owner's, and return it with its token.

    The token is not stored: nobody can read it again.
    """
    token = _signer(kind).sign(new_token()).decode()
    link = kind(token_hash=hash_token(token), owner_id=entry.owner_id)
    setattr(link, _TARGETS[kind], entry.id)
    db.session.add(link)
    _set(link, _stored(terms))
    db.session.commit()
    return link, token


def change(link: L, **terms: Unpack[Terms]) -> bool:
    """Change the given terms, and return whether any of them was another; the link stays the same.

    A new password locks the share again for everybody who had unlocked it.
    """
    password, known = terms.get("password"), _lock_of(link)
    # Before the link is locked, for a hash takes a while.
    if password and passwords.verify(known, password):
        del terms["password"]
    values, kind = _stored(terms), type(link)
    # A write that changes nothing takes the lock: nobody else changes the link meanwhile.
    database.change(update(kind).where(kind.id == link.id).values(name=kind.name))
    db.session.expire(link)
    if password and _lock_of(link) != known and passwords.verify(_lock_of(link), password):
        values.pop("password_hash", None)
    has_changed = _set(link, values)
    db.session.commit()
    return has_changed


def _lock_of(link: Share | FileRequest) -> str | None:
    return link.password_hash if isinstance(link, Share) else None


def _stored(terms: Terms) -> dict[str, object]:
    """Return the values of a link's columns for some terms."""
    values = dict(terms)
    if "password" in values:
        password = values.pop("password")
        values["password_hash"] = password and passwords.hash_password(str(password))
    return values


def _set(link: Share | FileRequest, values: Mapping[str, object]) -> bool:
    """Set what is another value, and return whether anything was."""
    other = {name: value for name, value in values.items() if getattr(link, name) != value}
    for name, value in other.items():
        setattr(link, name, value)
    return bool(other)


def find(kind: type[L], token: str) -> L | None:
    """Return the link that a token opens."""
    try:
        _signer(kind).unsign(token)
    except BadSignature:
        return None
    return db.session.scalar(select(kind).where(kind.token_hash == hash_token(token)))


def proof(link: Share | FileRequest) -> str:
    """Return what proves that somebody has a link's token, and does not tell the token."""
    key = current_app.secret_key or ""
    return Signer(key, salt="portal.proof").get_signature(link.token_hash).decode()


def target(link: Share | FileRequest) -> Entry:
    """Return what a link leads to."""
    return link.entry if isinstance(link, Share) else link.folder


def via(link: Share | FileRequest | Visited) -> Via:
    """Return what the record keeps of a link, when it is revoked or has another name, too."""
    return Via(link.public_id, link.name)


def hint(link: Share | FileRequest | Visited) -> str:
    """Return how a visitor came, for the record of what is done by a link that has no name."""
    if link.name:
        return ""
    return f"via '{link.note}'" if link.note else "via a link"


def of_owner(kind: type[L], account: Account, before: int | None = None) -> Page[L]:
    """Return a page of an account's links of one kind, newest first: those before an id, if any."""
    mine = select(kind).where(kind.owner_id == account.id)
    place = None if before is None else (before,)
    links = newest_first(mine, (kind.id,), place, PAGE).map(lambda row: row[0])
    return links.fitting(lambda link: f"{link.name}{link.note}{target(link).name}")


def shares_of(entry: Entry) -> Sequence[Share]:
    """Return the shares of one file or folder, newest first."""
    return db.session.scalars(_newest_first(Share, Share.entry_id == entry.id)).all()


def requests_into(entry: Entry) -> Sequence[FileRequest]:
    """Return the file requests of one folder, newest first; a file has none."""
    if entry.is_file:
        return []
    return db.session.scalars(_newest_first(FileRequest, FileRequest.folder_id == entry.id)).all()


def latest(kind: type[L], entry: Entry, most: int) -> Sequence[L]:
    """Return an entry's latest links of one kind that are not revoked, newest first."""
    leads_to: ColumnElement[bool] = getattr(kind, _TARGETS[kind]) == entry.id
    mine = leads_to & kind.revoked_at.is_(None)
    return db.session.scalars(_newest_first(kind, mine).limit(most)).all()


def revoke(link: L) -> bool:
    """Revoke a link permanently, and return whether it was not revoked before."""
    kind = type(link)
    mine = update(kind).where(kind.id == link.id, kind.revoked_at.is_(None))
    return commit_change(mine.values(revoked_at=now())) > 0


def _newest_first(kind: type[L], condition: ColumnElement[bool]) -> Select[L]:
    return select(kind).where(condition).order_by(kind.id.desc())


def _signer(kind: type[L]) -> Signer:
    # A token of one kind does not open the other.
    return Signer(current_app.secret_key or "", salt=f"portal.{kind.__tablename__}")
