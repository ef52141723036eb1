"""Accounts: made, found, signed in to, managed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from portal.accounts import usernames
from portal.core import text
from portal.core.database import db
from portal.core.models import Account, Folder, OneTimeLink, RecoveryCode, Role, SignIn, StoredFile
from portal.files import entries
from portal.files.uploads import remove_content
from portal.identity import passwords, sessions
from portal.identity.sessions import Proof

LONGEST_NAME = 64


class AccountError(Exception):
    """Something about an account cannot be done; the message says why."""


class UnusableNameError(AccountError):
    """An account cannot have that name."""


class ChangedMeanwhileError(AccountError):
    """Somebody else changed the account while this was done."""

    def __init__(self) -> None:
        super().__init__("The account was changed meanwhile, and your change was not made.")


class RightLostError(AccountError):
    """Who does this managed the accounts when it began, and does no longer."""

    def __init__(self) -> None:
        super().__init__("You do not manage the accounts any more.")


class LastAdministratorError(AccountError):
    """Nobody would be left to manage the accounts."""

    def __init__(self) -> None:
        super().__init__(
            "This is the only active administrator. Make another one first, so that somebody can"
            " manage the accounts."
        )


def find(name: str) -> Account | None:
    """Find the account of that name."""
    return db.session.scalar(select(Account).where(Account.name_key == text.fold(name)))


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

    :raises AccountError: for a name that is taken or unusable, or a password that is not good.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UnusableNameError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    if text.has_invisible(name) or not text.can_be_seen(name):
        raise UnusableNameError("A name has no invisible characters, and more than marks.")
    _refuse_taken(name)  # before the hash, which keeps the server busy
    return Account(
        name=name,
        name_key=text.fold(name),
        skeleton=usernames.skeleton(name),
        password_hash=hash_new(password, name),
    )


def add(account: Account) -> Proof:
    """Put a new account into the database, with the folder that holds all that it will have.

    What else this transaction did is undone if that fails.

    :returns: what a first session needs.
    :raises AccountError: for a name that is taken.
    """
    db.session.add(account)
    try:
        db.session.flush()
        proof = Proof.of(account)
        db.session.add(Folder(owner_id=account.id, name="", name_key=""))
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise _taken(account.name) from error
    return proof


def set_password(account: Account, password: str, seen: str | None = None) -> Proof:
    """Change an account's password, end its sessions, and void links that would change it.

    :param seen: the hash of the password that was given for this; none where none was asked for.
    :raises AccountError: for a password that is not good, or if another one was set meanwhile.
    """
    return replace_hash(account, hash_new(password, account.name), seen)


def replace_hash(account: Account, password_hash: str, seen: str | None = None) -> Proof:
    """Let another password be the account's, with all that goes with it.

    :param seen: as for :func:`set_password`.
    :returns: what a new session needs.
    :raises ChangedMeanwhileError: if another password was set meanwhile.
    """
    expected = Account.password_hash == seen if seen else sa.true()
    if not _update(account, expected, password_hash=password_hash):
        db.session.rollback()
        raise ChangedMeanwhileError
    db.session.refresh(account)
    proof = Proof.of(account)
    db.session.execute(sa.delete(OneTimeLink).where(OneTimeLink.account_id == proof.account_id))
    sessions.end_all(account)
    return proof


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
    """Let somebody sign in again. No session of before comes back."""
    account.is_active = True
    sessions.end_all(account)


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


def authenticate(name: str, password: str) -> Proof | None:
    """Give what a session needs if the account is active and the password is its own.

    The password is hashed anew where that is due.
    """
    account = find(name)
    if not passwords.verify(account.password_hash if account else None, password):
        return None
    if account is None or not account.is_active:
        return None
    proof = Proof.of(account)
    if not passwords.needs_rehash(proof.password_hash):
        return proof
    # Hashing takes its time: another password that was set meanwhile stays.
    renewed = passwords.hash_password(password)
    done = _update(account, Account.password_hash == proof.password_hash, password_hash=renewed)
    db.session.commit()
    # Most often, it was this password's hash that somebody else renewed meanwhile.
    return proof._replace(password_hash=renewed) if done else authenticate(name, password)


def hold_right(account_id: int) -> None:
    """Make sure, to the end of the present transaction, that an account manages the others.

    What is handed out then cannot outlive the right: who takes that withdraws it.

    :raises RightLostError: if it does not; the transaction is undone.
    """
    held = (
        sa.update(Account)
        .where(Account.id == account_id, Account.role == Role.ADMINISTRATOR, Account.is_active)
        .values(role=Role.ADMINISTRATOR)
        .execution_options(synchronize_session=False)
    )
    if db.session.scalar(held.returning(Account.id)) is None:
        db.session.rollback()
        raise RightLostError


def _update(account: Account, expected: sa.ColumnElement[bool], **values: object) -> bool:
    """Change an account if it is as expected, and tell whether it was."""
    change = sa.update(Account).where(Account.id == account.id, expected).values(**values)
    options = {"synchronize_session": False}
    found = db.session.scalar(change.returning(Account.id), execution_options=options)
    return found is not None


def _refuse_taken(name: str) -> None:
    like = sa.or_(Account.name_key == text.fold(name), Account.skeleton == usernames.skeleton(name))
    if db.session.scalar(select(Account.id).where(like).limit(1)) is not None:
        raise _taken(name)


def _taken(name: str) -> UnusableNameError:
    return UnusableNameError(f"There is an account {name!r} already, or one like it.")


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
