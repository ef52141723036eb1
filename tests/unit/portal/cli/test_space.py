"""A disk that is full, or nearly so."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from portal.cli import portal as cli
from portal.core.database import db
from portal.core.models import Entry, SeenDay, now
from portal.storage.ballast import KEPT, SIZE, Ballast
from tests.support.deletions import without_room
from tests.support.portal import (
    REDIRECT,
    arriving,
    choose,
    kept,
    links,
    prepare,
    signed_in,
    token,
    upload_url,
)

MIB = 1024**2


def upload(client: FlaskClient, name: str, content: bytes = b"content") -> TestResponse:
    """Upload from memory: the test client would make a file of what is large, and not close it."""
    parts = [
        f'name="csrf_token"\r\n\r\n{token(client)}'.encode(),
        f'name="file"; filename="{name}"\r\n\r\n'.encode() + content,
    ]
    lines = [b"--boundary\r\nContent-Disposition: form-data; " + part for part in parts]
    body = b"\r\n".join([*lines, b"--boundary--\r\n"])
    return client.post(
        upload_url(client), data=body, content_type="multipart/form-data; boundary=boundary"
    )


def leave_free(monkeypatch: pytest.MonkeyPatch, *amounts: int) -> None:
    """Have each look at the free space find the next amount, and the last one from then on."""
    waiting = list(amounts)

    def statvfs(_path: object) -> SimpleNamespace:
        free = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return SimpleNamespace(f_bavail=free // 512, f_frsize=512, f_bfree=10**12)

    monkeypatch.setattr(os, "statvfs", statvfs)


def test_upload_is_refused_below_the_reserve(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 64 * MIB)
    assert upload(alice, "a.txt").status_code == REDIRECT
    leave_free(monkeypatch, 64 * MIB - 512)
    response = upload(alice, "b.txt")
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert list(links(alice)) == ["a.txt"]
    assert arriving(data) == []


def test_reserve_is_a_setting(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DISK_RESERVE=4096)
    prepare(app)
    alice = signed_in(app, "alice")
    leave_free(monkeypatch, 4096)
    assert upload(alice, "a.txt").status_code == REDIRECT
    leave_free(monkeypatch, 3584)
    assert upload(alice, "b.txt").status_code == 507
    assert set(links(alice)) == {"a.txt"}


def test_reserve_that_is_reached_while_receiving_ends_the_upload(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 100 * MIB, 100 * MIB, 1 * MIB)
    assert upload(alice, "large.bin", bytes(9 * MIB)).status_code == 507
    assert kept(data) == arriving(data) == []


def test_free_space_is_not_looked_at_for_each_piece(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 100 * MIB, 100 * MIB, 1 * MIB)
    assert upload(alice, "small.bin", bytes(7 * MIB)).status_code == REDIRECT
    assert set(links(alice)) == {"small.bin"}


@pytest.mark.sqlite("its errors")
@pytest.mark.parametrize("path", ["/sign-out", "trash"])
def test_database_without_room_is_507_whatever_was_asked(
    path: str, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    form = {"csrf_token": token(alice)}
    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", _no_room)
        response = choose(alice, "trash", link) if path == "trash" else alice.post(path, data=form)
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert list(links(alice)) == ["a.txt"]


@pytest.mark.sqlite("its errors")
def test_other_errors_of_the_database_are_500(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    prepare(app)
    alice = signed_in(app, "alice")
    form = {"csrf_token": token(alice)}

    def fail(_session: object) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", fail)
        response = alice.post("/sign-out", data=form)
    assert response.status_code == 500
    assert "Something went wrong" in response.text
    assert alice.get("/").status_code == 200  # nobody is signed out by half


def _no_room(_session: object) -> None:
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise OperationalError("DELETE", {}, cause)


class SmallDisk:
    """A disk with so many bytes free, of which others take what the ballast leaves."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.left = path, 0
        self._really = os.posix_fallocate
        monkeypatch.setattr(
            os, "statvfs", lambda _path: SimpleNamespace(f_bavail=self.free, f_frsize=1)
        )
        monkeypatch.setattr(os, "posix_fallocate", self._allocate)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def free(self) -> int:
        return self.left - self.size

    def fill(self, but: int = 0) -> None:
        self.left = self.size + but

    def _allocate(self, descriptor: int, start: int, length: int) -> None:
        if length > self.free:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._really(descriptor, start, length)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    (tmp_path / "ballast").touch()
    disk = SmallDisk(tmp_path / "ballast", monkeypatch)
    disk.left = 20 * MIB
    Ballast(tmp_path).prepare()
    assert disk.size == SIZE
    return disk


def test_what_does_not_delete_leaves_what_is_kept_for_deleting(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill()
    for _ in range(20):
        with Ballast(tmp_path).room():
            disk.fill()
    assert disk.size == KEPT
    with Ballast(tmp_path).room(), Ballast(tmp_path).room_to_delete():
        assert disk.size == 0


def test_ballast_loses_no_more_than_what_others_took(disk: SmallDisk, tmp_path: Path) -> None:
    disk.fill(but=5_000)
    for _ in range(20):
        with Ballast(tmp_path).room():
            disk.left -= 4096
    assert SIZE - 20 * 4096 <= disk.size <= SIZE
    with Ballast(tmp_path).room_to_delete():
        assert disk.size == 0
    assert SIZE - 20 * 4096 <= disk.size <= SIZE


def test_deletion_leaves_its_request_the_room_to_record_it(disk: SmallDisk, tmp_path: Path) -> None:
    disk.fill()
    with Ballast(tmp_path).room():
        with Ballast(tmp_path).room_to_delete():
            disk.left += 1000  # what was deleted
        assert disk.free >= MIB
    assert disk.size == SIZE


def test_ballast_is_not_touched_while_there_is_room(disk: SmallDisk, tmp_path: Path) -> None:
    disk.fill(but=SIZE)
    with Ballast(tmp_path).room(), Ballast(tmp_path).room_to_delete():
        assert disk.size == SIZE


@pytest.mark.parametrize("size", [0, KEPT - 5])
def test_ballast_that_is_small_grows_only_by_what_is_free(
    size: int, disk: SmallDisk, tmp_path: Path
) -> None:
    os.truncate(disk.path, size)
    disk.fill()
    with Ballast(tmp_path).room():
        assert disk.size == size
    assert disk.size == size
    disk.fill(but=2 * 4096)
    with Ballast(tmp_path).room():
        assert disk.size == size
    assert disk.size == size + 2 * 4096


DELETING = {
    "trash": ["--empty", "alice"],
    "cleanup": [],
    "delete-account": ["alice", "--yes"],
}


def test_each_command_that_deletes_has_the_room_to(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    helped = {name for name, command in cli.commands.items() if "elete" in (command.help or "")}
    assert helped == set(DELETING) - {"trash"}
    for name, words in DELETING.items():
        upload(alice, "a.txt")
        choose(alice, "trash", links(alice)["a.txt"])
        with app.app_context():
            moment = now() - timedelta(days=40)
            trashed = update(Entry).where(Entry.trashed_at.is_not(None))
            db.session.execute(trashed.values(trashed_at=moment))
            days = (now().date() - timedelta(days=number) for number in range(1, 40))
            for day in days:
                db.session.merge(SeenDay(day=day))
            db.session.commit()
            engine = db.engine
        with monkeypatch.context() as patch, without_room(engine, patch) as (deleted, missing):
            assert app.test_cli_runner().invoke(cli, [name, *words]).exit_code == 0
        assert deleted
        assert missing == []


def test_missing_ballast_stays_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_free(monkeypatch, 0)
    with Ballast(tmp_path).room(), Ballast(tmp_path).room_to_delete():
        pass
    assert list(tmp_path.iterdir()) == []
