"""Thumbnails as pages ask for them: made once, sent to whoever may see the picture, and deleted."""

from __future__ import annotations

import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal import cli
from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Activity, Entry, Folder, Share, StoredFile, Thumbnail
from portal.files import thumbnail_maker, thumbnails
from portal.files.thumbnail_maker import current_maker
from portal.identity import passwords
from portal.maintenance import check_files
from portal.sharing import links as links_of
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.thumbnails import process as processes
from portal.thumbnails.process import CannotStartError, Process
from portal.web.files.thumbnails import has_thumbnail, thumbnail_url
from tests.support.pictures import encoded, opened, photo
from tests.support.portal import (
    Run,
    choose,
    delete_for_good,
    kept,
    links,
    make_folder,
    public_id,
    signed_in,
    upload,
)
from tests.support.statements import statements

PHOTO = encoded(photo())


@pytest.fixture(autouse=True)
def processes_ended(app: Flask) -> Iterator[None]:
    yield
    with app.app_context():
        current_maker().stop()


@pytest.fixture
def shown(alice: FlaskClient) -> str:
    """Return the address of the thumbnail of alice's picture."""
    upload(alice, "a.jpg", PHOTO)
    return f"{links(alice)['a.jpg']}/thumbnail"


def get(client: FlaskClient, address: str, **how: Any) -> TestResponse:
    response = client.get(address, **how)
    response.get_data()
    response.close()
    return response


def wait_for(client: FlaskClient, address: str, status: int = 200) -> TestResponse:
    """Ask as a page's script does, until it is made."""
    for _ in range(200):
        response = get(client, address)
        if response.status_code != 202:
            break
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Cache-Control"] == "no-store"
        assert not response.data
        time.sleep(0.1)
    assert response.status_code == status
    return response


def rows(app: Flask) -> list[tuple[str | None, int]]:
    with app.app_context():
        found = db.session.execute(select(Thumbnail.own_key, Thumbnail.size)).all()
        return [(row.own_key, row.size) for row in found]


def test_a_picture_has_one_that_browsers_keep(
    app: Flask, alice: FlaskClient, shown: str, data: Path
) -> None:
    response = wait_for(alice, shown)
    assert opened(response.data).size == (256, 192)
    headers = response.headers
    assert headers["Content-Type"] == "image/webp"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Cache-Control"] == "private, no-cache"
    ((key, size),) = rows(app)
    assert size == len(response.data)
    assert {path.name: path.stat().st_size for path in kept(data)}[str(key)] == size
    with app.test_request_context():
        stored = db.session.scalars(select(StoredFile)).one()
        address = thumbnail_url(stored)
    assert address
    assert address.startswith(f"{shown}?")
    assert get(alice, address).headers["Cache-Control"] == "private, max-age=2592000"
    assert get(alice, f"{shown}?content=other").headers["Cache-Control"] == "private, no-cache"


@pytest.mark.disk("asks the file's own server for a condition")
def test_who_has_it_is_not_sent_it_again(alice: FlaskClient, shown: str) -> None:
    etag = wait_for(alice, shown).headers["ETag"]
    assert get(alice, shown, headers={"If-None-Match": etag}).status_code == 304


def test_many_requests_at_once_make_one(
    app: Flask, shown: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = Process.make
    monkeypatch.setattr(Process, "make", lambda *all: made.append(1) or make(*all))  # type: ignore[func-returns-value]
    clients = [signed_in(app, "alice") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda client: wait_for(client, shown).data, clients))
    assert len(set(answers)) == 1
    assert made == [1]
    assert len(rows(app)) == 1
    assert len(kept(data)) == 2


def test_two_processes_at_once_keep_one(
    app: Flask, make_app: Callable[..., Flask], alice: FlaskClient, shown: str, data: Path
) -> None:
    """Without the lock of a data folder, as on two hosts."""
    other = make_app()
    with app.app_context():
        content_key = db.session.scalars(select(StoredFile.storage_key)).one()
    for one in (app, other):
        one.extensions["portal.thumbnails"]._folder /= f"{id(one)}"
        one.extensions["portal.thumbnails"]._folder.mkdir(parents=True)

    def make(one: Flask) -> bool:
        with one.app_context():
            while not (done := current_maker().ask(content_key, 1)):
                time.sleep(0.05)
            current_maker().stop()
            return done

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(make, (app, other)))
    assert len(rows(app)) == 1
    wait_for(alice, shown)
    assert len(kept(data)) == 2


def test_nobody_waits_long_and_few_wait(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "make", lambda *_: time.sleep(2))
    addresses = []
    for number in range(8):
        upload(alice, f"{number}.jpg", PHOTO)
    addresses = [f"{link}/thumbnail" for link in links(alice).values()]
    clients = [signed_in(app, "alice") for _ in addresses]

    def ask(place: int) -> float:
        start = time.monotonic()
        assert get(clients[place], addresses[place]).status_code == 202
        return time.monotonic() - start

    with ThreadPoolExecutor(8) as pool:
        times = sorted(pool.map(ask, range(8)))
    assert times[-1] < 5
    assert times[5] < times[-1] - 0.3  # two of them have waited


def test_accounts_take_turns(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = app.extensions["portal.thumbnails"]
    monkeypatch.setattr(thumbnail_maker, "_MOST", 4)
    monkeypatch.setattr(thumbnail_maker, "_PATIENCE", 0)
    began, goes_on, tried = threading.Event(), threading.Event(), []

    def attempt(content_key: str) -> None:
        tried.append(content_key)
        began.set()
        goes_on.wait(30)

    monkeypatch.setattr(maker, "_try", attempt)
    for number in range(6):  # of which four may wait
        assert not maker.ask(f"a{number}", 1)
        assert began.wait(30)
    for number in range(2):
        assert not maker.ask(f"b{number}", 2)
        assert not maker.ask(f"c{number}", 3)
    goes_on.set()
    while maker._asked:
        time.sleep(0.01)
    assert tried == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "a3"]


@pytest.mark.parametrize("content", [b"no picture", PHOTO[:3000]], ids=["text", "cut"])
def test_what_has_none_is_tried_once(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    upload(alice, "a.jpg", content)
    address = f"{links(alice)['a.jpg']}/thumbnail"
    wait_for(alice, address, 404)
    assert rows(app) == [(None, 0)]
    monkeypatch.setattr(Process, "make", None)
    assert get(alice, address).status_code == 404


def test_others_have_none(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"text")
    upload(alice, "empty.png", b"")
    for link in links(alice).values():
        assert get(alice, f"{link}/thumbnail").status_code == 404
    assert rows(app) == []
    with app.app_context():
        assert has_thumbnail("image/png", 100)
        assert not has_thumbnail("image/png", processes.MOST_BYTES + 1)
        assert not has_thumbnail("image/svg+xml", 100)
        assert not has_thumbnail(None, 0)


def test_for_nobody_else(
    app: Flask, alice: FlaskClient, bob: FlaskClient, anonymous: FlaskClient, shown: str
) -> None:
    wait_for(alice, shown)
    assert get(bob, shown).status_code == 404
    assert get(anonymous, shown).status_code != 200
    for change in (
        update(Entry).values(trash_id=Entry.id).where(Entry.is_file),
        update(Account).values(is_active=False),
    ):
        with app.app_context():
            db.session.execute(change, execution_options={"synchronize_session": False})
            db.session.commit()
        assert get(alice, shown).status_code != 200


def test_it_is_no_download(app: Flask, alice: FlaskClient, shown: str) -> None:
    with app.app_context():
        before = db.session.scalars(select(Activity.action)).all()
        used = db.session.scalars(select(Account.used).order_by(Account.id)).all()
    wait_for(alice, shown)
    with app.app_context():
        assert db.session.scalars(select(Activity.action)).all() == before
        assert db.session.scalars(select(Account.used).order_by(Account.id)).all() == used


def test_one_statement(app: Flask, alice: FlaskClient, shown: str) -> None:
    wait_for(alice, shown)
    with statements(app) as noted:
        assert get(alice, shown).status_code == 200
    assert len(noted) == 1


def test_it_stays_with_the_content_and_goes_with_it(
    app: Flask, alice: FlaskClient, shown: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wait_for(alice, shown).data
    monkeypatch.setattr(Process, "make", None)
    folder = make_folder(alice, "Trip")
    choose(alice, "move", links(alice)["a.jpg"], folder=public_id(folder))
    assert get(alice, shown).data == before
    delete_for_good(alice, shown.removesuffix("/thumbnail"))
    assert rows(app) == []
    assert kept(data) == []


def test_it_goes_with_the_account(app: Flask, alice: FlaskClient, shown: str) -> None:
    wait_for(alice, shown)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.delete(account)
        assert db.session.scalars(select(Thumbnail)).all() == []


def test_of_a_picture_that_is_deleted_meanwhile_nothing_is_kept(
    app: Flask, alice: FlaskClient, shown: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Process.make

    def slow(*given: Any) -> bytes | None:
        made = make(*given)
        time.sleep(1)
        return made

    monkeypatch.setattr(Process, "make", slow)
    assert get(alice, shown).status_code == 202
    delete_for_good(alice, shown.removesuffix("/thumbnail"))
    time.sleep(1.5)
    assert rows(app) == []
    assert kept(data) == []


def test_one_that_is_lost_is_made_again(app: Flask, alice: FlaskClient, shown: str) -> None:
    wait_for(alice, shown)
    ((key, _),) = rows(app)
    with app.app_context():
        current_storage().delete(str(key))
        thumbnails.forget_lost(str(key))
    assert wait_for(alice, shown).data
    assert rows(app)[0][0] != key


@pytest.mark.disk("only a disk is asked before")
def test_one_that_is_missing_on_disk_is_noticed(app: Flask, alice: FlaskClient, shown: str) -> None:
    wait_for(alice, shown)
    ((key, _),) = rows(app)
    with app.app_context():
        current_storage().delete(str(key))
    assert wait_for(alice, shown).data
    assert rows(app)[0][0] != key


def test_killed_processes_are_started_again(app: Flask, alice: FlaskClient, shown: str) -> None:
    wait_for(alice, shown)
    with app.app_context():
        pid = current_maker()._process.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    upload(alice, "b.jpg", PHOTO)
    wait_for(alice, f"{links(alice)['b.jpg']}/thumbnail")


@pytest.mark.parametrize(
    "error", [OSError(5, "broken"), StoreAwayError("away")], ids=["disk", "store"]
)
def test_a_store_that_fails_is_not_the_pictures_fault(
    app: Flask, alice: FlaskClient, shown: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> bytes:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(Process, "make", fail)
        broken.setattr(thumbnail_maker, "_PAUSE", 0.1)
        for _ in range(3):
            assert get(alice, shown).status_code == 202
    assert rows(app) == []
    time.sleep(0.2)
    wait_for(alice, shown)


def test_a_process_that_cannot_start(
    app: Flask, alice: FlaskClient, shown: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(*_: object) -> bytes:
        raise CannotStartError("the machine is sparc")

    monkeypatch.setattr(Process, "make", fail)
    wait_for(alice, shown, 404)
    assert alice.get("/").status_code == 200
    assert caplog.text.count("the machine is sparc") == 1
    assert rows(app) == []
    with app.app_context():
        assert not has_thumbnail("image/png", 100)


@pytest.mark.parametrize("way", ["setting", "Pillow"])
def test_without_them_pages_work(
    make_app: Callable[..., Flask],
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
    way: str,
) -> None:
    if way == "Pillow":
        monkeypatch.setattr(thumbnail_maker, "pillow_folder", lambda: None)
    other = make_app(THUMBNAILS=way == "Pillow")
    client = signed_in(other, "alice")
    assert client.get("/").status_code == 200
    assert get(client, shown).status_code == 404
    with other.test_request_context():
        assert not has_thumbnail("image/png", 100)
        stored = db.session.scalars(select(StoredFile)).one()
        assert thumbnail_url(stored) is None
    assert ("Pillow is not installed" in caplog.text) is (way == "Pillow")


def test_cleanup_deletes_those_without_a_file(
    ready: Run, app: Flask, alice: FlaskClient, shown: str, data: Path
) -> None:
    wait_for(alice, shown)
    with app.app_context():
        key = db.session.scalars(select(StoredFile.storage_key)).one()
        change = update(Thumbnail).values(content_key="0" * 32).where(Thumbnail.content_key == key)
        db.session.execute(change)
        db.session.commit()
    status, said, _ = ready("cleanup")
    assert (status, "thumbnails without a file: 1 deleted" in said) == (0, True)
    assert rows(app) == []
    assert len(kept(data)) == 1


def test_check_knows_them(
    ready: Run, app: Flask, alice: FlaskClient, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for(alice, shown)
    monkeypatch.setattr(check_files, "YOUNG", -10)
    assert ready("check", "--content")[0] == 0
    ((key, _),) = rows(app)
    with app.app_context():
        current_storage().delete(str(key))
    _, said, _ = ready("check", "--repair")
    assert f"thumbnail: {key}" in said
    assert rows(app) == []
    assert ready("check")[0] == 0
    wait_for(alice, shown)


@pytest.mark.sqlite("backs up the file")
@pytest.mark.disk("backs up the files")
def test_backups_leave_them_out(
    ready: Run,
    app: Flask,
    make_app: Callable[..., Flask],
    alice: FlaskClient,
    shown: str,
    tmp_path: Path,
) -> None:
    wait_for(alice, shown)
    ((key, _),) = rows(app)
    target = tmp_path / "portal.tar"
    assert ready("backup", str(target))[0] == 0
    with tarfile.open(target) as archive:
        names = archive.getnames()
    assert len([name for name in names if name.startswith("files/")]) == 1
    assert not any(str(key) in name for name in names)
    new = make_app(DATA=str(tmp_path.resolve() / "new"))
    assert new.test_cli_runner().invoke(cli.portal, ["restore", str(target)]).exit_code == 0
    assert rows(new) == []
    wait_for(signed_in(new, "alice"), shown)
    assert [size for _, size in rows(new)] == [size for _, size in rows(app)]


def test_visitors_see_those_of_what_is_shared(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    folder = make_folder(alice, "Trip")
    upload(alice, "in.jpg", PHOTO, page=folder)
    upload(alice, "out.jpg", PHOTO)
    with app.app_context():
        trip = db.session.scalars(select(Folder).where(Folder.name == "Trip")).one()
        share, token = links_of.create(Share, trip, download_limit=1)
        files = {file.name: file for file in db.session.scalars(select(StoredFile))}
        address = f"/shared/{share.public_id}/files/{files['in.jpg'].public_id}/thumbnail"
        other = f"/shared/{share.public_id}/files/{files['out.jpg'].public_id}/thumbnail"
        with app.test_request_context():
            assert str(thumbnail_url(files["in.jpg"], share)).startswith(address)
    assert get(anonymous, address).status_code == 404
    get(anonymous, f"/s/{token}")
    for _ in range(3):
        assert wait_for(anonymous, address).data
    assert get(anonymous, other).status_code == 404
    with app.app_context():
        share = db.session.scalars(select(Share)).one()
        assert share.downloads == 0
        share.password_hash = passwords.hasher.hash("secret")
        db.session.commit()
    assert get(anonymous, address).status_code in {303, 404}
