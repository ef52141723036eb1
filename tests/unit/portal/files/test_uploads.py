from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.activity import record
from portal.core.database import db
from portal.core.models import Activity, Folder, StoredFile
from portal.core.references import reference
from portal.files import names, uploads
from portal.storage import incoming
from portal.storage.content import current_storage
from portal.storage.disk import Disk
from portal.storage.incoming import IncomingFile
from tests.support.multipart import BOUNDARY, Counted, form_body, head, part, part_head, post_stream
from tests.support.portal import (
    REDIRECT,
    arriving,
    choose,
    delete_for_good,
    kept,
    links,
    prepare,
    public_id,
    signed_in,
    token,
    upload,
    upload_url,
)

MIB = 1024**2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report.txt", "report.txt"),
        ("Übersicht 日本.txt", "Übersicht 日本.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\\\..\\\\boot.ini", "boot.ini"),  # a backslash quotes in a header
        (".htaccess", ".htaccess"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("a;b=c, d.txt", "a;b=c, d.txt"),
        ("100%.txt", "100%.txt"),
        ("page.html", "page.html"),
    ],
)
def test_file_comes_back_as_it_was_sent(name: str, shown: str, alice: FlaskClient) -> None:
    content = bytes(range(256)) * 300 + b"\r\n--boundary\r\n"
    assert upload(alice, name, content).status_code == REDIRECT
    with alice.get(links(alice)[shown]) as response:
        assert response.status_code == 200
        assert response.data == content
        disposition = response.headers["Content-Disposition"]
        assert disposition.startswith("attachment")
        # Saved, a file is never a hidden one.
        saved = f"_{shown[1:]}" if shown.startswith(".") else shown
        assert saved in {_plain_name(disposition), _extended_name(disposition)}


def test_markup_in_a_name_is_text_on_the_pages(alice: FlaskClient) -> None:
    upload(alice, "<b onclick=x>&.txt")
    page = alice.get("/").text
    assert "<b onclick" not in page
    assert "&lt;b onclick=x&gt;&amp;.txt" in page


@pytest.mark.disk("looks there")
def test_row_says_what_was_stored(app: Flask, alice: FlaskClient, data: Path) -> None:
    content = b"some content"
    upload(alice, "a.txt", content)
    with app.app_context():
        stored = db.session.query(StoredFile).one()
        owner = accounts.find("alice")
        assert owner
        assert stored.owner_id == owner.id
        assert stored.size == len(content)
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        assert stored.mimetype == "text/plain"
        assert stored.created_at.tzinfo is not None
        key = stored.storage_key
    assert kept(data) == [data / "files" / key[:2] / key]
    assert arriving(data) == []


def test_type_is_not_the_clients_claim(alice: FlaskClient) -> None:
    body = part("file", "a.txt", b"x", "text/html")
    _post(alice, body)
    with alice.get(links(alice)["a.txt"]) as response:
        assert response.mimetype == "text/plain"


def test_several_files_are_stored(alice: FlaskClient) -> None:
    form = {
        "csrf_token": token(alice),
        "file": [(io.BytesIO(b"1"), "a.txt"), (io.BytesIO(b"2"), "b.txt")],
    }
    alice.post(upload_url(alice), data=form)
    assert set(links(alice)) == {"a.txt", "b.txt"}


def test_other_fields_files_are_not_kept(alice: FlaskClient, data: Path) -> None:
    _post(alice, part("other", "a.txt", b"x", "text/plain"))
    assert kept(data) == arriving(data) == []


def test_form_without_a_file_says_so(alice: FlaskClient, data: Path) -> None:
    upload(alice, "", b"")
    assert "Select a file" in alice.get("/").text
    assert kept(data) == arriving(data) == []


def test_taken_name_gets_a_number(alice: FlaskClient, bob: FlaskClient) -> None:
    for _ in range(3):
        upload(alice, "a.txt")
    upload(bob, "a.txt")
    assert list(links(alice)) == ["a (2).txt", "a (3).txt", "a.txt"]
    assert list(links(bob)) == ["a.txt"]


def test_thousands_of_files_with_one_name_are_numbered_with_few_questions() -> None:
    taken = {"a.txt", *(f"a ({number}).txt" for number in range(2, 5000))}
    asked = []

    def is_taken(name: str) -> bool:
        asked.append(name)
        return name in taken

    assert names.first_free("a.txt", is_taken) == "a (5000).txt"
    assert len(asked) < 30


def test_uploads_of_one_name_at_once_are_both_kept(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "b.txt")
    with app.app_context():
        folder_id = db.session.scalars(select(StoredFile.parent_id)).one()
    barrier = threading.Barrier(8)

    def add(number: int) -> None:
        with app.app_context():
            folder = db.session.get_one(Folder, folder_id)
            incoming = current_storage().receive()
            incoming.write(b"%d" % number)
            barrier.wait()
            uploads.add_file(folder, incoming, "a.txt")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert set(links(alice)) == {"a.txt", "b.txt", *(f"a ({number}).txt" for number in range(2, 9))}


def test_anonymous_upload_writes_nothing(
    anonymous: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = _count_receipts(monkeypatch)
    stream = Counted(form_body([part("file", "a.txt", b"x" * MIB, "text/plain")], "any"))
    response = post_stream(anonymous, stream, f"/uploads/folders/{'x' * 32}")
    assert response.location == "/sign-in"
    assert stream.given == 0
    assert received == []
    assert arriving(data) == kept(data) == []


def test_file_sent_to_the_sign_in_form_writes_nothing(
    anonymous: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = _count_receipts(monkeypatch)
    body = form_body([part("file", "a.txt", b"x" * 1000, "text/plain")], token(anonymous))
    assert post_stream(anonymous, Counted(body), "/sign-in").status_code == 400
    assert received == []
    assert arriving(data) == []


def test_body_of_other_forms_is_limited(anonymous: FlaskClient) -> None:
    form = {"csrf_token": token(anonymous), "username": "x" * uploads.LONGEST_FORM}
    response = anonymous.post("/sign-in", data=form)
    assert response.status_code == 413
    assert "larger than this form accepts" in response.text
    assert "files" not in response.text.partition("<h1>")[2].partition("My files")[0]
    assert anonymous.get("/").location == "/sign-in"


@pytest.mark.parametrize("form_token", ["", "wrong"])
def test_upload_without_its_token_is_refused(
    form_token: str, alice: FlaskClient, data: Path
) -> None:
    body = form_body([part("file", "a.txt", b"x" * MIB, "text/plain")], form_token)
    assert post_stream(alice, Counted(body), upload_url(alice)).status_code == 400
    assert kept(data) == arriving(data) == []
    assert links(alice) == {}


@pytest.mark.parametrize("cut", [1, 40, 5000, 100_000])
@pytest.mark.parametrize("claims_all", [True, False])
def test_upload_cut_short_leaves_nothing(
    cut: int, claims_all: bool, alice: FlaskClient, data: Path
) -> None:
    whole = form_body([part("file", "a.txt", b"x" * 200_000, "text/plain")], token(alice))
    length = len(whole) if claims_all else len(whole) - cut
    response = post_stream(alice, Counted(whole[:-cut]), upload_url(alice), length)
    assert response.status_code == 400
    assert kept(data) == arriving(data) == []


def test_upload_over_the_limit_is_refused_in_words(
    make_app: Callable[..., Flask], data: Path
) -> None:
    app = make_app(MAX_CONTENT_LENGTH=2 * MIB)
    prepare(app)
    alice = signed_in(app, "alice")
    assert "Up to 2 MiB" in alice.get("/").text
    fits = form_body([part("file", "é" * 120, b"x" * 2 * MIB, "any/type")], token(alice))
    assert post_stream(alice, Counted(fits), upload_url(alice)).status_code == REDIRECT
    room = uploads.LONGEST_FORM
    large = form_body(
        [part("file", "large.bin", b"x" * (2 * MIB + room), "any/type")], token(alice)
    )
    response = post_stream(alice, Counted(large), upload_url(alice))
    assert response.status_code == 413
    assert "The limit is 2 MiB" in response.text
    assert len(kept(data)) == 1
    assert arriving(data) == []


def test_too_many_files_are_refused(make_app: Callable[..., Flask], data: Path) -> None:
    app = make_app(MAX_FORM_PARTS=3)
    prepare(app)
    alice = signed_in(app, "alice")
    parts = [part("file", f"{n}.txt", b"x", "text/plain") for n in range(3)]
    response = post_stream(alice, Counted(form_body(parts, token(alice))), upload_url(alice))
    assert response.status_code == 413
    assert "2 files at once" in response.text
    assert kept(data) == arriving(data) == []


@pytest.mark.disk("boto3 takes more memory at its first use")
def test_large_upload_and_download_need_little_memory(alice: FlaskClient) -> None:
    size = 64 * MIB
    start = head(token(alice)) + part_head("file", "large.bin", "application/octet-stream")
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    stream = Generated(start, size, end)
    tracemalloc.start()
    try:
        response = post_stream(alice, stream, upload_url(alice), len(start) + size + len(end))
        with alice.get(links(alice)["large.bin"], buffered=False) as download:
            received = sum(len(chunk) for chunk in download.iter_encoded())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status_code == REDIRECT
    assert received == size
    assert peak < 8 * MIB


@pytest.mark.disk("fills it, or lets it fail")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_507_and_leaves_nothing(
    number: int, alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: object) -> int:
        raise OSError(number, os.strerror(number))

    form_token = token(alice)
    monkeypatch.setattr(os, "fsync", full)
    response = upload_with(alice, form_token)
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert kept(data) == arriving(data) == []


def test_disk_that_fills_up_while_receiving_is_507(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_full(path: str, _flags: int) -> int:
        Path(path).touch()
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(incoming, "_open_private", open_full)
    response = upload(alice, "a.txt")
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert kept(data) == arriving(data) == []


@pytest.mark.disk("fills it, or lets it fail")
def test_upload_is_on_disk_before_it_is_in_the_database(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, synced = os.fsync, []

    def recorded(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        really(descriptor)

    really_commit = Session.commit

    def commit(session: Session) -> None:
        file = kept(data)[0]
        written = [path.stat().st_ino for path in (file, file.parent, data / "files")]
        assert sorted(synced) == sorted(written)
        really_commit(session)

    form_token = token(alice)
    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(Session, "commit", commit)
    assert upload_with(alice, form_token).status_code == REDIRECT


def test_commit_that_fails_removes_the_file(
    make_app: Callable[..., Flask], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    prepare(app)
    alice = signed_in(app, "alice")
    form_token = token(alice)
    seen = []

    def fail(_session: object) -> None:
        seen.extend(kept(data))
        raise RuntimeError("no commit today")

    monkeypatch.setattr(Session, "commit", fail)
    response = upload_with(alice, form_token)
    assert response.status_code == 500
    assert "Something went wrong" in response.text
    assert len(seen) == 1
    assert kept(data) == arriving(data) == []


@pytest.mark.sqlite("its error")
def test_full_database_is_507(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = sqlite3.SQLITE_FULL
    form_token = token(alice)

    def fail(_session: object) -> None:
        raise OperationalError("INSERT", {}, cause)

    monkeypatch.setattr(Session, "commit", fail)
    assert upload_with(alice, form_token).status_code == 507
    assert kept(data) == []


def test_delete_removes_row_and_file(alice: FlaskClient, data: Path) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    choose(alice, "trash", link)
    assert links(alice) == {}
    assert len(kept(data)) == 1
    assert "a.txt" in alice.get(f"/trash/{public_id(link)}/delete").text
    alice.post(f"/trash/{public_id(link)}/delete", data={"csrf_token": token(alice)})
    assert kept(data) == []
    assert alice.get(link).status_code == 404


@pytest.mark.disk("looks there")
def test_content_that_cannot_be_removed_is_logged(
    alice: FlaskClient,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]

    def fail(_self: Disk, _key: str) -> None:
        raise PermissionError(errno.EACCES, "not today")

    monkeypatch.setattr(Disk, "delete", fail)
    assert delete_for_good(alice, link).status_code == REDIRECT
    page = alice.get("/trash").text
    assert "Deleted: a.txt" in page
    assert "The trash is empty" in page
    key = kept(data)[0].name
    assert _logged(caplog, "ERROR") == [f"no longer needed, but left on disk: {key}"]


def _remove(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    os.truncate(file, 3)


def _make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.disk("changes what lies there")
@pytest.mark.parametrize("damage", [_remove, _cut, _make_folder])
def test_owner_is_told_that_the_content_is_lost(
    damage: Callable[[Path], None],
    alice: FlaskClient,
    bob: FlaskClient,
    data: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    damage(kept(data)[0])
    response = alice.get(link)
    assert response.status_code == 500
    assert "content is missing or damaged. Tell whoever runs the portal." in response.text
    lines = _logged(caplog, "ERROR")
    assert len(lines) == 1
    assert lines[0].startswith(f"the content of {link.rpartition('/')[2]!r} is lost: ")
    assert bob.get(link).status_code == 404


@pytest.mark.disk("changes what lies there")
@pytest.mark.parametrize("damage", [_remove, _cut, _make_folder])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("page", ["", "/preview"])
def test_content_that_is_lost_is_neither_sent_nor_recorded(
    damage: Callable[[Path], None],
    method: str,
    page: str,
    app: Flask,
    alice: FlaskClient,
    data: Path,
) -> None:
    upload(alice, "a.txt")
    damage(kept(data)[0])
    response = alice.open(links(alice)["a.txt"] + page, method=method)
    assert response.status_code == 500
    assert "Content-Disposition" not in response.headers
    with app.app_context():
        record.bring_in(wait=True)
        assert not db.session.scalars(select(Activity).where(Activity.handoff.is_not(None))).all()


def test_refusals_are_logged_with_who_and_what(
    alice: FlaskClient, bob: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    assert bob.get(link).status_code == 404
    assert choose(bob, "trash", link).status_code == 404
    assert bob.get("/files/a%0Ab").status_code == 404
    lines = [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelname) == ("portal.web.loaders", "WARNING")
    ]
    assert lines == [
        f"refused: read {public_id(link)!r} to 'bob', not theirs",
        f"refused: change {public_id(link)!r} to 'bob', not theirs",
        "refused: read 'a\\nb' to 'bob', no such entry",
    ]


@pytest.mark.disk("looks there")
def test_stored_files_are_for_their_owner_alone(alice: FlaskClient, data: Path) -> None:
    previous = os.umask(0)
    try:
        upload(alice, "a.txt")
    finally:
        os.umask(previous)
    file = kept(data)[0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.suffix


def test_uploads_and_deletes_are_logged_on_one_line(
    alice: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    upload(alice, "a\u2028.txt", b"12345")
    link = links(alice)["a.txt"]
    delete_for_good(alice, link)
    seen = reference(public_id(link))
    own = "portal.activity.record"
    lines = [record.getMessage() for record in caplog.records if record.name == own]
    assert lines == [
        f"upload: '{seen}' '', 5 bytes, by 'alice' from 127.0.0.1",
        f"trash: '{seen}' '', 5 bytes, by 'alice' from 127.0.0.1",
        f"delete: '{seen}' '', 5 bytes, by 'alice' from 127.0.0.1",
    ]


def upload_with(client: FlaskClient, form_token: str) -> TestResponse:
    """Upload with a token from before something was broken."""
    body = form_body([part("file", "a.txt", b"x" * 1000, "text/plain")], form_token)
    return post_stream(client, Counted(body), upload_url(client))


def _logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == level]


def _count_receipts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    received: list[str] = []
    really = IncomingFile.__init__

    def counting(self: IncomingFile, path: Path) -> None:
        received.append(path.name)
        really(self, path)

    monkeypatch.setattr(IncomingFile, "__init__", counting)
    return received


class Generated(io.RawIOBase):
    """A body that is made up while it is read."""

    def __init__(self, start: bytes, size: int, end: bytes) -> None:
        self._chunks = self._generate(start, size, end)
        self._rest = b""

    @staticmethod
    def _generate(start: bytes, size: int, end: bytes) -> Iterator[bytes]:
        yield start
        chunk = os.urandom(MIB)
        for _ in range(size // MIB):
            yield chunk
        yield end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._rest:
            self._rest = next(self._chunks, b"")
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


def _post(client: FlaskClient, part: bytes) -> TestResponse:
    return post_stream(client, Counted(form_body([part], token(client))), upload_url(client))


def _plain_name(disposition: str) -> str:
    _, _, name = disposition.partition('filename="')
    return name.rpartition('"')[0] or disposition.partition("filename=")[2].split(";")[0]


def _extended_name(disposition: str) -> str:
    return unquote(disposition.partition("filename*=UTF-8''")[2])


def test_long_name_of_combining_marks_takes_no_time(alice: FlaskClient) -> None:
    """To normalise it whole takes the square of their number: a minute, for everybody."""
    name = "a" + "\u0301" * 60_000 + "\u0323" * 60_000 + ".txt"
    before = time.process_time()
    upload(alice, name)
    assert time.process_time() - before < 5
    (kept_name,) = links(alice)
    assert kept_name.endswith(".txt")
    assert len(kept_name.encode()) <= 255


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", ""])
def test_form_of_another_type_is_not_read_into_memory(kind: str, alice: FlaskClient) -> None:
    stream = Counted(b"a=" + b"x" * 1024**2)
    environ = {"wsgi.input": stream, "CONTENT_LENGTH": str(1024**2 + 2), "CONTENT_TYPE": kind}
    response = alice.post(upload_url(alice), environ_overrides=environ)
    assert response.status_code in {400, 413}
    assert stream.given <= 64 * 1024
