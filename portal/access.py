"""Who may do what: the one place that decides."""

from __future__ import annotations

from typing import Literal

from .models import Account, Entry

Action = Literal["read", "change", "restore"]
"""To list or download; to add to, rename, move or put into the trash; to take out of the trash, or
delete for good."""


def may(account: Account, action: Action, entry: Entry) -> bool:
    """Decide. What is not allowed here is forbidden, to administrators, too.

    :param action: what the account wants to do.
    :param entry: with which file or folder.
    """
    if entry.owner_id != account.id or not account.is_active:
        return False
    match action:
        case "read" | "change":
            return entry.trash_id is None
        case "restore":
            return entry.trash_id == entry.id


def may_manage_accounts(account: Account) -> bool:
    """Decide who invites, deactivates and deletes others, and sets their quotas."""
    return account.is_administrator and account.is_active
