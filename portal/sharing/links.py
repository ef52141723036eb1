"""Links of both kinds: created, found, listed, changed, revoked.

Tokens are signed, so that forged ones are refused without a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack

from flask import current_app
from itsdangerous import BadSignature, Signer
from sqlalchemy import ColumnElement, Select, select

from portal.core.database import db
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
    change(link, **terms)
    return link, token


def change(link: Share | FileRequest, **terms: Unpack[Terms]) -> None:
    """Change the given terms; the link itself stays the same.

    A new password locks the share again for everybody who had unlocked it.
    """
    for name, value in terms.items():
        if name == "password":
            name, value = "password_hash", value and passwords.hash_password(str(value))
        setattr(link, name, value)
    db.session.commit()


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


def revoke(link: Share | FileRequest) -> None:
    """Revoke a link permanently."""
    if link.revoked_at is None:
        link.revoked_at = now()
        db.session.commit()


def _newest_first(kind: type[L], condition: ColumnElement[bool]) -> Select[L]:
    return select(kind).where(condition).order_by(kind.id.desc())


def _signer(kind: type[L]) -> Signer:
    # A token of one kind does not open the other.
    return Signer(current_app.secret_key or "", salt=f"portal.{kind.__tablename__}")
