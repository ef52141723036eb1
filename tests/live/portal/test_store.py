"""The portal keeps files in the bucket of a real store, which may freeze, die and come back."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import StoredFile, Upload, UploadPiece, now
from portal.storage import bucket as bucket_storage
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.storage.parts import Parts
from portal.tus import pieces, uploads
from tests.support.portal import choose, links, prepare, signed_in, token, upload
from tests.support.stored import contents
from tests.support.stores import RunningStore, seaweedfs
from tests.support.tus import Tus

LARGE = hashlib.sha256(b"seed").digest() * (20 * 2**20 // 32)  # three parts


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunningStore]:
    (tmp_path / "store").mkdir()
    with seaweedfs(tmp_path / "store") as running:
        yield running


@pytest.fixture
def stored_app(store: RunningStore, tmp_path: Path, make_app: Callable[..., Flask]) -> Flask:
    keys = tmp_path / "keys.toml"
    keys.touch(0o600)
    keys.write_text(f'key_id = "{store.access_key}"\nsecret = "{store.secret_key}"\n')
    place = {"endpoint": store.endpoint, "bucket": store.bucket, "prefix": "portal/"}
    app = make_app(STORE=place, STORE_KEYS_FILE=str(keys))
    prepare(app)
    return app


@pytest.fixture
def alice(stored_app: Flask) -> FlaskClient:
    return signed_in(stored_app, "alice")


def objects(store: RunningStore) -> dict[str, bytes]:
    """Return what the bucket has, by the last component of its key."""
    listed = store.client.list_objects_v2(Bucket=store.bucket).get("Contents", [])
    return {
        one["Key"].rpartition("/")[2]: store.client.get_object(Bucket=store.bucket, Key=one["Key"])[
            "Body"
        ].read()
        for one in listed
    }


def rows(app: Flask) -> dict[str, tuple[str, int, str]]:
    with app.app_context():
        found = db.session.scalars(select(StoredFile)).all()
        return {one.name: (one.storage_key, one.size, one.sha256) for one in found}


def check_same(app: Flask, store: RunningStore) -> None:
    """Whatever the database names is in the bucket, and nothing else."""
    kept = objects(store)
    named = rows(app)
    assert sorted(kept) == sorted(key for key, _, _ in named.values())
    for key, size, sha256 in named.values():
        assert (len(kept[key]), hashlib.sha256(kept[key]).hexdigest()) == (size, sha256)


def download(app: Flask, client: FlaskClient, name: str) -> bytes:
    with app.app_context():
        public_id = db.session.scalars(
            select(StoredFile.public_id).where(StoredFile.name == name)
        ).one()
    answer = client.get(f"/files/{public_id}")
    assert answer.status_code == 200
    return bytes(answer.data)


def test_files_are_in_the_bucket_as_they_were_sent(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, data: Path
) -> None:
    sent = {"small.txt": b"small", "empty.txt": b""}
    for name, content in sent.items():
        assert upload(alice, name, content).status_code in (302, 303)
    tus = Tus(alice)
    url = tus.begin(len(LARGE), filename="pieces.bin")
    half = len(LARGE) // 2
    assert tus.add(url, 0, LARGE[:half]).status_code == 204
    assert tus.add(url, half, LARGE[half:]).status_code == 204
    sent["pieces.bin"] = LARGE
    check_same(stored_app, store)
    with stored_app.app_context():
        assert contents() == sent
    for name, content in sent.items():
        assert download(stored_app, alice, name) == content
    assert [path for path in (data / "incoming").rglob("*") if path.is_file()] == []
    assert not (data / "files").exists()


def test_what_is_deleted_permanently_leaves_the_bucket(
    stored_app: Flask, store: RunningStore
) -> None:
    alice = signed_in(stored_app, "alice")
    upload(alice, "a.txt", b"a")
    with stored_app.app_context():
        key = db.session.scalars(select(StoredFile.storage_key)).one()
        current_storage().delete(key)
        current_storage().delete(key)  # it may have gone already
    assert objects(store) == {}


def test_a_store_that_refuses_what_it_got_keeps_nothing(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compares the checksum; and a row is written only for what it took."""

    def by_form() -> TestResponse:
        return upload(alice, "a.bin", b"small")

    def in_pieces() -> TestResponse:
        tus = Tus(alice)
        return tus.add(tus.begin(len(LARGE), filename="pieces.bin"), 0, LARGE)

    for send in (by_form, in_pieces):
        wrong = bucket_storage._coded(bytes(32))
        monkeypatch.setattr(bucket_storage, "_coded", partial(_always, wrong))
        answer = send()
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
        monkeypatch.undo()
        assert rows(stored_app) == {}
        check_same(stored_app, store)
        parts = store.client.list_multipart_uploads(Bucket=store.bucket)
        assert parts.get("Uploads", []) == []


def _always(wrong: str, _digest: bytes) -> str:
    return wrong


def failing(answer: TestResponse) -> Any:
    return json.loads(answer.data)["failing"]


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return action(), time.monotonic() - began


def test_pages_go_on_while_the_store_is_frozen(
    stored_app: Flask,
    alice: FlaskClient,
    store: RunningStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket_storage, "_IDLE", 2)
    monkeypatch.setattr(bucket_storage, "_HASTE", 1)
    upload(alice, "before.txt", b"before")
    for number in range(3):
        upload(alice, f"old {number}.txt", b"old")
    choose(alice, "trash", *(link for name, link in links(alice).items() if "old" in name))
    form = {"csrf_token": token(alice)}
    other, third = signed_in(stored_app, "bob"), stored_app.test_client()
    store.freeze()
    try:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(upload, alice, "meanwhile.txt", b"meanwhile")
            page, took = timed(lambda: other.get("/"))
            assert (page.status_code, took < 2) == (200, True)
            health, took = timed(lambda: third.get("/healthz"))
            assert (health.status_code, failing(health)) == (503, ["storage"])
            assert took < 2.5
            answer = waiting.result()
            # The first of them is waited for, and what stays is for a check.
            emptied, took = timed(lambda: alice.post("/trash/empty", data=form))
            assert (emptied.status_code, took < 2.5) == (302, True)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert set(rows(stored_app)) == {"before.txt"}
    finally:
        store.thaw()
    assert upload(alice, "after.txt", b"after").status_code in (302, 303)
    assert stored_app.test_client().get("/healthz").status_code == 200
    assert set(rows(stored_app)) == {"before.txt", "after.txt"}
    assert download(stored_app, alice, "before.txt") == b"before"


def test_a_store_that_is_gone_is_told_and_changes_nothing(
    stored_app: Flask, alice: FlaskClient, store: RunningStore
) -> None:
    upload(alice, "before.txt", b"before")
    tus = Tus(alice)
    url = tus.begin(6, filename="pieces.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    store.kill()
    assert upload(alice, "after.txt", b"after").status_code == 503
    assert tus.add(url, 3, b"def").status_code == 503
    assert set(rows(stored_app)) == {"before.txt"}
    assert alice.get("/").status_code == 200
    with stored_app.app_context():
        public_id = db.session.scalars(select(StoredFile.public_id)).one()
    answer = alice.get(f"/files/{public_id}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    # What was acknowledged is known to the database.
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "3"
    assert failing(stored_app.test_client().get("/healthz")) == ["storage"]


def test_reading_goes_on_by_another_connection(stored_app: Flask, alice: FlaskClient) -> None:
    tus = Tus(alice)
    assert tus.add(tus.begin(len(LARGE), filename="large.bin"), 0, LARGE).status_code == 204
    with stored_app.app_context():
        key = db.session.scalars(select(StoredFile.storage_key)).one()
        with current_storage().open(key) as content:
            read = content.read(1000)
            content._body.close()  # type: ignore[attr-defined]
            while piece := content.read(2**20):
                read += piece
    assert hashlib.sha256(read).digest() == hashlib.sha256(LARGE).digest()


def test_commands_know_the_bucket(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    upload(alice, "a.txt", b"a")
    upload(alice, "b.txt", b"b")
    runner = stored_app.test_cli_runner()
    done = runner.invoke(args=["portal", "check", "--content"])
    assert (done.exit_code, done.output) == (0, "")
    key = rows(stored_app)["a.txt"][0]
    store.delete(f"portal/{key[:2]}/{key}")
    done = runner.invoke(args=["portal", "check"])
    assert done.exit_code == 1
    assert "missing: 'a.txt'" in done.output or "has no content" in done.output
    done = runner.invoke(args=["portal", "backup", str(tmp_path / "backup")])
    assert done.exit_code == 1
    assert "in a bucket" in done.output
    store.kill()
    done = runner.invoke(args=["portal", "check"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: The store of the files: it does not answer")


def other_host(app: Flask, folder: Path) -> Flask:
    """Return a portal with the same database and bucket, and another folder for what arrives."""
    parts = app.extensions["portal.parts"]
    folder.mkdir()
    app.extensions["portal.parts"] = Parts(folder, 0, parts._mirror)
    return app


def test_an_upload_goes_on_at_another_host(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    """Each piece at another one than the one before, and at last at the first again."""
    tus, sent = Tus(alice), 0
    first = stored_app.extensions["portal.parts"]
    url = tus.begin(len(LARGE), filename="moved.bin")
    ends = [3_000_000, 3_000_001, 12_000_000, 12_500_000, len(LARGE)]
    for number, end in enumerate(ends):
        assert tus.send("HEAD", url).headers["Upload-Offset"] == str(sent)
        assert tus.add(url, sent, LARGE[sent:end]).status_code == 204
        sent = end
        other_host(stored_app, tmp_path / f"host{number}")
        if number == 3:
            stored_app.extensions["portal.parts"] = first
    check_same(stored_app, store)
    assert rows(stored_app)["moved.bin"][1:] == (len(LARGE), hashlib.sha256(LARGE).hexdigest())


def test_what_a_host_did_not_acknowledge_is_fetched(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    first = stored_app.extensions["portal.parts"]
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    (part,) = first._folder.iterdir()
    with part.open("ab") as file:  # what a power cut has left
        file.write(bytes(3))
    other_host(stored_app, tmp_path / "host")
    assert tus.add(url, 3, b"de").status_code == 204
    stored_app.extensions["portal.parts"] = first
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "5"
    assert tus.add(url, 5, b"fghi").status_code == 204
    assert objects(store)[rows(stored_app)["a.txt"][0]] == b"abcdefghi"
    check_same(stored_app, store)


def test_pieces_of_cancelled_uploads_leave_the_bucket(
    stored_app: Flask, alice: FlaskClient, store: RunningStore
) -> None:
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    assert len(objects(store)) == 1
    assert tus.send("DELETE", url).status_code == 204
    assert objects(store) == {}
    with stored_app.app_context():
        mirror = stored_app.extensions["portal.parts"]._mirror
        with Path(__file__).open("rb") as file:
            list(mirror.put("0" * 32, file.fileno(), 0, 10))  # of an upload that nobody has
        assert uploads.remove_orphans() == 1
    assert objects(store) == {}


def test_a_late_piece_of_a_finished_upload_leaves_the_bucket(
    stored_app: Flask, alice: FlaskClient, store: RunningStore
) -> None:
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    unfinished = tus.begin(9, filename="b.txt")
    assert tus.add(unfinished, 0, b"abc").status_code == 204
    assert tus.add(url, 0, b"abcdefghi").status_code == 204
    with stored_app.app_context():
        finished = Upload.finished_at.is_not(None)
        key = db.session.scalars(select(Upload.part_key).where(finished)).one()
        mirror = stored_app.extensions["portal.parts"]._mirror
        with Path(__file__).open("rb") as file:
            list(mirror.put(key, file.fileno(), 0, 10))  # by a host that was overtaken
        assert len(objects(store)) == 3
        assert uploads.remove_orphans() == 1
    assert len(objects(store)) == 2
    assert tus.add(unfinished, 3, b"defghi").status_code == 204
    check_same(stored_app, store)


def test_what_nobody_acknowledged_is_never_part_of_a_file(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    """A PATCH that failed at its second piece leaves the first one in the bucket."""
    tus = Tus(alice)
    url = tus.begin(len(LARGE), filename="a.bin")
    first = stored_app.extensions["portal.parts"]
    puts, is_failing = count(), True
    really = first._mirror._bucket.put_bytes

    def failing(name: str, content: bytes) -> None:
        if is_failing and next(puts):
            raise StoreAwayError("not now")
        really(name, content)

    first._mirror._bucket.put_bytes = failing
    assert tus.add(url, 0, bytes(len(LARGE))).status_code == 503
    is_failing = False
    assert len(objects(store)) == 1
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "0"
    assert tus.add(url, 0, LARGE[:1000]).status_code == 204
    other_host(stored_app, tmp_path / "host1")
    assert tus.add(url, 1000, LARGE[1000:5_000_000]).status_code == 204
    other_host(stored_app, tmp_path / "host2")
    assert tus.add(url, 5_000_000, LARGE[5_000_000:]).status_code == 204
    check_same(stored_app, store)
    assert rows(stored_app)["a.bin"][2] == hashlib.sha256(LARGE).hexdigest()


def test_a_host_without_its_folder_deletes_nothing(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    first = stored_app.extensions["portal.parts"]
    other_host(stored_app, tmp_path / "host")
    (tmp_path / "host").rmdir()
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "3"
    assert tus.add(url, 3, b"defghi").status_code == 503
    stored_app.extensions["portal.parts"] = first
    assert tus.add(url, 3, b"defghi").status_code == 204
    check_same(stored_app, store)


def test_what_an_overtaken_host_wrote_is_not_taken_for_acknowledged(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    """Two hosts add to one upload at once: the second one to note it is told to wait."""
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    first = stored_app.extensions["portal.parts"]
    put, calls = first._mirror._bucket.put_bytes, count()

    def overtaken(name: str, content: bytes) -> None:
        put(name, content)
        if next(calls) == 0:
            other_host(stored_app, tmp_path / "host")
            assert tus.add(url, 0, b"right!!!").status_code == 204
            stored_app.extensions["portal.parts"] = first

    first._mirror._bucket.put_bytes = overtaken
    assert tus.add(url, 0, b"wrong").status_code == 423
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "8"
    assert tus.add(url, 8, b"9").status_code == 204
    assert objects(store)[rows(stored_app)["a.txt"][0]] == b"right!!!9"
    check_same(stored_app, store)


def test_of_two_hosts_at_the_same_length_the_acknowledged_bytes_count(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    """The one that is not acknowledged writes the last, and a third host goes on."""
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    first = stored_app.extensions["portal.parts"]
    bucket, calls = first._mirror._bucket, count()
    really = bucket.put_bytes

    def overtaken(name: str, content: bytes) -> None:
        if next(calls) == 0:
            other_host(stored_app, tmp_path / "host")
            assert tus.add(url, 0, b"right").status_code == 204
            stored_app.extensions["portal.parts"] = first
        really(name, content)

    bucket.put_bytes = overtaken
    assert tus.add(url, 0, b"wrong").status_code == 423
    other_host(stored_app, tmp_path / "third")
    assert tus.add(url, 5, b"!").status_code == 204
    stored_app.extensions["portal.parts"] = first
    assert tus.add(url, 6, b"789").status_code == 204
    assert objects(store)[rows(stored_app)["a.txt"][0]] == b"right!789"
    check_same(stored_app, store)


def leave_as_older_host(app: Flask) -> None:
    """Have the bucket list the pieces, as hosts with the schema 0006 do, and no row name them."""
    with app.app_context():
        upload = db.session.scalars(select(Upload)).one()
        pieces = db.session.scalars(select(UploadPiece).order_by(UploadPiece.start)).all()
        listed = json.dumps([(one.start, one.start + one.size, one.nonce) for one in pieces])
        bucket = app.extensions["portal.parts"]._mirror._bucket
        bucket.put_bytes(f"parts/{upload.part_key}/at-{upload.arrived}", listed.encode())
        db.session.execute(delete(UploadPiece))
        db.session.execute(update(Upload).values(recorded=None))
        db.session.commit()


def test_an_upload_of_an_older_host_goes_on(
    stored_app: Flask, alice: FlaskClient, store: RunningStore, tmp_path: Path
) -> None:
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    assert tus.add(url, 3, b"d").status_code == 204
    leave_as_older_host(stored_app)
    for sent, piece in ((4, b"e"), (5, b"f"), (6, b"ghi")):
        other_host(stored_app, tmp_path / f"host{sent}")
        assert tus.add(url, sent, piece).status_code == 204
    assert objects(store)[rows(stored_app)["a.txt"][0]] == b"abcdefghi"
    check_same(stored_app, store)


@pytest.mark.parametrize("changed", [{"arrived": 5}, {"finished_at": now()}])
def test_an_older_host_cannot_acknowledge_what_it_does_not_see(
    changed: dict[str, Any], stored_app: Flask, alice: FlaskClient
) -> None:
    """It knows no rows of pieces, and could have a list that nobody acknowledged."""
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    with stored_app.app_context():
        with pytest.raises(IntegrityError):
            db.session.execute(update(Upload).values(**changed))
        db.session.rollback()


def test_what_no_pieces_make_up_is_not_gone_on_with(
    stored_app: Flask, alice: FlaskClient, tmp_path: Path
) -> None:
    """Such as where somebody has restored a bucket without its database."""
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    assert tus.add(url, 0, b"abc").status_code == 204
    with stored_app.app_context():
        db.session.execute(update(Upload).values(arrived=5, recorded=None))
        db.session.commit()
    for host in ("same", "other"):
        answer = tus.add(url, 5, b"fghi")
        assert (host, answer.status_code, answer.headers["Retry-After"]) == (host, 503, "60")
        other_host(stored_app, tmp_path / host)
    assert rows(stored_app) == {}


def watch_gets(app: Flask, monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> list[str]:
    """Return a list of the objects that are fetched from now on; after so many the store fails."""
    bucket, fetched = app.extensions["portal.parts"]._mirror._bucket, list[str]()
    really = bucket.get_bytes

    def watched(name: str) -> bytes | None:
        if len(fetched) == most:
            raise StoreAwayError("not now")
        fetched.append(name)
        return cast("bytes | None", really(name))

    monkeypatch.setattr(bucket, "get_bytes", watched)
    return fetched


def test_another_host_says_how_much_there_is_without_fetching_it(
    stored_app: Flask, alice: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus = Tus(alice)
    url = tus.begin(len(LARGE), filename="a.bin")
    assert tus.add(url, 0, LARGE[:-1]).status_code == 204
    other_host(stored_app, tmp_path / "host")
    fetched = watch_gets(stored_app, monkeypatch)
    assert tus.send("HEAD", url).headers["Upload-Offset"] == str(len(LARGE) - 1)
    assert fetched == []
    assert tus.add(url, len(LARGE) - 1, LARGE[-1:]).status_code == 204
    assert len(fetched) == 3
    assert rows(stored_app)["a.bin"][2] == hashlib.sha256(LARGE).hexdigest()


def test_fetching_goes_on_where_it_broke_off(
    stored_app: Flask, alice: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus = Tus(alice)
    url = tus.begin(len(LARGE), filename="a.bin")
    assert tus.add(url, 0, LARGE[:-1]).status_code == 204
    other_host(stored_app, tmp_path / "host")
    fetched = list[str]()
    for _ in range(3):
        with monkeypatch.context() as patch:
            some = watch_gets(stored_app, patch, 1)
            answer = tus.add(url, len(LARGE) - 1, LARGE[-1:])
            fetched += some
    assert answer.status_code == 204
    assert len(set(fetched)) == len(fetched) == 3
    assert rows(stored_app)["a.bin"][2] == hashlib.sha256(LARGE).hexdigest()


def test_another_host_finishes_what_has_arrived(
    stored_app: Flask, alice: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the one that took the last piece was killed before its end."""
    tus = Tus(alice)
    url = tus.begin(9, filename="a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "finish", partial(_raise, StoreAwayError("killed")))
        assert tus.add(url, 0, b"abcdefghi").status_code == 503
    assert rows(stored_app) == {}
    other_host(stored_app, tmp_path / "host")
    assert tus.send("HEAD", url).headers["Upload-Offset"] == "9"
    assert rows(stored_app)["a.txt"][2] == hashlib.sha256(b"abcdefghi").hexdigest()


def _raise(error: Exception, *_: object) -> None:
    raise error


def test_many_small_pieces_are_joined(
    stored_app: Flask, alice: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored for each does not grow with their number, nor does what is fetched."""
    tus = Tus(alice)
    url = tus.begin(65, filename="a.bin")
    for at in range(64):
        if at == 40:
            other_host(stored_app, tmp_path / "second")
        assert tus.add(url, at, LARGE[at : at + 1]).status_code == 204
    with stored_app.app_context():
        assert db.session.scalars(select(UploadPiece.size)).all() == [64]
    other_host(stored_app, tmp_path / "third")
    fetched = watch_gets(stored_app, monkeypatch)
    assert tus.add(url, 64, LARGE[64:65]).status_code == 204
    assert len(fetched) == 1
    assert rows(stored_app)["a.bin"][2] == hashlib.sha256(LARGE[:65]).hexdigest()


def parts_in(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in (folder / "parts").glob("*")]


@pytest.mark.parametrize("end", ["finish", "cancel"])
def test_the_part_of_another_host_goes_with_the_upload(
    end: str, stored_app: Flask, alice: FlaskClient, data: Path, tmp_path: Path
) -> None:
    """By a clean-up of its own, where nobody asks that host any more."""
    tus = Tus(alice)
    first = stored_app.extensions["portal.parts"]
    url = tus.begin(9, filename="a.txt")
    unfinished = tus.begin(9, filename="b.txt")
    assert tus.add(unfinished, 0, b"abc").status_code == 204
    assert tus.add(url, 0, b"abc").status_code == 204
    other_host(stored_app, tmp_path / "host")
    if end == "finish":
        assert tus.add(url, 3, b"defghi").status_code == 204
    else:
        assert tus.send("DELETE", url).status_code == 204
    assert parts_in(tmp_path / "host") == []
    stored_app.extensions["portal.parts"] = first
    assert len(parts_in(data / "incoming")) == 2
    if end == "cancel":  # while nobody knows whether it begins: see uploads.create
        for path in parts_in(data / "incoming"):
            os.utime(path, (0, 0))
    with stored_app.app_context():
        assert uploads.remove_orphans() == 1
    assert tus.add(unfinished, 3, b"defghi").status_code == 204
    assert parts_in(data / "incoming") == []


@pytest.mark.parametrize("end", ["finish", "cancel"])
def test_a_host_that_is_overtaken_keeps_no_part(
    end: str, stored_app: Flask, alice: FlaskClient, data: Path, tmp_path: Path
) -> None:
    tus = Tus(alice)
    first = stored_app.extensions["portal.parts"]
    url = tus.begin(9, filename="a.txt")
    put, calls = first._mirror._bucket.put_bytes, count()

    def overtaken(name: str, content: bytes) -> None:
        put(name, content)
        if next(calls) == 0:
            other_host(stored_app, tmp_path / "host")
            if end == "finish":
                assert tus.add(url, 0, b"abcdefghi").status_code == 204
            else:
                assert tus.send("DELETE", url).status_code == 204
            stored_app.extensions["portal.parts"] = first

    first._mirror._bucket.put_bytes = overtaken
    answer = tus.add(url, 0, b"abc")
    assert answer.status_code == {"finish": 409, "cancel": 404}[end]
    assert parts_in(data / "incoming", tmp_path / "host") == []
