"""Quotas: how many bytes an account may have, and has."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import func, update

from portal.core.database import change, db
from portal.core.models import Account


class QuotaExceededError(Exception):
    """An account may not have that many bytes. Its unfinished uploads are waiting: they count."""

    def __init__(self, account: Account, waiting: int = 0) -> None:
        self.quota, self.used = quota_of(account), account.used + waiting
        super().__init__(f"{self.used} of {self.quota} bytes are used")


def quota_of(account: Account) -> int:
    """Return how many bytes an account may have."""
    return int(current_app.config["QUOTA"]) if account.quota is None else account.quota


def free_space(account: Account) -> int:
    """Return how many more bytes an account may have."""
    return max(quota_of(account) - account.used, 0)


def check(account: Account, size: int, waiting: int = 0) -> None:
    """Check that there is room for more bytes, and do not reserve it.

    :param waiting: bytes of unfinished uploads, which need room, too.
    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    if size + waiting > free_space(account):
        raise QuotaExceededError(account, waiting)


def charge(owner_id: int, size: int) -> None:
    """Count bytes against an account's quota, in the transaction that brings them.

    Two uploads at once cannot both have the last of it: the check is part of the update.

    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    allowed = func.coalesce(Account.quota, current_app.config["QUOTA"])
    charged = update(Account).where(Account.id == owner_id, Account.used + size <= allowed)
    if not change(charged.values(used=Account.used + size)):
        db.session.rollback()
        raise QuotaExceededError(db.session.get_one(Account, owner_id))


def release(owner_id: int, size: int) -> None:
    """Return bytes to an account's quota, in the transaction that removes them."""
    change(update(Account).where(Account.id == owner_id).values(used=Account.used - size))
