"""What a user may do with files, as the kernel sees it."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

READ, ENTER = "r", "x"

_BITS = {READ: os.R_OK, ENTER: os.X_OK}
# Prints a letter for each pair of a right and a path.
_ASK = 'while [ $# -gt 0 ]; do if test "-$1" "$2"; then printf y; else printf n; fi; shift 2; done'
_MOST = 500  # pairs in one command line


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

    :param name: none: the web server's, which is ``www-data`` for root if it exists, and otherwise
        the present one.
    :raises KeyError: if there is no such user.
    """
    if name is None and os.geteuid() == 0:
        with suppress(KeyError):
            return find_account("www-data")
    entry = pwd.getpwuid(os.geteuid()) if name is None else pwd.getpwnam(name)
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, frozenset(groups))


def parents(path: str) -> list[str]:
    """Return the folders above a path, from ``/`` on."""
    return [str(parent) for parent in reversed(Path(path).parents)]


def denied(account: Account, needs: Sequence[Need]) -> list[Need]:
    """Return the rights that an account lacks.

    Root asks the kernel as that user; others read the permission bits, which do not show access
    control lists.
    """
    if account.uid == os.geteuid():
        may = partial(os.access, effective_ids=True)
        return [(path, right) for path, right in needs if not may(path, _BITS[right])]
    if os.geteuid() != 0:
        return [need for need in needs if not _bits_allow(account, *need)]
    groups = (needs[start : start + _MOST] for start in range(0, len(needs), _MOST))
    return [need for some in groups for need in _asked(account, some)]


def _asked(account: Account, needs: Sequence[Need]) -> list[Need]:
    words = [word for path, right in needs for word in (right, path)]
    result = subprocess.run(  # noqa: S603 -- a constant script; paths are its arguments
        ["/bin/sh", "-c", _ASK, "sh", *words],
        user=account.uid,
        group=account.gid,
        extra_groups=sorted(account.groups),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    answers = result.stdout.decode()
    return [need for need, answer in zip(needs, answers, strict=True) if answer != "y"]


def _bits_allow(account: Account, path: str, right: str) -> bool:
    try:
        info = Path(path).stat()
    except OSError:
        return False
    if account.uid == 0:
        return right != ENTER or stat.S_ISDIR(info.st_mode) or bool(info.st_mode & 0o111)
    shift = 6 if info.st_uid == account.uid else 3 if info.st_gid in account.groups else 0
    return bool(info.st_mode >> shift & _BITS[right])
