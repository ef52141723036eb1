"""Accounts: made, found, signed in to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from . import entries, names, passwords, sessions
from .database import db
from .models import Account, Folder, OneTimeLink, RecoveryCode, Role, SignIn
from .uploads import remove_content

LONGEST_NAME = 64


class AccountError(Exception):
    """Something about an account cannot be done; the message says why."""


def find(name: str) -> Account | None:
    """Find the account of that name."""
    return db.session.scalar(select(Account).where(Account.name_key == names.fold(name)))


def all_accounts() -> Sequence[Account]:
    """Give every account, by name."""
    return db.session.scalars(select(Account).order_by(Account.name_key)).all()


def create(name: str, password: str, role: Role = Role.MEMBER, quota: int | None = None) -> Account:
    """Make an account, with the folder that holds all that it will have.

    :param quota: bytes that it may have; none for what ``PORTAL_QUOTA`` says.
    :raises AccountError: for a name that is taken or unusable, or a password of unusable length.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise AccountError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    account = Account(
        name=name,
        name_key=names.fold(name),
        skeleton=names.skeleton(name),
        password_hash=_hash(password),
        role=role,
        quota=quota,
    )
    db.session.add(account)
    try:
        db.session.flush()
        db.session.add(Folder(owner_id=account.id, name="", name_key=""))
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
    sessions.end_all(account)


def delete(account: Account) -> None:
    """Delete an account and all that it has, for good."""
    keys = entries.forget_all(account.id)
    for model in (SignIn, OneTimeLink, RecoveryCode):
        db.session.execute(sa.delete(model).where(model.account_id == account.id))
    db.session.delete(account)
    db.session.commit()
    for key in keys:
        remove_content(key)


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
