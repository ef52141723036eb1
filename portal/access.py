"""Who may do what: the one place that decides."""

from __future__ import annotations

from typing import Literal

from .models import Account, StoredFile

Action = Literal["read", "delete"]


def may(account: Account, action: Action, stored: StoredFile) -> bool:
    """Decide. What is not allowed here is forbidden.

    :param action: what the account wants to do.
    :param stored: with which file.
    """
    match action:
        case "read" | "delete":
            return stored.owner_id == account.id
