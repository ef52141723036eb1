"""Who may do what: the one place that decides."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import ColumnElement, and_

from portal.core.models import Account, Entry, Share, StoredFile
from portal.sharing.status import Status, status_of

from . import tree

Action = Literal["read", "add", "change", "share", "restore"]
"""To list or download; to put something into; to rename, move or put into the trash; to create
links to; to restore from the trash, or delete permanently."""


def may(account: Account, action: Action, entry: Entry) -> bool:
    """Return whether an account may do that. The rest is forbidden, to administrators, too."""
    if entry.owner_id != account.id or not account.is_active:
        return False
    match action:
        case "read" | "add":
            return entry.trash_id is None
        case "change" | "share":
            # The root folder stays where it is, and with its owner.
            return entry.trash_id is None and entry.parent_id is not None
        case "restore":
            return entry.trash_id == entry.id and entry.version_of is None


def may_have(account: Account, version: StoredFile, file: StoredFile) -> bool:
    """Return whether an account may download, restore or delete a version of a file."""
    return version.version_of == file.id and may(account, "change", file)


def may_read() -> ColumnElement[bool]:
    """Return the condition by which a statement finds what its account may read, as :func:`may`."""
    return and_(Entry.owner_id == Account.id, Account.is_active, Entry.trash_id.is_(None))


def may_visit(share: Share, entry: Entry, *, unlocked: bool) -> bool:
    """Return whether a visitor with a share's link may see a file or folder.

    The share's limit decides besides whether it may be downloaded. A share is unlocked if it needs
    no password, or if the visitor has entered it.
    """
    if not unlocked or status_of(share) not in {Status.OPEN, Status.USED_UP}:
        return False
    if entry.trash_id is not None or entry.owner_id != share.owner_id:
        return False
    return any(step.id == share.entry_id for step in tree.path_to(entry.id))


def may_manage_accounts(account: Account) -> bool:
    """Return whether an account may invite and delete others, and set their quotas."""
    return account.is_administrator and account.is_active
