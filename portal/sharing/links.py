"""What shares and file requests have in common: tokens, a list, and an end.

Tokens are signed, so that made-up ones are refused without a look into the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from flask import current_app
from itsdangerous import BadSignature, Signer
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Account, FileRequest, Share, hash_token, new_token, now

L = TypeVar("L", Share, FileRequest)


def make_token(kind: type[L]) -> str:
    """Make a token for a link of a kind."""
    return _signer(kind).sign(new_token()).decode()


def find(kind: type[L], token: str) -> L | None:
    """Find the link that a token is for."""
    try:
        _signer(kind).unsign(token)
    except BadSignature:
        return None
    return db.session.scalar(select(kind).where(kind.token_hash == hash_token(token)))


def of_owner(kind: type[L], account: Account) -> Sequence[L]:
    """Give an account's links of a kind, the latest first."""
    mine = select(kind).where(kind.owner_id == account.id)
    return db.session.scalars(mine.order_by(kind.id.desc())).all()


def revoke(link: Share | FileRequest) -> None:
    """End a link for good."""
    if link.revoked_at is None:
        link.revoked_at = now()
        db.session.commit()


def _signer(kind: type[L]) -> Signer:
    # A token of one kind is none of the other.
    return Signer(current_app.secret_key or "", salt=f"portal.{kind.__tablename__}")
