"""Real disks that are full, without inodes or frozen, under the portal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from portal import cli, create_app
from portal.accounts import accounts
from portal.core.database import db
from portal.identity import passwords
from portal.storage import ballast
from tests.support.portal import cheap_hasher

from .application import check_application, sender
from .disks import Disk, small_tmpfs
from .person import NoAnswerError, Person

pytestmark = pytest.mark.root

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hasher", cheap_hasher())


def run(app: Flask, *words: str) -> tuple[int, str]:
    done = app.test_cli_runner().invoke(cli.portal, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@contextmanager
def portal_on(disk: Path) -> Iterator[tuple[Flask, Person]]:
    """Set up a portal as an installation does, with a person who has a file."""
    app = create_app(
        {"DATA": str(disk / "data"), "SESSION_COOKIE_SECURE": False, "DELEGATE_BACKEND": "stream"}
    )
    assert run(app, "upgrade")[0] == 0
    with app.app_context():
        accounts.create("alice", PASSWORD)
    alice = Person("alice", PASSWORD, sender(app))
    alice.sign_in()
    try:
        yield app, alice
    finally:
        with app.app_context():
            db.engine.dispose()
        app.extensions["portal.still"]()  # it holds a folder of the disk


def fill(disk: Path) -> None:
    """Fill a disk to the last byte, as a log may."""
    with (disk / "log").open("ab", buffering=0) as log:
        for size in (1024**2, 4096, 1):
            try:
                while log.write(bytes(size)):
                    pass
            except OSError:
                continue


def take_inodes(disk: Path) -> None:
    """Create files until there can be no more."""
    try:
        for number in range(10_000):
            (disk / f"{number}").touch()
    except OSError:
        return


def health(app: Flask) -> object:
    return app.test_client().get("/healthz").json


def test_people_can_sign_in_and_delete_on_a_full_disk(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "disk", "size=120m") as disk, portal_on(disk) as (app, alice):
        files = [alice.upload(1_000_001) for _ in range(5)]
        assert health(app) == {"status": "ok"}
        fill(disk)
        assert health(app) == {"status": "failing", "failing": ["space"]}
        alice.upload(1)
        assert alice.answers[-1][1] == 507
        alice.sign_in()
        for file in files[:2]:
            alice.trash(file)
            alice.delete(file)
        alice.trash(files[2])
        alice.empty_trash()
        alice.trash(files[3])
        code, said = run(app, "trash", "--empty", "alice")
        assert (code, said) == (0, "1 file, 976.6 KiB: deleted permanently.\n")
        files[3].settle(None)
        assert [len(file.allowed()) for file in files] == [1] * 5
        assert [bool(file.state) for file in files] == [False] * 4 + [True]
        (disk / "log").unlink()
        assert run(app, "cleanup")[0] == 0
        assert (disk / "data/ballast").stat().st_blocks * 512 == ballast.SIZE
        check_application(app, [alice])


def test_signing_in_does_not_take_what_is_kept_for_deleting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever room a wrong sign-in has is gone, as where a log grows all the time."""
    with small_tmpfs(tmp_path / "disk", "size=120m") as disk, portal_on(disk) as (app, alice):
        file = alice.upload(1_000_001)
        fill(disk)
        really = passwords.verify

        def verify(*words: Any) -> bool:
            fill(disk)
            return really(*words)

        with monkeypatch.context() as patch:
            patch.setattr(passwords, "verify", verify)
            for _ in range(20):
                stranger = Person("alice", "wrong", sender(app))
                with suppress(NoAnswerError, AssertionError):
                    stranger.sign_in()
        assert (disk / "data/ballast").stat().st_size >= ballast.SIZE // 2
        alice.trash(file)
        alice.delete(file)
        assert file.state is None
        fill(disk)
        assert alice.post("/sign-out").is_done
        assert "sign-in" in alice.ask("GET", "/").headers["Location"]
        (disk / "data/throttle.db").unlink()
        alice.sign_in()
        check_application(app, [alice])


def test_without_ballast_a_command_says_that_the_disk_is_full(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "disk", "size=120m") as disk, portal_on(disk) as (app, alice):
        file = alice.upload(10_001)
        alice.trash(file)
        (disk / "data/ballast").unlink()
        with app.app_context():
            db.engine.dispose()  # so that the journal starts anew
        fill(disk)
        code, said = run(app, "trash", "--empty", "alice")
        assert code == 1
        assert "disk" in said
        assert "full" in said
        (disk / "log").unlink()
        check_application(app, [alice])
        assert file.state


def test_a_disk_without_inodes_is_full(tmp_path: Path) -> None:
    """Uploads by form and in pieces are 507, and what is stored can be deleted."""
    options = "size=120m,nr_inodes=300"
    with small_tmpfs(tmp_path / "disk", options) as disk, portal_on(disk) as (app, alice):
        file, begun = alice.upload(10_001), alice.begin(10_001)
        alice.continue_upload(begun, 5_001)
        take_inodes(disk)
        alice.answers.clear()
        alice.upload(1)
        alice.begin(1)
        assert [status for _, status in alice.answers] == [507, 507]
        assert health(app) == {"status": "failing", "failing": ["space"]}
        alice.continue_upload(begun, 1_001)  # which needs none
        alice.trash(file)
        alice.delete(file)
        assert file.state is None
        check_application(app, [alice])


@pytest.mark.timeout(60)
def test_health_answers_on_a_frozen_disk(tmp_path: Path) -> None:
    disk = Disk(tmp_path, "defaults")
    with disk.mounted(), portal_on(disk.folder) as (app, alice):
        file = alice.upload(10_001)
        with disk.frozen():
            for _ in range(3):
                before = time.monotonic()
                # The database lies there, too.
                frozen = {"status": "failing", "failing": ["database", "storage"]}
                assert health(app) == frozen
                assert time.monotonic() - before < 2
        time.sleep(0.5)
        assert health(app) == {"status": "ok"}
        check_application(app, [alice])
        assert file.state
