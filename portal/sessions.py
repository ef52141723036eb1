"""Sessions: in the database, so that each can be listed, and ended whatever its cookie says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from .database import db
from .models import Account, SignIn, hash_token, now

_NOTED_EVERY = timedelta(minutes=5)
"""How much later than the last noted use the next one is: most requests only read."""


def start(account: Account, user_agent: str, address: str) -> tuple[SignIn, str]:
    """Begin a session, and give it with the key that its cookie holds."""
    db.session.execute(delete(SignIn).where(SignIn.created_at < _oldest()))
    key = secrets.token_urlsafe(32)
    sign_in = SignIn(
        key_hash=hash_token(key),
        account_id=account.id,
        user_agent=user_agent[:255],
        address=address[:64],
    )
    db.session.add(sign_in)
    db.session.commit()
    return sign_in, key


def find(key: str) -> SignIn | None:
    """Find the session that a cookie means, if it lasts still and its account is active."""
    sign_in = db.session.scalar(
        select(SignIn)
        .join(Account)
        .where(
            SignIn.key_hash == hash_token(key),
            SignIn.created_at >= _oldest(),
            Account.is_active,
        )
    )
    if sign_in and now() - sign_in.used_at > _NOTED_EVERY:
        _note_use(sign_in)
    return sign_in


def of(account: Account) -> Sequence[SignIn]:
    """Give an account's sessions, the last used first."""
    mine = select(SignIn).where(SignIn.account_id == account.id, SignIn.created_at >= _oldest())
    return db.session.scalars(mine.order_by(SignIn.used_at.desc(), SignIn.id.desc())).all()


def find_of(account: Account, public_id: str) -> SignIn | None:
    """Find one of an account's sessions by the name that it has in URLs."""
    return db.session.scalar(
        select(SignIn).where(SignIn.account_id == account.id, SignIn.public_id == public_id)
    )


def end(sign_in: SignIn) -> None:
    """End one session."""
    db.session.delete(sign_in)
    db.session.commit()


def end_all(account: Account) -> None:
    """End every session of an account."""
    db.session.execute(delete(SignIn).where(SignIn.account_id == account.id))
    db.session.commit()


def _oldest() -> datetime:
    return now() - current_app.permanent_session_lifetime


def _note_use(sign_in: SignIn) -> None:
    sign_in.used_at = now()
    try:
        db.session.commit()
    except OperationalError:
        db.session.rollback()  # a full disk is no reason to refuse who only reads
