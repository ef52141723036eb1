"""Accounts: create, find, authenticate, manage, delete."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime

import click
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from portal.core import text
from portal.core.database import change, db, is_sqlite, lock, take_time
from portal.core.language import gettext
from portal.core.models import Account, Folder, OneTimeLink, RecoveryCode, Role, SignIn, StoredFile
from portal.core.paging import Page
from portal.files import entries
from portal.files.uploads import remove_content
from portal.identity import passwords, sessions
from portal.identity.sessions import Proof
from portal.storage.ballast import with_room_to_delete

from . import usernames

PAGE = 100
"""Accounts of a page."""
LONGEST_NAME = 64
_MANAGES = sa.and_(Account.role == Role.ADMINISTRATOR, Account.is_active)


class AccountError(click.ClickException):
    """An account cannot be created or changed. A command prints the message alone."""


class UnusableNameError(AccountError):
    """An account cannot have that name."""


class NotAdministratorError(AccountError):
    """Whoever does this is no longer an administrator."""


def find(name: str) -> Account | None:
    """Find an account by its name."""
    return db.session.scalar(select(Account).where(Account.name_key == text.fold(name)))


def list_with_last_use() -> Sequence[tuple[Account, datetime | None]]:
    """Return every account, by name, with the last use of its current sessions."""
    return _with_last_use()


def page(after: Sequence[int] = ()) -> tuple[Page[tuple[Account, datetime | None]], int, bool]:
    """Return a page of :func:`list_with_last_use`, the number of all, and whether it is the first.

    :param after: ids of accounts; the page begins after the first of them that is still there, and
        is the first page if none is.
    """
    # The database does not know the order that people expect of names.
    names = db.session.execute(select(Account.id, Account.name)).all()
    every = [one for one, _ in sorted(names, key=lambda row: text.sort_key(row[1]))]
    start = next((every.index(one) + 1 for one in after if one in every), 0)
    is_end = start == len(every)
    start = max(len(every) - PAGE, 0) if is_end else start
    end = start + PAGE
    rows = _with_last_use(_is_among(every[start:end]))
    return Page(rows, end < len(every), is_end), len(every), start == 0


def _is_among(ids: Sequence[int]) -> sa.ColumnElement[bool]:
    # In one value, so that the statement is the same for each number of them.
    if is_sqlite():
        shown = func.json_each(json.dumps(ids)).table_valued("value")
        return Account.id.in_(select(shown.c.value))
    return Account.id == sa.any_(sa.cast(ids, sa.ARRAY(sa.BigInteger)))


def _with_last_use(
    *conditions: sa.ColumnElement[bool],
) -> Sequence[tuple[Account, datetime | None]]:
    last_use = select(func.max(SignIn.used_at)).where(SignIn.account_id == Account.id)
    rows = db.session.execute(select(Account, last_use.scalar_subquery()).where(*conditions))
    found = [(account, used_at) for account, used_at in rows]
    return sorted(found, key=lambda row: text.sort_key(row[0].name))


def count_files(account: Account) -> tuple[int, int]:
    """Return how many files an account has, including the trash, and their bytes."""
    mine = StoredFile.owner_id == account.id
    return db.session.scalar(select(func.count()).where(mine)) or 0, account.used


def create(name: str, password: str, role: Role = Role.MEMBER, quota: int | None = None) -> Account:
    """Create an account, as :func:`prepare` and :func:`add` do; no quota is ``PORTAL_QUOTA``."""
    account = prepare(name, password, role, quota)
    add(account)
    return account


def prepare(name: str, password: str, role: Role, quota: int | None) -> Account:
    """Check the name and the password of a new account, and hash the password: the slow part.

    :raises AccountError: for a name that is taken or unusable, or a password that is not good.
    """
    name = check_name(name)
    refuse_taken(name)  # before the hash, which keeps the server busy
    return Account(
        name=name,
        name_key=text.fold(name),
        skeleton=usernames.skeleton(name),
        password_hash=hash_new(password, name),
        role=role,
        quota=quota,
    )


def check_name(name: str) -> str:
    """Return a name as an account has it; raise :exc:`UnusableNameError` if none can."""
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UnusableNameError(
            gettext("Choose a name of 1 to %(longest)s printable characters.", longest=LONGEST_NAME)
        )
    if text.has_invisible(name) or not text.can_be_seen(name):
        raise UnusableNameError(
            gettext(
                "A name cannot contain invisible characters, and needs a letter, digit or symbol."
            )
        )
    return name


def taken_of(names: Sequence[str]) -> set[str]:
    """Return those of some names that are taken, or look like one."""
    keys = {name: (text.fold(name), usernames.skeleton(name)) for name in names}
    alike = sa.or_(
        Account.name_key.in_([key for key, _ in keys.values()]),
        Account.skeleton.in_([skeleton for _, skeleton in keys.values()]),
    )
    found = db.session.execute(select(Account.name_key, Account.skeleton).where(alike)).all()
    there = {key for key, _ in found}, {skeleton for _, skeleton in found}
    return {name for name, (key, like) in keys.items() if key in there[0] or like in there[1]}


def refuse_taken(name: str) -> None:
    """Raise :exc:`UnusableNameError` for a name that is taken, or looks like one."""
    like = sa.or_(Account.name_key == text.fold(name), Account.skeleton == usernames.skeleton(name))
    if db.session.scalar(select(Account.id).where(like).limit(1)) is not None:
        raise _taken(name)


def add(account: Account) -> Proof:
    """Add a new account with its root folder, and return what a first session needs.

    :raises AccountError: for a name that is taken; the transaction is undone.
    """
    db.session.add(account)
    try:
        db.session.flush()
        proof = Proof.of(account)
        db.session.add(Folder(owner_id=account.id, name=""))
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise _taken(account.name) from error
    return proof


def set_password(account: Account, password: str, seen: str | None = None) -> Proof:
    """Change an account's password, end its sessions, and delete its reset links.

    :param seen: the hash of the present password, where that was asked for.
    :returns: what a new session needs.
    :raises AccountError: for a password that is not good, or if another one was set meanwhile.
    """
    present = account.password_hash
    return replace_hash(account, hash_new(password, account.name, present), seen)


def replace_hash(account: Account, password_hash: str, seen: str | None = None) -> Proof:
    """Change an account's password, as :func:`set_password` does, to one that is hashed already."""
    expected = Account.password_hash == seen if seen else sa.true()
    if not _update(account.id, expected, password_hash=password_hash):
        db.session.rollback()
        raise AccountError(gettext("The account was changed meanwhile. Your change was not made."))
    db.session.refresh(account)
    proof = Proof.of(account)
    change(sa.delete(OneTimeLink).where(OneTimeLink.account_id == proof.account_id))
    sessions.end_all(account)
    return proof


def hash_new(password: str, name: str, present: str | None = None) -> str:
    """Hash a new password for the account of that name; raise AccountError if it is not good.

    :param present: the hash of the password that it replaces.
    """
    try:
        passwords.check_new(password, name)
    except passwords.PasswordError as error:
        raise AccountError(str(error)) from error
    if present and passwords.verify(present, password):
        raise AccountError(gettext("This is the current password. Choose another one."))
    return passwords.hash_password(password)


def set_quota(account: Account, quota: int | None) -> None:
    """Change how many bytes an account may keep; none for ``PORTAL_QUOTA``."""
    account.quota = quota
    db.session.commit()


def set_language(account: Account, language: str | None) -> None:
    """Change which language an account reads; none for the browser's."""
    account.language = language
    db.session.commit()


def set_role(account: Account, role: Role) -> None:
    """Change an account's role, or raise :exc:`AccountError` if it is the last administrator."""
    if role is Role.ADMINISTRATOR:
        account.role = role
    else:
        _remove_rights(account, role=role)
    db.session.commit()


def activate(account: Account) -> None:
    """Activate an account. Sessions from before stay ended."""
    account.is_active = True
    sessions.end_all(account)


def deactivate(account: Account) -> None:
    """Sign an account out everywhere, and refuse sign-ins; or raise as :func:`set_role`."""
    _remove_rights(account, is_active=False)
    sessions.end_all(account)


@with_room_to_delete
def delete(account: Account) -> None:
    """Delete an account and its files permanently, or raise as :func:`set_role`."""
    take_time()
    _remove_rights(account, is_active=False)
    # Until it is gone, nothing new refers to it.
    lock(Account, Account.id == account.id)
    keys = entries.forget_all(account.id)
    for model in (SignIn, OneTimeLink, RecoveryCode):
        change(sa.delete(model).where(model.account_id == account.id))
    db.session.delete(account)
    db.session.commit()
    remove_content(*keys)


def authenticate(name: str, password: str) -> Proof | None:
    """Return what a session needs, if the password is right and the account is active.

    An outdated hash is renewed.
    """
    account = find(name)
    spelling = passwords.spelling_of(account.password_hash if account else None, password)
    if spelling is None or account is None or not account.is_active:
        return None
    proof = Proof.of(account)
    if not passwords.needs_rehash(proof.password_hash, spelling):
        return proof
    # Hashing is slow: a password that was set meanwhile must stay.
    renewed = passwords.hash_password(password)
    done = _update(account.id, Account.password_hash == proof.password_hash, password_hash=renewed)
    db.session.commit()
    # Most often, another request has renewed the hash of the same password.
    return proof._replace(password_hash=renewed) if done else authenticate(name, password)


def lock_administrator(account_id: int) -> None:
    """Check that an account is an administrator's, and keep it so until this transaction ends.

    So no link outlives the right to create it: whoever removes that right deletes the links.

    :raises NotAdministratorError: if it is not; the transaction is undone.
    """
    if not _update(account_id, _MANAGES, role=Role.ADMINISTRATOR):
        db.session.rollback()
        raise NotAdministratorError(gettext("You are no longer an administrator."))


def _update(account_id: int, expected: sa.ColumnElement[bool], **values: object) -> bool:
    """Change an account if it is as expected, and return whether it was."""
    return change(sa.update(Account).where(Account.id == account_id, expected).values(**values)) > 0


def _taken(name: str) -> UnusableNameError:
    return UnusableNameError(
        gettext(
            "There is already an account '%(name)s', or one that looks like it. Choose another"
            " name.",
            name=name,
        )
    )


def _remove_rights(account: Account, **values: object) -> None:
    """Change an account to one that is no active administrator, in the current transaction.

    Two administrators who do it to each other at once cannot both succeed: the check is part of
    the update, and all whom it counts are locked, with the account. An administrator's links must
    not outlive the right to create them, and nobody knows who created which: so all links are
    deleted.
    """
    other = aliased(Account)
    others = sa.exists().where(
        other.id != account.id, other.role == Role.ADMINISTRATOR, other.is_active
    )
    lock(Account, sa.or_(_MANAGES, Account.id == account.id))
    managed = account.is_administrator and account.is_active
    if not _update(account.id, sa.or_(sa.not_(_MANAGES), others), **values):
        db.session.rollback()
        raise AccountError(
            gettext(
                "This is the only active administrator. Make another account an administrator"
                " first."
            )
        )
    if managed:
        change(sa.delete(OneTimeLink))
