"""What only root can set up: files of other users and groups, and a disk that is full."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal import create_app
from portal.core.datafolder import DataFolderError
from portal.storage.content import current_storage
from tests.support.checks import check
from tests.support.portal import REDIRECT, delete_for_good, kept, links, prepare, signed_in, upload
from tests.support.stored import path_of, store

MIB = 1024**2
pytestmark = pytest.mark.root


def test_files_that_the_web_server_cannot_read_are_found(app: Flask, data: Path) -> None:
    with app.app_context():
        path = path_of(data, store("alice", "a.txt"))
    for name, mode in (("files", 0o2750), ("incoming", 0o2700)):
        os.chown(data / name, -1, 12345)
        (data / name).chmod(mode)
    with app.app_context():
        current_storage().prepare()
    assert check(app) == [("rights", None)] * 2
    check(app, "--repair")
    assert check(app) == []
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)] == [0o750, 0o640]
    assert {one.stat().st_gid for one in (path.parent, path)} == {12345}
    os.chown(path, 54321, -1)
    assert check(app) == [("rights", None)]
    check(app, "--repair")
    assert path.stat().st_uid == 0


@pytest.mark.parametrize("name", ["", "files", "incoming", "portal.db"])
def test_folder_of_somebody_else_is_refused(name: str, data: Path) -> None:
    create_app({"DATA": str(data)})
    os.chown(data / name, 12345, -1)
    with pytest.raises(DataFolderError, match=r"belongs to user id 12345, .*: chown -R 0"):
        create_app({"DATA": str(data)})


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_web_server_of_another_user_can_read_files_and_nothing_else(
    umask: int, make_app: Callable[..., Flask], data: Path
) -> None:
    for name, mode in (("", 0o710), ("files", 0o2750), ("incoming", 0o2700)):
        (data / name).mkdir()
        os.chown(data / name, -1, 12345)
        (data / name).chmod(mode)
    before = os.umask(umask)
    try:
        app = make_app()
        prepare(app)
        upload(signed_in(app, "alice"), "a.txt")
    finally:
        os.umask(before)

    stored = kept(data)[0]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o777 for path in (stored.parent, stored)] == [
        0o750,
        0o640,
    ]
    assert {path.stat().st_gid for path in (stored.parent, stored)} == {12345}
    others = {path for path in data.iterdir() if path.is_file()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in others} == {0o600}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path.resolve() / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "portal-test", str(disk)]
    subprocess.run(mount, check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_files_can_be_deleted_when_no_more_can_be_uploaded(
    small_disk: Path, make_app: Callable[..., Flask]
) -> None:
    app = make_app(DATA=str(small_disk / "data"), DISK_RESERVE=MIB)
    prepare(app)
    alice = signed_in(app, "alice")
    while upload(alice, "a.bin", bytes(MIB // 4)).status_code == REDIRECT:
        pass
    assert upload(alice, "small.bin", b"x").status_code == 507
    for link in links(alice).values():
        assert delete_for_good(alice, link).status_code == REDIRECT
    for _ in range(4):  # one large body would lie in a file that the test client leaves open
        assert upload(alice, "a.bin", bytes(MIB // 4)).status_code == REDIRECT
