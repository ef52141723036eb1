"""Accounts: made, found, signed in to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from . import passwords
from .database import db
from .models import Account, new_token

LONGEST_NAME = 64


class AccountError(Exception):
    """Something about an account cannot be done; the message says why."""


def name_key(name: str) -> str:
    """Map names that look alike by case or compatible characters to one key."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def find(name: str) -> Account | None:
    """Find the account of that name."""
    return db.session.scalar(select(Account).where(Account.name_key == name_key(name)))


def find_by_session(session_key: str) -> Account | None:
    """Find the account that a session refers to."""
    return db.session.scalar(select(Account).where(Account.session_key == session_key))


def all_accounts() -> Sequence[Account]:
    """Give every account, by name."""
    return db.session.scalars(select(Account).order_by(Account.name_key)).all()


def create(name: str, password: str) -> Account:
    """Make an account.

    :raises AccountError: for a name that is taken or unusable, or a password of unusable length.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise AccountError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    account = Account(name=name, name_key=name_key(name), password_hash=_hash(password))
    db.session.add(account)
    try:
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise AccountError(f"There is an account {name!r} already, or one like it.") from error
    return account


def set_password(account: Account, password: str) -> None:
    """Change an account's password and end its sessions.

    :raises AccountError: for a password of unusable length.
    """
    account.password_hash = _hash(password)
    end_sessions(account)


def end_sessions(account: Account) -> None:
    """Sign the account out everywhere: a copied cookie must not outlive that."""
    account.session_key = new_token()
    db.session.commit()


def authenticate(name: str, password: str) -> Account | None:
    """Give the account if the password is its own, and hash it anew where that is due."""
    account = find(name)
    if not passwords.verify(account.password_hash if account else None, password):
        return None
    if account and passwords.needs_rehash(account.password_hash):
        account.password_hash = _hash(password)
        db.session.commit()
    return account


def _hash(password: str) -> str:
    try:
        return passwords.hash_password(password)
    except ValueError as error:
        raise AccountError(str(error)) from error
