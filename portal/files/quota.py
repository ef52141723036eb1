"""Quotas: how many bytes an account may have, and has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flask import current_app
from sqlalchemy import ColumnElement, func, select, update

from portal.core.database import change, db
from portal.core.models import Account, Upload

from . import unfinished


class Usage(NamedTuple):
    """How much an account may have, and has, in bytes.

    :param stored: of its files, including those in the trash.
    :param waiting: what its unfinished uploads need besides.
    :param uploads: how many those are.
    """

    quota: int
    stored: int
    waiting: int
    uploads: int

    @property
    def used(self) -> int:
        """Return the bytes that nothing else can have."""
        return self.stored + self.waiting

    @property
    def free(self) -> int:
        """Return how many more bytes the account may have."""
        return max(self.quota - self.used, 0)


class QuotaExceededError(Exception):
    """An account may not have that many bytes more.

    :param size: how many bytes those are at least, as far as that is known.
    :ivar stored: how many files were stored before the one that was refused.
    """

    stored = 0

    def __init__(self, account: Account, size: int = 0) -> None:
        self.account, self.usage, self.size = account, usage_of(account), size
        super().__init__(f"{self.usage.used} of {self.usage.quota} bytes are used")

    @property
    def is_beyond_all(self) -> bool:
        """Return whether there would not be room even if the account had nothing else."""
        return self.size > self.usage.quota or not self.usage.used


def quota_of(account: Account) -> int:
    """Return how many bytes an account may have."""
    return int(current_app.config["QUOTA"]) if account.quota is None else account.quota


def usage_of(account: Account) -> Usage:
    """Return how much an account may have, and has: the one answer for pages and for checks."""
    count, waiting = unfinished.count_of_owner(account.id)
    return Usage(quota_of(account), account.used, waiting, count)


def usages(accounts: Iterable[Account]) -> Mapping[int, Usage]:
    """Return what :func:`usage_of` does for each account, by its id, with one statement for all."""
    begun = unfinished.count_by_owner()
    found = {}
    for one in accounts:
        count, waiting = begun.get(one.id, (0, 0))
        found[one.id] = Usage(quota_of(one), one.used, waiting, count)
    return found


def check(account: Account, size: int) -> None:
    """Check that there is room for more bytes, and do not reserve it.

    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    if size > usage_of(account).free:
        raise QuotaExceededError(account, size)


def check_begun(owner_id: int, size: int) -> None:
    """Check that there is still room for an upload that has begun, whatever others wait for.

    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    account = db.session.get_one(Account, owner_id)
    if size > max(quota_of(account) - account.used, 0):
        raise QuotaExceededError(account, size)


def holds(arrived: int) -> ColumnElement[bool]:
    """Return the condition on a visitor's upload that its owner's quota holds what has arrived.

    Nothing of it was counted before it arrived, other than of a member's own.
    """
    allowed = func.coalesce(Account.quota, current_app.config["QUOTA"])
    owner = Account.id == Upload.owner_id
    free = select(allowed - Account.used).where(owner).correlate(Upload).scalar_subquery()
    return unfinished.needed_by_others() + arrived <= free


def charge(owner_id: int, size: int) -> None:
    """Count bytes against an account's quota, in the transaction that brings them.

    Two uploads at once cannot both have the last of it: the check is part of the update.

    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    allowed = func.coalesce(Account.quota, current_app.config["QUOTA"])
    charged = update(Account).where(Account.id == owner_id, Account.used + size <= allowed)
    if not change(charged.values(used=Account.used + size)):
        db.session.rollback()
        raise QuotaExceededError(db.session.get_one(Account, owner_id), size)


def release(owner_id: int, size: int) -> None:
    """Return bytes to an account's quota, in the transaction that removes them."""
    change(update(Account).where(Account.id == owner_id).values(used=Account.used - size))
