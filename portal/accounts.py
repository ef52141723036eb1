"""Accounts: made, found, signed in to, managed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from . import entries, names, passwords, sessions
from .database import db
from .models import Account, Folder, OneTimeLink, RecoveryCode, Role, SignIn, StoredFile
from .uploads import remove_content

LONGEST_NAME = 64


class AccountError(Exception):
    """Something about an account cannot be done; the message says why."""


class UnusableNameError(AccountError):
    """An account cannot have that name."""


class LastAdministratorError(AccountError):
    """Nobody would be left to manage the accounts."""

    def __init__(self) -> None:
        super().__init__(
            "This is the only active administrator. Make another one first, so that somebody can"
            " manage the accounts."
        )


def find(name: str) -> Account | None:
    """Find the account of that name."""
    return db.session.scalar(select(Account).where(Account.name_key == names.fold(name)))


def with_last_use() -> Sequence[tuple[Account, datetime | None]]:
    """Give every account, by name, with the last use of a session that it still has."""
    last_use = (
        select(SignIn.account_id, func.max(SignIn.used_at).label("used_at"))
        .group_by(SignIn.account_id)
        .subquery()
    )
    query = (
        select(Account, last_use.c.used_at)
        .outerjoin(last_use, last_use.c.account_id == Account.id)
        .order_by(Account.name_key)
    )
    return [(account, used_at) for account, used_at in db.session.execute(query)]


def count_files(account: Account) -> tuple[int, int]:
    """Tell how many files an account has, those in the trash, too, and their bytes."""
    mine = StoredFile.owner_id == account.id
    return db.session.scalar(select(func.count()).where(mine)) or 0, account.used


def create(name: str, password: str, role: Role = Role.MEMBER, quota: int | None = None) -> Account:
    """Make an account.

    :param quota: bytes that it may have; none for what ``PORTAL_QUOTA`` says.
    :raises AccountError: for a name that is taken or unusable, or a password that is not good.
    """
    account = prepare(name, password)
    account.role, account.quota = role, quota
    add(account)
    return account


def prepare(name: str, password: str) -> Account:
    """Check the name and the password of a new account, and hash it: what takes time.

    :raises AccountError: for a name that is unusable, or a password that is not good.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UnusableNameError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    return Account(
        name=name,
        name_key=names.fold(name),
        skeleton=names.skeleton(name),
        password_hash=hash_new(password, name),
    )


def add(account: Account) -> None:
    """Put a new account into the database, with the folder that holds all that it will have.

    What else this transaction did is undone if that fails.

    :raises AccountError: for a name that is taken.
    """
    db.session.add(account)
    try:
        db.session.flush()
        db.session.add(Folder(owner_id=account.id, name="", name_key=""))
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise UnusableNameError(
            f"There is an account {account.name!r} already, or one like it."
        ) from error


def set_password(account: Account, password: str) -> None:
    """Change an account's password, end its sessions, and void links that would change it.

    :raises AccountError: for a password that is not good.
    """
    replace_hash(account, hash_new(password, account.name))


def replace_hash(account: Account, password_hash: str) -> None:
    """Let another password be the account's, with all that goes with it."""
    account.password_hash = password_hash
    db.session.execute(sa.delete(OneTimeLink).where(OneTimeLink.account_id == account.id))
    sessions.end_all(account)


def hash_new(password: str, name: str) -> str:
    """Check a new password for the account of that name, and hash it.

    :raises AccountError: for a password that is not good.
    """
    try:
        passwords.check_new(password, name)
    except passwords.PasswordError as error:
        raise AccountError(str(error)) from error
    return passwords.hash_password(password)


def set_quota(account: Account, quota: int | None) -> None:
    """Change how many bytes an account may have; none: what ``PORTAL_QUOTA`` says."""
    account.quota = quota
    db.session.commit()


def set_role(account: Account, role: Role) -> None:
    """Change what an account is for.

    :raises LastAdministratorError: if no active administrator would be left.
    """
    if role is Role.ADMINISTRATOR:
        account.role = role
    else:
        _take_rights(account, role=role)
    db.session.commit()


def activate(account: Account) -> None:
    """Let somebody sign in again."""
    account.is_active = True
    db.session.commit()


def deactivate(account: Account) -> None:
    """Sign an account out everywhere, and let nobody sign in to it.

    :raises LastAdministratorError: if no active administrator would be left.
    """
    _take_rights(account, is_active=False)
    sessions.end_all(account)


def delete(account: Account) -> None:
    """Delete an account and all that it has, for good.

    :raises LastAdministratorError: if no active administrator would be left.
    """
    _take_rights(account, is_active=False)
    keys = entries.forget_all(account.id)
    for model in (SignIn, OneTimeLink, RecoveryCode):
        db.session.execute(sa.delete(model).where(model.account_id == account.id))
    db.session.delete(account)
    db.session.commit()
    for key in keys:
        remove_content(key)


def authenticate(name: str, password: str) -> Account | None:
    """Give the account if it is active and the password is its own.

    The password is hashed anew where that is due.
    """
    account = find(name)
    if not passwords.verify(account.password_hash if account else None, password):
        return None
    if account is None or not account.is_active:
        return None
    if passwords.needs_rehash(account.password_hash):
        account.password_hash = passwords.hash_password(password)
        db.session.commit()
    return account


def _take_rights(account: Account, **values: object) -> None:
    """Change an account so that it may no longer manage others, in the present transaction.

    Two administrators who do it to each other at once cannot both succeed: the check is part of
    the update. What an administrator handed out would outlive the right to hand it out, and nobody
    knows who made which link: so all links go.
    """
    other = aliased(Account)
    others = sa.exists().where(
        other.id != account.id, other.role == Role.ADMINISTRATOR, other.is_active
    )
    manages = sa.and_(Account.role == Role.ADMINISTRATOR, Account.is_active)
    managed = account.is_administrator and account.is_active
    changed = db.session.scalar(
        sa.update(Account)
        .where(Account.id == account.id, sa.or_(sa.not_(manages), others))
        .values(**values)
        .returning(Account.id)
    )
    if changed is None:
        db.session.rollback()
        raise LastAdministratorError
    if managed:
        db.session.execute(sa.delete(OneTimeLink))
