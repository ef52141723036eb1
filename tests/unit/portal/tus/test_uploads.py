"""Uploads in pieces, as a client of tus 1.0 makes them."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import io
import os
import sqlite3
import threading
import time
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Activity, CancelledUpload, Folder, StoredFile, Upload, now
from portal.files import quota, trash
from portal.maintenance import cleanup
from portal.maintenance.backup import on_disk
from portal.sharing import room
from portal.storage import parts
from portal.storage.content import current_storage
from portal.storage.disk import Disk
from portal.storage.incoming import OverAllowanceError, StorageFullError
from portal.tus import announced, headers, pieces
from portal.tus.headers import HeaderError
from tests.support.portal import (
    REDIRECT,
    arriving,
    choose,
    delete_for_good,
    folder_id,
    folders,
    kept,
    links,
    make_folder,
    sign_in,
    signed_in,
    upload,
)
from tests.support.tus import Tus, words

MIB = 1024**2
DAY = 24 * 60 * 60
YEAR = 365 * DAY
CONTENT = bytes(range(256)) * 400


@pytest.fixture
def tus(alice: FlaskClient) -> Tus:
    return Tus(alice)


def unfinished(data: Path) -> list[Path]:
    return list((data / "incoming/parts").glob("*"))


def names_of(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_file_appears_when_it_is_complete_and_not_before(
    app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    url = tus.begin(len(CONTENT), filename="Übersicht.bin")
    first = tus.add(url, 0, CONTENT[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert tus.offset(url) == 1000
    assert links(alice) == {}
    assert kept(data) == []

    last = tus.add(url, 1000, CONTENT[1000:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
    with alice.get(links(alice)["Übersicht.bin"]) as response:
        assert response.data == CONTENT
    with app.app_context():
        stored = db.session.scalars(select(StoredFile)).one()
        assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert (
            stored.size == db.session.scalars(select(func.max(Account.used))).one() == len(CONTENT)
        )
        done = db.session.scalars(select(Activity).where(Activity.action == "upload")).one()
        assert (done.actor, done.name) == ("alice", "Übersicht.bin")
    assert unfinished(data) == []
    assert list((data / "incoming").glob("[0-9a-f]*")) == []
    # The client may not have heard the answer, so it may ask again.
    assert tus.offset(url) == len(CONTENT)


def test_what_another_process_took_is_hashed_too(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = tus.begin(len(CONTENT))
    for start in range(0, len(CONTENT), 30_000):
        tus.add(url, start, CONTENT[start : start + 30_000])
        if start == 30_000:
            monkeypatch.setattr(parts, "_hashes", OrderedDict())
    with app.app_context():
        stored = db.session.scalars(select(StoredFile)).one()
        assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_hashes_of_long_ago_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_hashes", OrderedDict())
    for number in range(300):
        (tmp_path / str(number)).touch()
        with parts.PartFile(tmp_path / str(number), 2, 0) as part:
            part.write(b"a")
    assert len(parts._hashes) == 256
    assert next(iter(parts._hashes)) == tmp_path / "44"


def test_hash_of_another_size_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.touch()
    with parts.PartFile(path, 2, 0) as part:
        part.write(b"a")
    path.write_bytes(b"bc")
    with parts.PartFile(path, 2, 0) as part:
        assert part.sha256 == hashlib.sha256(b"bc").hexdigest()


def test_file_comes_whole_with_its_creation(alice: FlaskClient, tus: Tus) -> None:
    made = tus.create(len(CONTENT), CONTENT, filename="a.bin")
    assert (made.status_code, made.headers["Upload-Offset"]) == (201, str(len(CONTENT)))
    assert "a.bin" in links(alice)


def test_part_of_a_file_comes_with_its_creation(alice: FlaskClient, tus: Tus) -> None:
    made = tus.create(len(CONTENT), CONTENT[:7], filename="a.bin")
    assert (made.status_code, made.headers["Upload-Offset"]) == (201, "7")
    assert tus.add(made.location, 7, CONTENT[7:]).status_code == 204
    assert "a.bin" in links(alice)


def test_empty_file_is_complete_at_once(alice: FlaskClient, tus: Tus) -> None:
    assert tus.create(0, filename="empty").headers["Upload-Offset"] == "0"
    assert "empty" in links(alice)


def test_protocol_is_described(app: Flask, tus: Tus) -> None:
    said = app.test_client().open("/uploads/", method="OPTIONS")
    assert said.status_code == 204
    assert said.headers["Tus-Version"] == "1.0.0"
    extensions = "creation,creation-with-upload,expiration,checksum,termination"
    assert said.headers["Tus-Extension"] == extensions
    assert said.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,sha512"
    url = tus.begin(5, filename="a", other="b")
    asked = tus.send("HEAD", url)
    assert asked.headers["Cache-Control"] == "no-store"
    assert asked.headers["Upload-Length"] == "5"
    assert asked.headers["Upload-Metadata"] == "filename YQ==,other Yg=="
    assert asked.headers["Upload-Expires"].endswith("GMT")
    assert asked.headers["Tus-Resumable"] == "1.0.0"


def test_another_version_is_refused(tus: Tus) -> None:
    refused = tus.send("POST", "/uploads/", Upload_Length="1", Tus_Resumable="0.2.2")
    assert (refused.status_code, refused.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "DELETE"])
def test_who_is_signed_out_is_told_in_words(method: str, app: Flask) -> None:
    url = "/uploads/" if method == "POST" else "/uploads/x"
    headers_ = {"Tus-Resumable": "1.0.0"}
    refused = app.test_client().open(url, method=method, headers=headers_)
    assert refused.status_code == 401
    assert refused.mimetype == "text/plain"
    if method != "HEAD":
        assert refused.text.startswith("You are signed out.")


def test_a_page_of_another_account_is_told_that_that_is_not_signed_in(
    app: Flask, tus: Tus, data: Path
) -> None:
    """Else it would take what the account of now may not see for gone, and begin anew."""
    url = tus.begin(3, filename="a")
    bob = Tus(signed_in(app, "bob"))
    assert bob.send("OPTIONS", url).headers["X-Account"] == "bob"
    for method, address in (("HEAD", url), ("PATCH", url), ("DELETE", url), ("POST", "/uploads/")):
        said = {"Upload_Length": "3", "Upload_Offset": "0", "X_Account": "alice"}
        refused = bob.send(method, address, b"", **said)
        assert refused.status_code == 401
        if method != "HEAD":
            assert refused.text == "bob is signed in now. Sign in as alice, and then resume.\n"
        del said["X_Account"]
        assert bob.send(method, address, b"", **said).status_code != 401
    assert tus.send("HEAD", url, X_Account="alice").headers["Upload-Offset"] == "0"
    assert len(unfinished(data)) == 2  # bob's own, too


@pytest.mark.parametrize("offset", ["-1", "1", "999", "x", "", "0x0", "1e1", "9" * 30, "\u0660"])
def test_wrong_offset_adds_nothing(offset: str, tus: Tus) -> None:
    url = tus.begin(10)
    sent = offset.encode().decode("latin-1")
    refused = tus.send("PATCH", url, b"12345", Upload_Offset=sent)
    assert refused.status_code in {400, 409}
    assert tus.offset(url) == 0


@pytest.mark.parametrize("length", ["-1", "", "x", "1.5", "9" * 30])
def test_wrong_length_begins_nothing(length: str, tus: Tus, data: Path) -> None:
    refused = tus.send("POST", "/uploads/", Upload_Length=length)
    assert refused.status_code == 400
    assert "Upload-Length must be a whole number" in refused.text
    assert unfinished(data) == []


def test_piece_that_comes_again_is_told_where_to_go_on(tus: Tus) -> None:
    # Chromium sends a request again by itself where a connection that was used before is reset.
    url = tus.begin(10)
    tus.add(url, 0, b"1234")
    assert tus.add(url, 0, b"1234567890").status_code == 409
    assert tus.offset(url) == 4


def test_more_than_announced_is_refused_whole(alice: FlaskClient, tus: Tus) -> None:
    url = tus.begin(10)
    tus.add(url, 0, b"1234")
    refused = tus.add(url, 4, b"5678901")
    assert refused.status_code == 413
    assert "10 bytes" in refused.text
    assert tus.offset(url) == 4
    assert links(alice) == {}


def test_more_than_announced_is_refused_where_it_was_not_counted_before(
    app: Flask, tus: Tus
) -> None:
    url = tus.begin(10, filename="a")
    with app.app_context():
        upload_row = db.session.scalars(select(Upload)).one()
        stream = io.BytesIO(b"12345678901")
        with pieces.opened(upload_row) as part, pytest.raises(OverAllowanceError):
            pieces.append(upload_row, part, stream)
    assert tus.offset(url) == 0


def test_piece_arrives_at_the_upload_that_it_was_sent_to(
    alice: FlaskClient, tus: Tus, data: Path
) -> None:
    first, second = tus.begin(3, filename="first"), tus.begin(3, filename="second")
    assert tus.add(second, 0, b"ab").status_code == 204
    assert [tus.offset(url) for url in (first, second)] == [0, 2]
    assert sorted(path.read_bytes() for path in unfinished(data)) == [b"", b"ab"]
    tus.add(second, 2, b"c")
    assert list(links(alice)) == ["second"]
    assert tus.send("DELETE", first).status_code == 204
    assert tus.send("HEAD", first).status_code == 404
    assert tus.offset(second) == 3


def test_finished_upload_takes_nothing_more(alice: FlaskClient, tus: Tus) -> None:
    url = tus.create(3, b"abc", filename="a").location
    assert tus.add(url, 3, b"").status_code == 409
    assert tus.add(url, 0, b"abc").status_code == 409
    assert list(links(alice)) == ["a"]


class Slow:
    """A body that waits in its middle."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._pieces = [b"12345", b"67890"]

    def read(self, _size: int = -1) -> bytes:
        if len(self._pieces) == 1:
            self.reached.set()
            assert self.go_on.wait(30)
        return self._pieces.pop(0) if self._pieces else b""


def test_of_two_at_once_one_waits_its_turn(app: Flask, tus: Tus) -> None:
    url = tus.begin(10, filename="a")
    body = Slow()

    def add_slowly() -> None:
        with app.app_context():
            row = db.session.scalars(select(Upload)).one()
            with pieces.opened(row) as part:
                pieces.append(row, part, body)  # type: ignore[arg-type]
                assert part.size == 10

    thread = threading.Thread(target=add_slowly)
    thread.start()
    assert body.reached.wait(30)
    for refused in (tus.send("HEAD", url), tus.add(url, 0, b"abcde")):
        assert refused.status_code == 423
    body.go_on.set()
    thread.join()
    # That request ended before it could finish the upload, so asking does.
    assert tus.offset(url) == 10


def test_piece_is_held_to_its_checksum(tus: Tus) -> None:
    url = tus.begin(10)
    good = base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    assert tus.add(url, 0, b"12346", Upload_Checksum=f"sha256 {good}").status_code == 460
    assert tus.offset(url) == 0
    assert tus.add(url, 0, b"12345", Upload_Checksum=f"sha256 {good}").status_code == 204
    assert tus.offset(url) == 5
    for wrong in ("md5 abcd", "sha1 ***", "sha1"):
        assert tus.add(url, 5, b"67890", Upload_Checksum=wrong).status_code in {400, 460}
    assert tus.offset(url) == 5


class Cut:
    """A body whose connection is lost."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, _size: int = -1) -> bytes:
        if not self._pieces:
            raise OSError("request data read error")
        return self._pieces.pop(0)


def test_what_came_before_a_lost_connection_stays(alice: FlaskClient, tus: Tus) -> None:
    url = tus.begin(10, filename="a")
    lost = tus.send("PATCH", url, Cut(b"1234"), Upload_Offset="0", Content_Length="10")
    assert lost.status_code == 400
    assert tus.offset(url) == 4
    assert links(alice) == {}
    assert tus.add(url, 4, b"567890").status_code == 204
    with alice.get(links(alice)["a"]) as response:
        assert response.data == b"1234567890"


def test_what_no_checksum_can_be_held_to_goes(tus: Tus) -> None:
    url = tus.begin(10)
    said = {"Upload_Offset": "0", "Content_Length": "10", "Upload_Checksum": "sha1 abcd"}
    assert tus.send("PATCH", url, Cut(b"1234"), **said).status_code == 400
    assert tus.offset(url) == 0


def test_upload_is_finished_late_if_its_last_request_was_killed(
    app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    url = tus.begin(10, filename="a")
    tus.add(url, 0, b"12345")
    with app.app_context():
        row = db.session.scalars(select(Upload)).one()
        with pieces.opened(row) as part:
            pieces.append(row, part, io.BytesIO(b"67890"))
    assert links(alice) == {}
    assert tus.offset(url) == 10
    with alice.get(links(alice)["a"]) as response:
        assert response.data == b"1234567890"
    assert unfinished(data) == []


@pytest.mark.parametrize("tail", [b"", b"\0\0", b"678", bytes(5)])
def test_what_a_power_cut_has_left_beyond_what_was_noted_is_cut_off(
    tail: bytes, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    url = tus.begin(10, filename="a")
    tus.add(url, 0, b"12345")
    (part,) = unfinished(data)
    with part.open("ab") as file:
        file.write(tail)
    assert tus.offset(url) == 5
    assert tus.add(url, 5, b"67890").status_code == 204
    with alice.get(links(alice)["a"]) as response:
        assert response.data == b"1234567890"


@pytest.mark.disk("puts another one in the place of what writes there")
def test_piece_is_on_the_disk_before_it_is_noted_and_answered(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_NOTED_EVERY", 3)
    synced: list[tuple[int, int]] = []

    def sync(part: parts.PartFile) -> int:
        with app.app_context():
            noted = db.session.scalars(select(Upload.arrived)).one()
        synced.append((noted, os.fstat(part.fileno()).st_size))
        return part.size

    monkeypatch.setattr(parts.PartFile, "sync", sync)
    url = tus.begin(10)
    body = Cut(b"123", b"456", b"7")
    tus.send("PATCH", url, body, Upload_Offset="0", Content_Length="10")
    assert synced == [(0, 3), (3, 6), (6, 7)]
    assert tus.offset(url) == 7


def test_given_up_upload_is_gone(tus: Tus, data: Path) -> None:
    url = tus.begin(10)
    tus.add(url, 0, b"123")
    assert tus.send("DELETE", url).status_code == 204
    assert tus.send("HEAD", url).status_code == 404
    assert tus.add(url, 3, b"4").status_code == 404
    assert unfinished(data) == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\passwd", "x\0/passwd"]
)
def test_path_in_a_name_leads_nowhere(name: str, alice: FlaskClient, tus: Tus, data: Path) -> None:
    tus.create(1, b"x", filename=name)
    assert list(links(alice)) == ["passwd"]
    assert len(kept(data)) == 1


def test_folders_come_along(alice: FlaskClient, tus: Tus) -> None:
    for path in ("Trip/day 1/a.jpg", "Trip/day 1/b.jpg", "trip/c.jpg", "../Trip/../../d.jpg"):
        made = tus.create(1, b"x", filename=path.rpartition("/")[2], relativePath=path)
        assert made.status_code == 201, made.text
    assert set(folders(alice)) == {"Trip", "unnamed"}
    trip = folders(alice)["Trip"]
    assert set(links(alice, trip)) == {"c.jpg"}
    assert set(links(alice, folders(alice, trip)["day 1"])) == {"a.jpg", "b.jpg"}


def test_folder_does_not_take_a_files_name(alice: FlaskClient, tus: Tus) -> None:
    upload(alice, "Trip")
    for name in ("a", "b"):
        tus.create(1, b"x", filename=name, relativePath=f"Trip/{name}")
    assert set(links(alice)) == {"Trip"}
    assert set(links(alice, folders(alice)["Trip (2)"])) == {"a", "b"}


def test_folders_that_lie_too_deep_are_refused(tus: Tus, data: Path) -> None:
    refused = tus.create(1, relativePath="x/" * 60 + "a")
    assert refused.status_code == 400
    assert "50 deep" in refused.text
    assert unfinished(data) == []


def test_anothers_folder_and_upload_look_as_if_they_were_not_there(
    alice: FlaskClient, bob: FlaskClient, tus: Tus
) -> None:
    theirs = Tus(bob)
    assert theirs.create(1, folder=folder_id(alice)).status_code == 404
    url = tus.begin(10)
    assert theirs.send("HEAD", url).status_code == 404
    assert theirs.add(url, 0, b"x").status_code == 404
    assert theirs.send("DELETE", url).status_code == 404
    assert tus.offset(url) == 0


def test_upload_into_a_folder_that_was_deleted_ends(
    alice: FlaskClient, tus: Tus, data: Path
) -> None:
    page = make_folder(alice, "Gone")
    url = tus.begin(3, folder=page.rpartition("/")[2], filename="a")
    tus.add(url, 0, b"a")
    delete_for_good(alice, page)
    assert tus.add(url, 1, b"bc").status_code == 404
    assert tus.create(3, folder=page.rpartition("/")[2]).status_code == 404
    assert (links(alice), unfinished(data), kept(data)) == ({}, [], [])


@pytest.mark.parametrize("how", ["purge", "empty", "account"])
def test_what_arrived_goes_with_its_folder(
    how: str, app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    page = make_folder(alice, "Gone")
    url = tus.begin(3, folder=page.rpartition("/")[2], filename="a")
    assert tus.add(url, 0, b"ab").status_code == 204
    choose(alice, "trash", page)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        if how == "purge":
            trash.purge(trash.all_trashed(account.id)[0])
        elif how == "empty":
            trash.empty(account.id)
        else:
            accounts.delete(account)
    assert list((data / "incoming" / "parts").iterdir()) == []


def test_uploads_that_are_begun_count_against_the_quota(app: Flask, tus: Tus) -> None:
    set_quota(app, 100)
    url = tus.begin(60)
    refused = tus.create(60)
    assert refused.status_code == 413
    assert "You have used 60 bytes of your 100 bytes" in refused.text
    tus.send("DELETE", url)
    assert tus.create(60).status_code == 201


def test_quota_is_looked_at_on_the_way(app: Flask, alice: FlaskClient, tus: Tus) -> None:
    set_quota(app, 100)
    url = tus.begin(60, filename="a")
    assert tus.add(url, 0, b"x" * 30).status_code == 204
    assert upload(alice, "other", b"x" * 40).status_code == REDIRECT
    set_quota(app, 90)
    refused = tus.add(url, 30, b"x" * 30)
    assert refused.status_code == 413
    assert "empty the trash and delete versions there" in refused.text
    set_quota(app, 200)
    assert tus.add(url, 30, b"x" * 30).status_code == 204
    assert set(links(alice)) == {"a", "other"}


def test_quota_that_is_taken_at_the_last_moment_loses_nothing(
    app: Flask, alice: FlaskClient, tus: Tus, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    set_quota(app, 100)
    url = tus.begin(60, filename="a")
    with monkeypatch.context() as patch:
        patch.setattr(quota, "check_begun", lambda *_: set_quota(app, 10))
        assert tus.add(url, 0, b"x" * 60).status_code == 413
        assert kept(data) == []
        assert names_of(arriving(data)) == ["parts"]
        assert tus.send("HEAD", url).status_code == 413  # and not: complete
    set_quota(app, 100)
    assert tus.offset(url) == 60
    assert "a" in links(alice)


@pytest.mark.sqlite("its error")
def test_database_that_cannot_be_written_loses_nothing(
    alice: FlaskClient, tus: Tus, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    url = tus.begin(3, filename="a")
    with monkeypatch.context() as patch:

        def full(*_args: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError("INSERT", {}, error)

        patch.setattr(quota, "charge", full)
        assert tus.add(url, 0, b"abc").status_code == 507
    assert kept(data) == []
    assert names_of(arriving(data)) == ["parts"]
    assert tus.offset(url) == 3
    assert list(links(alice)) == ["a"]


@pytest.mark.disk("fills it, or lets it fail")
def test_disk_that_is_full_at_the_end_keeps_the_parts_alone(
    alice: FlaskClient, tus: Tus, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    url = tus.begin(3, filename="a")
    with monkeypatch.context() as patch:

        def full(*_args: object) -> None:
            raise StorageFullError

        patch.setattr(Disk, "keep", full)
        assert tus.add(url, 0, b"abc").status_code == 507
    assert kept(data) == []
    assert names_of(arriving(data)) == ["parts"]
    assert [path.read_bytes() for path in unfinished(data)] == [b"abc"]
    assert tus.offset(url) == 3
    assert list(links(alice)) == ["a"]


@pytest.mark.disk("fills it, or lets it fail")
def test_full_disk_is_told_before_anything_is_sent(tus: Tus, app: Flask, data: Path) -> None:
    app.extensions["portal.parts"] = parts.Parts(disk_storage_of(app).incoming, 2**62)
    refused = tus.create(1)
    assert refused.status_code == 507
    assert "disk is full" in refused.text
    assert unfinished(data) == []


def test_disk_without_room_for_one_more_name_is_507(
    app: Flask, tus: Tus, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus.begin(1)  # so the folder is there

    def no_inode(path: Path, *_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "touch", no_inode)
    refused = tus.create(1)
    assert refused.status_code == 507
    assert "disk is full" in refused.text
    assert len(unfinished(data)) == 1
    with app.app_context():
        assert db.session.query(Upload).count() == 1


def test_too_many_begun_uploads_are_refused(tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_UNFINISHED", 2)
    assert tus.create(1).status_code == 201
    assert tus.create(1).status_code == 201
    refused = tus.create(1)
    assert refused.status_code == 429
    assert "Finish or cancel some first" in refused.text


def test_piece_may_be_as_long_as_a_request(make_app: Callable[..., Flask], app: Flask) -> None:
    del app
    small = make_app(MAX_CONTENT_LENGTH=1000)
    with small.test_client() as client:
        sign_in(client, "alice")
        tus = Tus(client)
        url = tus.begin(3000, filename="a")
        refused = tus.add(url, 0, b"x" * 1001)
        assert refused.status_code == 413
        assert "Send the file in smaller pieces" in refused.text
        for offset in (0, 1000, 2000):
            assert tus.add(url, offset, b"x" * 1000).status_code == 204
        assert "a" in links(client)


def test_another_type_is_refused(tus: Tus) -> None:
    url = tus.begin(3)
    refused = tus.add(url, 0, b"abc", Content_Type="multipart/form-data; boundary=x")
    assert refused.status_code == 415
    assert tus.offset(url) == 0


def test_expired_uploads_are_given_up(app: Flask, tus: Tus, data: Path) -> None:
    old, young = tus.begin(10), tus.begin(10)
    tus.add(old, 0, b"123")
    with app.app_context():
        long_ago = now() - timedelta(days=3, seconds=1)
        old_id = old.rpartition("/")[2]
        db.session.execute(
            update(Upload).where(Upload.public_id == old_id).values(used_at=long_ago)
        )
        db.session.commit()
    assert tus.send("HEAD", old).status_code == 404
    with app.app_context():
        assert cleanup.clean_up(data, current_storage())["unfinished uploads"] == 1
    assert len(unfinished(data)) == 1
    assert tus.offset(young) == 0


def test_finished_uploads_are_not_counted_as_unfinished(
    app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    tus.add(tus.begin(3), 0, b"123")
    tus.begin(3)
    with app.app_context():
        db.session.execute(update(Upload).values(used_at=now() - timedelta(days=4)))
        db.session.commit()
        deleted = cleanup.clean_up(data, current_storage())
        assert not db.session.query(Upload).count()
    assert deleted["unfinished uploads"] == deleted["records of finished uploads"] == 1
    assert len(links(alice)) == 1


def test_upload_that_goes_on_is_not_given_up(app: Flask, tus: Tus, data: Path) -> None:
    tus.begin(10)
    (part,) = unfinished(data)
    with app.app_context(), part.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        db.session.execute(update(Upload).values(used_at=now() - timedelta(days=4)))
        db.session.commit()
        assert cleanup.clean_up(data, current_storage())["unfinished uploads"] == 0
    assert len(unfinished(data)) == 1


@pytest.mark.parametrize("is_long", [False, True])
def test_a_piece_waits_for_who_only_asks(is_long: bool, tus: Tus, data: Path) -> None:
    url = tus.begin(3)
    (part,) = unfinished(data)
    with part.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unlock = threading.Timer(60 if is_long else 0.05, fcntl.flock, [file, fcntl.LOCK_UN])
        unlock.start()
        added = tus.add(url, 0, b"abc")
        unlock.cancel()
    assert added.status_code == (423 if is_long else 204)


def test_parts_that_no_row_names_go(app: Flask, tus: Tus, data: Path) -> None:
    tus.begin(10)
    with app.app_context():
        db.session.query(Upload).delete()
        db.session.commit()
        (part,) = unfinished(data)
        for age, there, told in ((0, [part], 0), (-YEAR, [part], 0), (2 * DAY, [], 1)):
            os.utime(part, (time.time() - age,) * 2)
            # Young, its row may be under way.
            assert cleanup.clean_up(data, current_storage())["abandoned uploads"] == told
            assert unfinished(data) == there
            assert all(time.time() - one.stat().st_mtime >= 0 for one in there)


@pytest.mark.disk("loses what lies there")
def test_upload_whose_part_is_lost_is_begun_again(tus: Tus, data: Path) -> None:
    url = tus.begin(10)
    (part,) = unfinished(data)
    part.unlink()
    refused = tus.add(url, 0, b"1")
    assert refused.status_code == 404
    assert "Start it again" in refused.text


def test_account_takes_its_uploads_along(app: Flask, tus: Tus) -> None:
    tus.begin(10)
    with app.app_context():
        alice = accounts.find("alice")
        assert alice
        accounts.delete(alice)
        assert db.session.scalars(select(Upload)).all() == []
        assert db.session.scalars(select(Folder).where(Folder.owner_id == alice.id)).all() == []


@pytest.mark.disk("boto3 takes more memory at its first use")
def test_large_piece_takes_little_memory(tus: Tus) -> None:
    class Zeros:
        left = 64 * MIB

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    url = tus.begin(64 * MIB, filename="zeros")
    tracemalloc.start()
    said = {"Upload_Offset": "0", "Content_Length": str(64 * MIB)}
    assert tus.send("PATCH", url, Zeros(), **said).status_code == 204
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    "words", ["filename *", "a YQ==,a YQ==", "filename /w==", "x " + "A" * 20_000]
)
def test_metadata_that_cannot_be_read_is_refused(words: str, tus: Tus) -> None:
    with pytest.raises(HeaderError):
        headers.parse_metadata(words)
    said = {"Upload_Length": "1", "Upload_Metadata": words}
    assert tus.send("POST", "/uploads/", **said).status_code == 400


def test_metadata_is_read_as_the_protocol_has_it() -> None:
    found = headers.parse_metadata("filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential")
    assert found == {"filename": "world_domination_plan.pdf", "is_confidential": ""}


def set_quota(app: Flask, quota: int) -> None:
    with app.app_context():
        db.session.execute(update(Account).values(quota=quota))
        db.session.commit()


def disk_storage_of(app: Flask) -> Disk:
    with app.app_context():
        return on_disk(current_storage())


@pytest.fixture(autouse=True)
def _no_tracing() -> Iterator[None]:
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("sent", ["filename \xe9", "filename \xe9\xff", "a YQ==,b \xe9"])
def test_headers_that_are_not_ascii_are_refused_in_words(
    sent: str, tus: Tus, alice: FlaskClient, data: Path
) -> None:
    refused = tus.send("POST", "/uploads/", Upload_Length="1", Upload_Metadata=sent)
    assert (refused.status_code, unfinished(data)) == (400, [])
    url = tus.begin(5)
    assert tus.add(url, 0, b"12345", Upload_Checksum="sha1 \xe9").status_code == 400
    assert tus.offset(url) == 0
    assert links(alice) == {}


def test_empty_folders_are_created_at_their_place(alice: FlaskClient, tus: Tus, data: Path) -> None:
    for path in ("Trip/Empty/", "Trip/Empty/", "trip/Other/", "/"):
        made = tus.send("POST", "/uploads/folders/", Upload_Metadata=words(relativePath=path))
        assert made.status_code == 201, made.text
    assert set(folders(alice)) == {"Trip"}
    assert set(folders(alice, folders(alice)["Trip"])) == {"Empty", "Other"}
    deep = words(relativePath="x/" * 60)
    assert tus.send("POST", "/uploads/folders/", Upload_Metadata=deep).status_code == 400
    assert unfinished(data) == []


@pytest.mark.parametrize("size", [0, 3])
def test_creation_whose_answer_was_missed_is_repeated(
    size: int, app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    set_quota(app, 3)
    url = tus.begin(size, filename="a", nonce="1")
    assert tus.begin(size, filename="a", nonce="1") == url
    if size:
        assert tus.add(url, 0, b"abc").status_code == 204
    # Once it is complete, too.
    again = tus.create(size, filename="a", nonce="1")
    assert (again.location, again.headers["Upload-Offset"]) == (url, str(size))
    assert list(links(alice)) == ["a"]
    assert unfinished(data) == []
    tus.begin(0, filename="a", nonce="2")
    assert set(links(alice)) == {"a", "a (2)"}


@pytest.mark.parametrize("between", ["\xa0", "\x85", "\x1f", "ä"])
def test_metadata_is_visible_ascii_as_a_backup_is_read(
    between: str, app: Flask, tus: Tus, data: Path
) -> None:
    for metadata in (between + words(filename="a"), f"filename YQ==,{between}nonce YQ=="):
        refused = tus.send("POST", "/uploads/", Upload_Length="1", Upload_Metadata=metadata)
        assert refused.status_code == 400
    assert unfinished(data) == []
    with app.app_context():
        assert db.session.scalars(select(Upload)).all() == []


def test_only_the_newest_cancelled_uploads_are_remembered(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announced, "_MOST_CANCELLED", 3)
    for n in range(5):
        assert tus.send("DELETE", tus.begin(3, filename="a", nonce=str(n))).status_code == 204
    with app.app_context():
        assert len(db.session.scalars(select(CancelledUpload)).all()) == 3
    for n, status in enumerate([201, 201, 404, 404, 404]):
        assert tus.create(3, filename="a", nonce=str(n)).status_code == status


@pytest.mark.parametrize("is_forgotten", [True, False])
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "POST", "POST with the content"])
def test_a_request_during_which_another_one_finishes_the_upload_says_so(
    method: str,
    is_forgotten: bool,
    app: Flask,
    alice: FlaskClient,
    tus: Tus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has read that the upload is unfinished, and what has arrived is there no more, or is."""
    url, other = tus.begin(3, filename="a", nonce="1"), Tus(signed_in(app, "alice"))
    really_open = parts.Parts.open

    def finish_first(self: parts.Parts, key: str, length: int) -> parts.PartFile:
        with monkeypatch.context() as patch:
            patch.setattr(parts.Parts, "open", really_open)
            if not is_forgotten:
                patch.setattr(parts.Parts, "forget", lambda *_: None)
            assert other.add(url, 0, b"abc").status_code == 204
        monkeypatch.setattr(parts.Parts, "open", really_open)
        return really_open(self, key, length)

    monkeypatch.setattr(parts.Parts, "open", finish_first)
    if method == "HEAD":
        assert tus.offset(url) == 3
    elif method == "PATCH":
        assert tus.add(url, 0, b"abc").status_code == 409
    else:
        again = tus.create(3, b"abc" * method.endswith("content"), filename="a", nonce="1")
        assert (again.status_code, again.location) == (201, url)
        assert again.headers.get("Upload-Offset") == ("3" if method.endswith("content") else None)
    # And the client that asks once more hears the same.
    assert tus.offset(url) == 3
    assert tus.begin(3, filename="a", nonce="1") == url
    assert list(links(alice)) == ["a"]
    with app.app_context():
        assert db.session.scalars(select(Upload)).one().finished_at
        assert (
            len(db.session.scalars(select(Activity).where(Activity.action == "upload")).all()) == 1
        )


@pytest.mark.parametrize("is_complete", [False, True])
def test_creation_that_comes_after_its_upload_was_cancelled_begins_nothing(
    is_complete: bool, app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    """A connection was lost, and the request waited while another one did all of it."""
    url = tus.begin(3, filename="a", nonce="1")
    if is_complete:
        assert tus.add(url, 0, b"abc").status_code == 204
    assert tus.send("DELETE", url).status_code == 204
    for body in (b"", b"ab", b"abc"):
        late = tus.create(3, body, filename="a", nonce="1")
        assert late.status_code == 404
        assert late.text == "This upload was cancelled. Choose the file again to send it.\n"
    assert list(links(alice)) == (["a"] if is_complete else [])
    assert unfinished(data) == []
    with app.app_context():
        assert db.session.scalars(select(Upload)).all() == []
    # Who chooses the file again begins another one; who gives no nonce, too.
    for other in ({"nonce": "2"}, {}, {}):
        assert tus.send("DELETE", tus.begin(3, filename="a", **other)).status_code == 204


@pytest.mark.parametrize("arrived", [0, 2, 3])
def test_creation_with_the_content_is_repeated_after_some_of_it_came(
    arrived: int, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    url = tus.begin(3, filename="a", nonce="1")
    if arrived == 3:  # and the request was killed before its end
        (part,) = unfinished(data)
        part.write_bytes(b"abc")
    elif arrived:
        assert tus.add(url, 0, b"abc"[:arrived]).status_code == 204
    again = tus.create(3, b"abc", filename="a", nonce="1")
    assert (again.status_code, again.location) == (201, url)
    there = int(again.headers["Upload-Offset"])
    assert there == (arrived or 3)
    if there < 3:
        assert tus.add(url, there, b"abc"[there:]).status_code == 204
    (address,) = links(alice).values()
    with alice.get(address) as response:
        assert response.data == b"abc"
    assert unfinished(data) == []


@pytest.mark.parametrize(
    ("length", "body", "checksum", "status"),
    [
        *(("0", b"abc", "", 413), ("3", b"abcdef", "", 413), ("3", b"abc", "md5 AAAA", 400)),
        ("3", b"abc", "sha1 AAAA", 460),
    ],
)
def test_creation_with_a_piece_that_cannot_be_leaves_no_upload(
    length: str, body: bytes, checksum: str, status: int, app: Flask, tus: Tus, data: Path
) -> None:
    said = {"Upload_Length": length, "Upload_Metadata": words(filename="a")}
    if checksum:
        said["Upload_Checksum"] = checksum
    assert tus.send("POST", "/uploads/", body, **said).status_code == status
    assert unfinished(data) == []
    with app.app_context():
        assert db.session.scalars(select(Upload)).all() == []
        assert db.session.scalars(select(StoredFile)).all() == []


def test_creation_that_completes_an_upload_says_no_time_of_expiry(tus: Tus) -> None:
    made = tus.create(3, b"abc", filename="a")
    assert made.headers["Upload-Offset"] == "3"
    assert "Upload-Expires" not in made.headers


@pytest.mark.parametrize("who", ["alice", "visitor"])
def test_token_of_a_new_session_is_told(who: str, app: Flask, alice: FlaskClient) -> None:
    client = alice if who == "alice" else app.test_client()
    assert ("X-CSRFToken" in client.options("/uploads/").headers) is (who == "alice")


def test_part_that_another_process_took_away_is_told_as_finished(app: Flask, tus: Tus) -> None:
    url = tus.begin(4, filename="a.txt")
    tus.add(url, 0, b"ab")
    with app.app_context():
        upload = db.session.scalars(select(Upload)).one()
        with pieces.opened(upload) as part:
            part.write(b"cd")
            part.cut(3)  # which makes its hash unknown
            part.write(b"d")
            db.session.execute(update(Upload).values(finished_at=now(), recorded=None))
            db.session.commit()
            part.path.unlink()
            with pytest.raises(pieces.FinishedError):
                pieces.finish(upload, part)
        assert db.session.scalars(select(StoredFile)).all() == []
