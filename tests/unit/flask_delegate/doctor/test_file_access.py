"""Rights, as the kernel sees them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from flask_delegate.doctor.file_access import (
    ENTER,
    READ,
    Account,
    _bits_allow,
    denied,
    find_account,
    steps,
)


def test_a_user_without_an_entry_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a container that runs as any user.
    another = find_account("1234567")
    assert (another.name, another.uid) == ("uid 1234567", 1234567)
    assert another == Account("uid 1234567", 1234567, 0, frozenset({0}))
    monkeypatch.setattr(os, "geteuid", lambda: 1234567)
    monkeypatch.setattr(os, "getegid", lambda: 7)
    monkeypatch.setattr(os, "getgroups", lambda: [8, 9])
    mine = find_account(None)
    assert (mine.uid, mine.gid) == (1234567, 7)
    assert mine.groups == {7, 8, 9}


def test_a_user_with_an_entry_is_found_by_name_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.getpwnam("daemon")
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, len(name)])
    daemon = Account("daemon", entry.pw_uid, entry.pw_gid, frozenset({entry.pw_gid, 6}))
    assert find_account("daemon") == find_account(str(entry.pw_uid)) == daemon
    monkeypatch.setattr(os, "geteuid", lambda: entry.pw_uid)
    assert find_account(None) == daemon
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd((name, *entry[1:])))
    assert find_account(None).name == "www-data"
    assert find_account("4294967294").uid == 4294967294


def test_the_rights_of_root_by_the_bits(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    root = Account("root", 0, 0, frozenset({0}))
    for mode, runs in ((0o600, False), (0o100, True), (0o010, True), (0o001, True)):
        file.chmod(mode)
        assert _bits_allow(root, str(file), READ)
        assert _bits_allow(root, str(file), ENTER) == runs
    tmp_path.chmod(0o600 if os.geteuid() == 0 else 0o700)
    assert _bits_allow(root, str(tmp_path), ENTER)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["nobody-of-that-name", "", "-1", "4294967295", "9" * 30, "١٢"])
def test_what_is_no_user_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="there is no user"):
        find_account(name)


def test_rights_are_those_of_the_account(tmp_path: Path) -> None:
    me = find_account(None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    needs = [(str(closed), ENTER)]
    if os.geteuid() == 0:
        root = find_account("root")
        assert denied(root, needs) == []
        assert denied(me, needs) == needs
        assert denied(me, [("/", ENTER), *needs, ("/etc/passwd", READ)]) == needs
    else:
        assert denied(me, needs) == needs
    assert steps("/a/b/c") == ["/", "/a", "/a/b", "/a/b/c"]


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "allowed"),
    [
        (0o400, os.geteuid(), (), True),
        (0o040, os.geteuid() + 1, (os.getegid(),), True),
        (0o040, os.geteuid() + 1, (), False),
        (0o004, os.geteuid() + 1, (), True),
        (0o440, os.geteuid() + 1, (), False),
    ],
)
def test_permission_bits(
    tmp_path: Path, mode: int, uid: int, groups: tuple[int, ...], allowed: bool
) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    account = Account("somebody", uid, 10**6, frozenset(groups))
    assert _bits_allow(account, str(path), READ) == allowed
    assert not _bits_allow(account, str(path / "x"), READ)


def test_root_that_may_not_become_others_reads_the_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a container without CAP_SETUID and CAP_SETGID.
    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", refuse)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    somebody = Account("somebody", closed.stat().st_uid + 1, 10**6, frozenset())
    assert denied(somebody, [("/", ENTER), (str(closed), ENTER)]) == [(str(closed), ENTER)]
