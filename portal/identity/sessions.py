"""Sessions: in the database, so that each can be listed, and ended whatever its cookie says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import contains_eager

from portal.core.database import db
from portal.core.models import Account, SignIn, hash_token, now

_NOTED_EVERY = timedelta(minutes=5)
"""How much later than the last noted use the next one is: most requests only read."""


class OutdatedProofError(Exception):
    """The account was changed since somebody proved to be its owner."""


class Proof(NamedTuple):
    """What of an account somebody has proven to know, as it was then.

    :param totp_secret: the second factor's; none where it is off.
    """

    account_id: int
    name: str
    password_hash: str
    totp_secret: str | None

    @classmethod
    def of(cls, account: Account) -> Self:
        """Take down what has to be known now."""
        secret = account.totp_secret if account.has_second_factor else None
        return cls(account.id, account.name, account.password_hash, secret)


def start(proof: Proof, user_agent: str, address: str) -> tuple[SignIn, str]:
    """Begin a session, and give it with the key that its cookie holds.

    :raises OutdatedProofError: if the account has another password or second factor by now, or
        nobody may sign in to it.
    """
    db.session.execute(delete(SignIn).where(SignIn.created_at < _oldest()))
    _hold(proof)
    key = secrets.token_urlsafe(32)
    sign_in = SignIn(
        key_hash=hash_token(key),
        account_id=proof.account_id,
        user_agent=user_agent[:255],
        address=address[:64],
    )
    db.session.add(sign_in)
    db.session.commit()
    return sign_in, key


# Made once: every request asks this.
_LASTING = (
    select(SignIn)
    .join(Account)
    .options(contains_eager(SignIn.account))
    .where(
        SignIn.key_hash == bindparam("key_hash"),
        SignIn.created_at >= bindparam("oldest"),
        Account.is_active,
    )
)


def find(key: str) -> SignIn | None:
    """Find the session that a cookie means, if it lasts still and its account is active."""
    wanted = {"key_hash": hash_token(key), "oldest": _oldest()}
    sign_in = db.session.scalar(_LASTING, wanted)
    if sign_in and now() - sign_in.used_at > _NOTED_EVERY:
        _note_use(sign_in.id)
        return db.session.scalar(_LASTING, wanted)  # it may have ended meanwhile
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


def end(sign_in_id: int) -> None:
    """End one session, if it did not end already."""
    db.session.execute(delete(SignIn).where(SignIn.id == sign_in_id))
    db.session.commit()


def end_all(account: Account) -> None:
    """End every session of an account."""
    db.session.execute(delete(SignIn).where(SignIn.account_id == account.id))
    db.session.commit()


def _oldest() -> datetime:
    return now() - current_app.permanent_session_lifetime


def _hold(proof: Proof) -> None:
    """Make sure, to the end of the present transaction, that what was proven is so still."""
    if proof.totp_secret is None:
        second_factor = sa.or_(Account.totp_secret.is_(None), Account.totp_step.is_(None))
    else:
        second_factor = sa.and_(
            Account.totp_secret == proof.totp_secret, Account.totp_step.is_not(None)
        )
    held = (
        update(Account)
        .where(
            Account.id == proof.account_id,
            Account.password_hash == proof.password_hash,
            Account.is_active,
            second_factor,
        )
        .values(password_hash=proof.password_hash)
        .execution_options(synchronize_session=False)
    )
    if db.session.scalar(held.returning(Account.id)) is None:
        db.session.rollback()
        raise OutdatedProofError


def _note_use(sign_in_id: int) -> None:
    try:
        db.session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(used_at=now()))
        db.session.commit()
    except OperationalError:
        db.session.rollback()  # a full disk is no reason to refuse who only reads
