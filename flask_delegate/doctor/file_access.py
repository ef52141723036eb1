"""What a user may do with files, as the kernel sees it."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

READ, ENTER = "r", "x"

_BITS = {READ: os.R_OK, ENTER: os.X_OK}
_NOBODY = 2**32 - 1
"""What stands for no user at all in system calls."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the system, with all its groups."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]


Need = tuple[str, str]
"""A path and a right to it."""


def find_account(name: str | None) -> Account:
    """Return a user.

    :param name: a name, or a number, which needs no entry in the user database: containers run as
        any. None: the web server's, which is ``www-data`` for root if it exists, and otherwise the
        present one.
    :raises ValueError: if there is no such user.
    """
    if name is None and os.geteuid() == 0:
        with suppress(ValueError):
            return find_account("www-data")
    wanted = str(os.geteuid()) if name is None else name
    is_number = wanted.isascii() and wanted.isdigit()
    try:
        entry = pwd.getpwuid(int(wanted)) if is_number else pwd.getpwnam(wanted)
    except (KeyError, OverflowError):
        if not is_number or int(wanted) >= _NOBODY:
            raise ValueError(f"there is no user {wanted!r}.") from None
        return _without_entry(int(wanted))
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, frozenset(groups))


def _without_entry(uid: int) -> Account:
    """Return a user that has a number only; another one's group is root's, as in containers."""
    groups = {os.getegid(), *os.getgroups()} if uid == os.geteuid() else {0}
    gid = os.getegid() if uid == os.geteuid() else 0
    return Account(f"uid {uid}", uid, gid, frozenset(groups))


def steps(path: str) -> list[str]:
    """Return the folders above a path, from ``/`` on, and the path."""
    return [*map(str, reversed(Path(path).parents)), path]


def denied(account: Account, needs: Sequence[Need]) -> list[Need]:
    """Return the rights that an account lacks.

    Root asks the kernel as that user; others read the permission bits, which do not show access
    control lists.
    """
    if os.geteuid() in (0, account.uid):
        # A container's root may lack the right to become somebody else.
        with suppress(PermissionError), _acting_as(account):
            may = partial(os.access, effective_ids=True)
            return [(path, right) for path, right in needs if not may(path, _BITS[right])]
    return [need for need in needs if not _bits_allow(account, *need)]


@contextmanager
def _acting_as(account: Account) -> Iterator[None]:
    """Give up root's rights for an account's until the block ends."""
    if account.uid == os.geteuid():
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups(sorted(account.groups))
    try:
        os.setegid(account.gid)
        os.seteuid(account.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _bits_allow(account: Account, path: str, right: str) -> bool:
    try:
        info = Path(path).stat()
    except OSError:
        return False
    if account.uid == 0:
        return right != ENTER or stat.S_ISDIR(info.st_mode) or bool(info.st_mode & 0o111)
    shift = 6 if info.st_uid == account.uid else 3 if info.st_gid in account.groups else 0
    return bool(info.st_mode >> shift & _BITS[right])
