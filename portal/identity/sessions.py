"""Sessions, kept in the database: each can be listed, and ended whatever its cookie says."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import Select, bindparam, delete, select, update

from portal.core.clock import within
from portal.core.database import AWAY, change, commit_change, commit_soon, db
from portal.core.models import Account, SignIn, hash_token, now
from portal.core.text import one_line

NOTED_EVERY = timedelta(minutes=5)
"""The least time between two noted uses: most requests only read."""


class OutdatedProofError(Exception):
    """The account has changed since somebody proved to be its owner."""


class Proof(NamedTuple):
    """What somebody has proven to know of an account; no secret if the second factor is off."""

    account_id: int
    name: str
    password_hash: str
    totp_secret: str | None

    @classmethod
    def of(cls, account: Account) -> Self:
        """Return what has to be known of an account now."""
        secret = account.totp_secret if account.has_second_factor else None
        return cls(account.id, account.name, account.password_hash, secret)


def start(proof: Proof, user_agent: str, address: str) -> str:
    """Create a session, and return the key for its cookie.

    :raises OutdatedProofError: if the account has another password or second factor by now, or
        is deactivated.
    """
    _lock(proof)  # first, as whoever ends sessions of an account has that locked
    change(delete(SignIn).where(sa.not_(_is_current())))
    key = secrets.token_urlsafe(32)
    db.session.add(
        SignIn(
            key_hash=hash_token(key),
            account_id=proof.account_id,
            user_agent=one_line(user_agent)[:255],
            address=address[:64],
        )
    )
    db.session.commit()
    return key


class Session(NamedTuple):
    """A session that has not ended: its id, its last use that was noted, and its account."""

    id: int
    used_at: datetime
    account: Account


def valid(*columns: Any) -> Select[Any]:
    """Return the statement for columns of a session that has not ended, and of its account.

    Its parameters are those that :func:`of_key` returns. Build it once: every request runs one.
    """
    return (
        select(*columns)
        .join_from(SignIn, Account)
        .where(
            SignIn.key_hash == bindparam("key_hash"),
            SignIn.created_at.between(bindparam("oldest"), bindparam("latest")),
            Account.is_active,
        )
    )


def of_key(key: str) -> dict[str, Any]:
    """Return the parameters by which :func:`valid` finds the session of a cookie."""
    oldest, latest = within(current_app.permanent_session_lifetime)
    return {"key_hash": hash_token(key), "oldest": oldest, "latest": latest}


# Columns and one object: another object, of the session, would cost a third more.
_VALID = valid(SignIn.id, SignIn.used_at, Account)


def find(key: str) -> Session | None:
    """Find the session of a cookie, if it has not expired and its account is active."""
    found = _find(key)
    if found and now() - found.used_at > NOTED_EVERY:
        _note_use(found.id)
        return _find(key)  # it may have ended since
    return found


def list_sessions(account: Account) -> Sequence[SignIn]:
    """Return an account's sessions, the last used first."""
    mine = select(SignIn).where(SignIn.account_id == account.id, _is_current())
    return db.session.scalars(mine.order_by(SignIn.used_at.desc(), SignIn.id.desc())).all()


def delete_ended() -> int:
    """Delete the sessions that have expired, and return how many.

    A session that a wrong clock began later than now would work again one day.
    """
    return commit_change(delete(SignIn).where(sa.not_(_is_current())))


def end(sign_in_id: int) -> None:
    """End one session."""
    commit_change(delete(SignIn).where(SignIn.id == sign_in_id))


def end_all(account: Account) -> None:
    """End every session of an account."""
    commit_change(delete(SignIn).where(SignIn.account_id == account.id))


def _find(key: str) -> Session | None:
    row = db.session.execute(_VALID, of_key(key)).one_or_none()
    return Session(*row) if row else None


def _is_current() -> sa.ColumnElement[bool]:
    return SignIn.created_at.between(*within(current_app.permanent_session_lifetime))


def _lock(proof: Proof) -> None:
    """Check what was proven, and keep it from changing until this transaction ends."""
    secret = sa.case((Account.totp_step.is_not(None), Account.totp_secret))
    unchanged = update(Account).where(
        Account.id == proof.account_id,
        Account.password_hash == proof.password_hash,
        Account.is_active,
        secret.is_not_distinct_from(proof.totp_secret),
    )
    if not change(unchanged.values(password_hash=proof.password_hash)):
        db.session.rollback()
        raise OutdatedProofError


def _note_use(sign_in_id: int) -> None:
    try:
        commit_soon()
        commit_change(update(SignIn).where(SignIn.id == sign_in_id).values(used_at=now()))
    except AWAY:
        db.session.rollback()  # a full disk is no reason to refuse who only reads
