"""What is recorded while the database is locked or cannot grow: later, once each, in order."""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from flask_delegate.receipts import Receipt as LogLine
from portal.activity import receipts, report, spool
from portal.activity.record import bring_in, record
from portal.activity.spool import Spool
from portal.core.database import db
from portal.core.models import Activity, Receipt
from tests.support.capabilities import modes_bind
from tests.support.locks import be_impatient, locked
from tests.support.portal import links, post_folder, sign_in, upload

QUICK = 0.5
"""Seconds of a request that waits for nobody, on a slow machine."""
KILLED = {"before the commit": (sa.Connection, "commit"), "after the commit": (os, "pwrite")}


@contextmanager
def full() -> Iterator[None]:
    """Keep the database from growing."""

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 1").close()

    sa.event.listen(db.engine, "checkout", limit)
    yield
    sa.event.remove(db.engine, "checkout", limit)
    db.session.close()
    db.engine.dispose()


def details(action: str = "archive") -> list[str]:
    """Return what the database has, in order."""
    rows = sa.select(Activity.detail).where(Activity.action == action).order_by(Activity.id)
    return list(db.session.scalars(rows))


def test_downloads_wait_for_no_writer_and_each_is_recorded_once(
    alice: FlaskClient, data: Path, app: Flask
) -> None:
    upload(alice, "a.txt")
    address = links(alice)["a.txt"]
    with locked(data):
        for number in range(10):
            began = time.monotonic()
            where = {"REMOTE_ADDR": f"198.51.100.{number}"}
            with alice.get(address, environ_overrides=where) as response:
                assert (response.status_code, response.data) == (200, b"content\n")
            for page in ("/", "/activity", "/sign-in"):
                assert alice.get(page).status_code in {200, 302}
            assert time.monotonic() - began < 5 * QUICK
        with app.app_context():
            assert details("download") == []
    page = alice.get("/activity").text
    assert page.index("198.51.100.9") < page.index("198.51.100.0")
    with app.app_context():
        rows = sa.select(Activity.address).where(Activity.action == "download")
        found = list(db.session.scalars(rows.order_by(Activity.id)))
    assert found == [f"198.51.100.{number}" for number in range(10)]


def test_many_downloads_are_brought_in_together_and_before_what_follows(
    alice: FlaskClient, app: Flask
) -> None:
    upload(alice, "a.txt")
    address = links(alice)["a.txt"]
    for number in range(300):
        where = {"REMOTE_ADDR": f"198.51.100.{number % 250}"}
        alice.get(address, environ_overrides=where).close()
    with app.app_context():
        assert 150 < len(details("download")) < 300
    post_folder(alice, "Next")
    with app.app_context():
        assert len(details("download")) == 300
        columns = Activity.action, Activity.address, Activity.actor
        rows = db.session.execute(sa.select(*columns).order_by(Activity.id))
    assert list(rows)[-301:] == [
        *(("download", f"198.51.100.{number % 250}", "alice") for number in range(300)),
        ("create folder", "127.0.0.1", "alice"),
    ]


def test_writers_say_that_the_portal_is_busy(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch, app: Flask
) -> None:
    be_impatient(monkeypatch)
    with app.app_context():
        db.engine.dispose()
        with db.engine.connect():
            pass
    with locked(data):
        for response in (post_folder(alice, "Of mine"), sign_in(app.test_client(), "alice")):
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "Nothing was changed. Try again in a minute." in response.text
    assert "Of mine" not in alice.get("/").text


@pytest.mark.sqlite("how it is full")
def test_download_is_refused_where_nothing_is_left_to_record_it(
    alice: FlaskClient, data: Path, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    address, answers = links(alice)["a.txt"], []
    monkeypatch.setattr(spool, "SIZE", 1024)
    with locked(data):
        for _ in range(10):
            with alice.get(address) as response:
                answers.append(response.status_code)
        assert answers[0] == 200
        assert answers == sorted(answers)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "60"
        assert "cannot record downloads now" in response.get_data(as_text=True)
    with alice.get(address) as response:
        assert response.status_code == 200
    with app.app_context():
        assert len(details("download")) == answers.count(200) + 1


@pytest.mark.sqlite("how it is full")
def test_nothing_is_lost_over_a_full_disk(app: Flask) -> None:
    wanted = [f"{number} {'x' * 200}" for number in range(50)]
    with app.app_context():
        with full():
            for detail in wanted:
                record("archive", detail=detail)
            assert len(details()) < 30
        bring_in(wait=True)
        assert details() == wanted


@pytest.mark.parametrize("killed", KILLED)
def test_what_is_brought_in_again_is_there_once(
    app: Flask, data: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    with app.app_context():
        for number in range(3):
            with locked(data):
                address = "" if number == 1 else None
                record("archive", detail=str(number), actor="ä'\n\x01", address=address)
            if number == 1:
                with monkeypatch.context() as patch:
                    target, name = KILLED[killed]
                    patch.setattr(target, name, Mock(side_effect=MemoryError))
                    with pytest.raises(MemoryError):
                        bring_in(wait=True)
        bring_in(wait=True)
        assert details() == ["0", "1", "2"]
        assert Spool(data / "activity.spool").length() == 0


def test_another_spool_after_a_restore_is_brought_in(app: Flask, data: Path) -> None:
    with app.app_context():
        for number in range(2):
            with locked(data):
                record("archive", detail=str(number))
            bring_in(wait=True)
            (data / "activity.spool").unlink()
        assert details() == ["0", "1"]


@pytest.mark.parametrize(
    "line",
    [
        *(bytes(9), b"[]\n", b"{}\n"),
        b'{"at": "2026-01-01T00:00:00+00:00", "action": "x", "odd": 1}\n',
        b'{"at": "2026-01-01T00:00:00+00:00", "action": "x", "owner_id": %d}\n' % 2**63,
        b"[" * 100_000 + b"\n",
    ],
    ids=["a power cut", "no row", "nothing", "of another version", "too large", "too deep"],
)
def test_line_that_cannot_be_brought_in_keeps_no_other_out(
    line: bytes, app: Flask, data: Path
) -> None:
    waiting = Spool(data / "activity.spool")
    with app.app_context():
        for number in range(2):
            with locked(data):
                record("archive", detail=str(number))
            waiting.append(line)
        record("archive", detail="2")
        assert details() == ["0", "1", "2"]


def test_receipt_finds_a_download_that_waits(app: Flask, data: Path) -> None:
    line = LogLine("1" * 16, datetime.now(UTC), "GET", 200, 8, None, "completed")
    with app.app_context():
        with locked(data):
            record("download", handoff=line.id)
        assert receipts.store([line]) == 1
        assert db.session.scalar(sa.select(Receipt.handoff)) == line.id


def test_receipts_wait_for_a_locked_database(
    app: Flask, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    line = LogLine("1" * 16, datetime.now(UTC), "GET", 200, 8, None, "completed")
    with app.app_context():
        with locked(data):
            record("download", handoff=line.id)
            with db.engine.connect():  # whose time limit it has from then on
                pass
            with pytest.raises(OperationalError, match="lock"):
                receipts.store([line], data / "log", {"a": 1})
            db.session.rollback()
            assert report.page(report.matching(has_names=True), has_names=True).rows == []
        assert receipts.position_in(data / "log") == {}
        assert receipts.store([line], data / "log", {"a": 1}) == 1


@pytest.mark.usefixtures("app")
def test_room_is_reserved_at_the_start(data: Path) -> None:
    path = data / "activity.spool"
    assert path.stat().st_size == spool.SIZE
    assert path.stat().st_blocks * 512 >= spool.SIZE
    assert path.stat().st_mode & 0o777 == 0o600


def test_disk_that_is_full_at_the_start_is_no_reason_not_to_start(tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "nowhere" / "spool")
    waiting.reserve()
    assert waiting.length() == 0
    assert not waiting.append(b"line\n")


@pytest.mark.parametrize(("number", "is_traced"), [(errno.ENOSPC, False), (errno.EIO, True)])
def test_full_disk_is_logged_in_a_line(
    number: int,
    is_traced: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_given: int) -> None:
        raise OSError(number, "for a reason")

    monkeypatch.setattr("portal.activity.spool.os.posix_fallocate", fails)
    waiting = Spool(tmp_path / "spool")
    waiting.reserve()
    assert not waiting.append(b"line\n")
    assert [bool(one.exc_info) for one in caplog.records] == [is_traced] * 2
    assert "no room is reserved for the record" in caplog.text
    assert caplog.text.count(": for a reason") >= 2


@pytest.mark.parametrize(("first", "end"), [(5, 3), (0, 10**12)])
def test_damaged_head_stops_nothing(first: int, end: int, tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "spool")
    waiting.reserve()
    with (tmp_path / "spool").open("r+b") as file:
        file.write(struct.pack("<8sQQ", b"12345678", first, end))
    assert waiting.append(b"line\n")
    with waiting.take() as taken:
        assert taken.after(taken.first) == [b"line"]
    assert waiting.length() == 0


@pytest.mark.parametrize("more", [1, 3, 30])
def test_nobody_waits_for_who_takes_lines_and_nothing_is_lost(more: int, tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "spool")
    given, found, position = [b"%d" % number for number in range(3 + more)], list[bytes](), 0
    for line in given[:3]:
        assert waiting.append(line + b"\n")
    for _ in range(3):
        with waiting.take() as taken:
            found += taken.after(position)
            position = taken.end
            for line in given[len(found) :]:
                assert waiting.append(line + b"\n")
    assert found == given
    assert waiting.length() == 0


def test_threads_append_together_and_one_is_told_that_lines_grew(tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "spool")
    lines = [f"{number}\n".encode() for number in range(400)]
    with ThreadPoolExecutor(20) as pool:
        grown = list(pool.map(waiting.append, lines))
    with waiting.take() as taken:
        assert sorted(taken.after(0)) == sorted(line.strip() for line in lines)
        length = len(taken.lines)
    assert all(grown)
    steps = sorted(one for one in grown if one and one[0] < one[1])
    assert [before for before, _ in steps] == [0, *(after for _, after in steps[:-1])]
    assert steps[-1][1] == length


def test_lines_without_room_take_none_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SIZE", 1024)
    waiting = Spool(tmp_path / "spool")
    assert waiting.append(b"1" * 900 + b"\n")
    with ThreadPoolExecutor(3) as pool:
        with waiting._turn:
            asked = [pool.submit(waiting.append, line) for line in (b"2" * 70, b"2\n", b"3" * 70)]
            while len(waiting._wanted) < 3:
                time.sleep(0.01)
        assert [one.result() is not None for one in asked] == [False, True, False]
    assert waiting.append(b"3\n")


def test_spool_that_was_cut_gets_its_room_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = Spool(tmp_path / "spool")
    assert waiting.append(b"1\n")
    os.truncate(tmp_path / "spool", 24)
    for _ in range(2):
        with waiting.take():
            pass
    assert "was cut" in caplog.text
    assert waiting.length() == 0
    assert (tmp_path / "spool").stat().st_blocks * 512 >= spool.SIZE
    assert waiting.append(b"2\n")
    with waiting.take() as taken:
        assert taken.after(0) == [b"2"]


def test_head_is_on_the_disk_before_anybody_says_how_far_it_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, on_disk = Spool(tmp_path / "spool"), []
    monkeypatch.setattr(
        os, "fdatasync", lambda _: on_disk.append((tmp_path / "spool").read_bytes()[:24])
    )
    assert waiting.append(b"1\n")
    with waiting.take() as taken:
        assert [struct.unpack("<8sQQ", head)[2] for head in on_disk] == [taken.end]


def test_who_takes_the_same_removes_nothing_that_came_since(tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "spool")
    assert waiting.append(b"1\n")
    with waiting.take():
        with waiting.take():
            pass
        assert waiting.append(b"2\n")
    with waiting.take() as taken:
        assert taken.after(taken.first) == [b"2"]


def test_who_reads_waits_for_who_brings_in(alice: FlaskClient, app: Flask, data: Path) -> None:
    upload(alice, "a.txt")
    with locked(data):
        alice.get(links(alice)["a.txt"], environ_overrides={"REMOTE_ADDR": "198.51.100.7"}).close()
    begun = Event()

    def hold() -> None:
        with locked(data):
            begun.set()
            time.sleep(0.1)

    holder = Thread(target=hold)
    holder.start()
    begun.wait()
    assert "198.51.100.7" in alice.get("/activity").text
    holder.join()
    with app.app_context():
        assert details("download") == [""]


def test_spool_that_cannot_be_written_stops_nothing_and_is_brought_in_later(
    alice: FlaskClient, app: Flask, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upload(alice, "a.txt")
    link, path = links(alice)["a.txt"], data / "activity.spool"
    with locked(data):
        alice.get(link, environ_overrides={"REMOTE_ADDR": "198.51.100.7"}).close()
    path.chmod(0o400)
    with modes_bind():
        assert [alice.get(page).status_code for page in ("/", "/trash", "/activity")] == [200] * 3
        assert "198.51.100.7" not in alice.get("/activity").text
        assert post_folder(alice, "Projects").status_code == 302
        with alice.get(link) as response:
            assert response.data
        assert sign_in(app.test_client(), "bob").status_code == 302
    assert f"{path} cannot be written" in caplog.text
    with app.app_context():
        recorded = sa.select(Activity.action).order_by(Activity.id)
        now = ["sign in", "upload", "create folder", "download", "sign in"]
        assert db.session.scalars(recorded).all() == now
    path.chmod(0o600)
    assert "198.51.100.7" in alice.get("/activity").text
    with app.app_context():
        assert db.session.scalars(recorded).all() == [*now, "download"]
