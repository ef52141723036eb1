"""What many visitors send at once by one link, with its limits."""

from __future__ import annotations

import fcntl
import io
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import FileRequest, StoredFile, Upload, now
from portal.sharing import room
from portal.storage.parts import Parts
from tests.support.portal import REDIRECT, kept, links
from tests.support.tus import Sender

Ask = Callable[..., str]
HOUR = timedelta(hours=1, seconds=1)


def parts(data: Path) -> dict[str, int]:
    """Return the parts on disk, with their bytes."""
    return {path.name: path.stat().st_size for path in (data / "incoming/parts").glob("*")}


def unfinished(app: Flask) -> dict[str, tuple[str, int]]:
    """Return the unfinished uploads: the key and the announced bytes, by name."""
    with app.app_context():
        found = select(Upload).where(Upload.finished_at.is_(None))
        return {one.name: (one.part_key, one.size) for one in db.session.scalars(found)}


def stored(app: Flask) -> tuple[int, int, int, int]:
    """Return what the link has counted, and the files there are, with their bytes."""
    with app.app_context():
        asked = db.session.scalars(select(FileRequest)).one()
        size = func.coalesce(func.sum(StoredFile.size), 0)
        files, held = db.session.execute(select(func.count(StoredFile.id), size)).one()
        return asked.files, asked.size, files, held


def let_pass(app: Flask, passed: timedelta, name: str | None = None) -> None:
    """Have an upload, or all, had the last piece so long ago."""
    with app.app_context():
        changed = update(Upload).values(used_at=now() - passed)
        db.session.execute(changed if name is None else changed.where(Upload.name == name))
        db.session.commit()


def test_what_anybody_has_begun_counts(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask, data: Path
) -> None:
    address = ask(size_limit=3000)
    jars = [Sender(app, address) for _ in range(12)]
    begun = {}
    for number, jar in enumerate(jars):
        made = jar.announce(1000, b"x" * 900, filename=str(number))
        if made.status_code == 201:
            begun[number] = made.location
        else:
            assert (made.status_code, "is being sent" in made.text) == (413, True)
    assert list(begun) == [0, 1, 2]
    assert list(parts(data).values()) == [900] * 3
    assert sum(size for _, size in unfinished(app).values()) == 3000
    page = jars[11].client.get(jars[11].page).text
    assert "All that this link accepts has been sent or is being sent." in page
    for number, url in begun.items():
        assert jars[number].add(url, 900, b"x" * 100).status_code == 204
    assert stored(app) == (3, 3000, 3, 3000)
    assert parts(data) == {}
    assert set(links(alice, inbox)) == {"0", "1", "2"}


def test_five_files_at_once_are_told_what_is_still_true_when_it_is_read(
    app: Flask, ask: Ask, data: Path
) -> None:
    sender = Sender(app, ask(file_limit=2, size_limit=3000))
    first = sender.begin(2000, filename="1")
    large = sender.announce(1001, filename="2").text
    assert "This link had room for 1000 bytes more." in large
    second = sender.begin(1000, filename="3")
    for name in ("4", "5"):
        assert "has been sent or is being sent. Ask alice" in sender.announce(1, filename=name).text
    assert sender.add(first, 0, b"x" * 2000).status_code == 204
    assert sender.add(second, 0, b"x" * 1000).status_code == 204
    assert stored(app) == (2, 3000, 2, 3000)
    assert "accepts no more files. Ask alice" in sender.announce(1).text
    assert parts(data) == {}


def test_link_that_is_used_up_takes_no_empty_file_either_way(app: Flask, ask: Ask) -> None:
    sender = Sender(app, ask(size_limit=3000))
    assert sender.announce(0, filename="first").status_code == 201
    assert send_form(sender, second=b"", third=b"x" * 2999).status_code == REDIRECT
    held = sender.begin(1, filename="last")
    for refused in (sender.announce(0, filename="none"), sender.make_folders("None/")):
        assert (refused.status_code, "is being sent" in refused.text) == (413, True)
    send_form(sender, none=b"")
    assert "Nothing was received: All that this link accepts" in page_of(sender)
    assert sender.add(held, 0, b"x").status_code == 204
    for refused in (sender.announce(0, filename="none"), sender.make_folders("None/")):
        assert (refused.status_code, "accepts no more files" in refused.text) == (413, True)
    send_form(sender, none=b"")
    assert "Nothing was received: This link accepts no more files." in page_of(sender)
    assert stored(app) == (4, 3000, 4, 3000)


def test_who_sent_the_last_file_may_still_look_and_nobody_else(app: Flask, ask: Ask) -> None:
    address = ask(file_limit=1)
    last, other = Sender(app, address), Sender(app, address)
    assert last.announce(1, b"x", filename="a").status_code == 201
    for _ in range(2):
        assert last.client.get(last.page).status_code == 200
        assert other.client.get(other.page).status_code == 410
    assert stored(app) == (1, 1, 1, 1)


def test_what_was_cancelled_gives_nobody_elses_upload_up(app: Flask, ask: Ask, data: Path) -> None:
    address = ask(file_limit=2)
    gone, other = Sender(app, address), Sender(app, address)
    cancelled = {"filename": "a", "nonce": "1"}
    assert gone.send("DELETE", gone.begin(1, **cancelled)).status_code == 204
    for name in "bc":
        other.begin(1, filename=name)
    let_pass(app, HOUR)
    assert gone.announce(1, **cancelled).status_code == 404
    assert set(unfinished(app)) == {"b", "c"}
    assert len(parts(data)) == 2


def page_of(sender: Sender) -> str:
    return sender.client.get(sender.page).text


@pytest.mark.parametrize("passed", [HOUR, -timedelta(days=365)], ids=["stalled", "ahead"])
def test_stalled_upload_is_given_up_when_its_room_is_needed(
    passed: timedelta, app: Flask, ask: Ask, data: Path
) -> None:
    address = ask(file_limit=3, size_limit=3000)
    gone, other = Sender(app, address), Sender(app, address)
    urls = [gone.begin(1000, filename=name) for name in "abc"]
    for url in urls:
        gone.add(url, 0, b"x" * 10)
    let_pass(app, passed, "a")
    let_pass(app, passed + timedelta(minutes=1), "b")
    assert other.announce(2001, filename="d").status_code == 413
    assert len(parts(data)) == 3  # in vain, none is given up
    assert other.announce(1000, b"y" * 1000, filename="d").status_code == 201
    assert set(unfinished(app)) == {"a", "c"}
    assert set(parts(data)) == {key for key, _ in unfinished(app).values()}
    assert gone.add(urls[1], 10, b"x" * 990).status_code == 404
    # The other ones go on, whatever time has passed.
    for url in (urls[0], urls[2]):
        assert gone.add(url, 10, b"x" * 990).status_code == 204
    assert stored(app) == (3, 3000, 3, 3000)


@pytest.mark.parametrize("how", ["in pieces", "form", "folder"])
def test_upload_that_a_request_adds_to_is_not_given_up(
    how: str, app: Flask, ask: Ask, data: Path
) -> None:
    address = ask(file_limit=1)
    slow, other = Sender(app, address), Sender(app, address)
    slow.begin(10, filename="slow")
    (part,) = (data / "incoming/parts").glob("*")
    let_pass(app, HOUR)
    with part.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        send(other, how)
        assert (len(kept(data)), set(unfinished(app))) == (0, {"slow"})
        assert part.exists()
    send(other, how)
    assert (unfinished(app), parts(data)) == ({}, {})
    assert stored(app)[0] == 1
    assert len(kept(data)) == (how != "folder")


def send(sender: Sender, how: str) -> None:
    if how == "in pieces":
        sender.announce(1, b"x", filename="other")
    elif how == "folder":
        sender.make_folders("other/")
    else:
        assert send_form(sender).status_code == REDIRECT


def send_form(sender: Sender, **files: bytes) -> TestResponse:
    contents = files or {"other": b"x"}
    sent = [(io.BytesIO(content), name) for name, content in contents.items()]
    form = {"csrf_token": sender.token, "file": sent}
    return sender.client.post(f"/uploads{sender.page}", data=form)


def test_upload_that_had_a_piece_meanwhile_is_not_given_up(
    app: Flask, ask: Ask, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = ask(file_limit=1)
    slow, other = Sender(app, address), Sender(app, address)
    url = slow.begin(10, filename="slow")
    let_pass(app, HOUR)
    really = Parts.unused

    def unused(parts: Parts, key: str) -> AbstractContextManager[None]:
        assert slow.add(url, 0, b"12345").status_code == 204
        return really(parts, key)

    monkeypatch.setattr(Parts, "unused", unused)
    assert other.announce(1, filename="other").status_code == 413
    assert (set(unfinished(app)), list(parts(data).values())) == ({"slow"}, [5])
    assert slow.add(url, 5, b"67890").status_code == 204
    assert stored(app) == (1, 10, 1, 10)


@pytest.mark.parametrize("how", ["form", "folder"])
def test_forms_and_folders_leave_room_for_what_is_being_sent(
    how: str, app: Flask, ask: Ask, data: Path
) -> None:
    address = ask(file_limit=1)
    slow, other = Sender(app, address), Sender(app, address)
    url = slow.begin(10, filename="slow")
    send(other, how)
    assert stored(app) == (0, 0, 0, 0)
    assert kept(data) == []
    assert slow.add(url, 0, b"0123456789").status_code == 204
    assert stored(app) == (1, 10, 1, 10)


@pytest.mark.parametrize("has_stalled", [False, True], ids=["free", "of one that stalled"])
def test_last_place_is_taken_once(has_stalled: bool, app: Flask, ask: Ask, data: Path) -> None:
    address = ask(file_limit=3, size_limit=30)
    jars = [Sender(app, address) for _ in range(6)]
    for name in "ab":
        jars[0].begin(10, filename=name)
    if has_stalled:
        jars[0].begin(10, filename="c")
        let_pass(app, HOUR, "c")
    ready, said = threading.Barrier(len(jars)), []

    def announce(jar: Sender, how: str) -> None:
        ready.wait(30)
        if how == "form":
            said.append("Thank you" in jar.client.get(send_form(jar).location).text)
        else:
            said.append(jar.announce(10, filename=how).status_code == 201)

    ways = ["form", "1", "2", "3", "4", "5"]
    threads = [threading.Thread(target=announce, args=one) for one in zip(jars, ways, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(said) == [False] * 5 + [True]
    begun, (files, size, *_) = unfinished(app), stored(app)
    assert len(begun) + files == 3
    assert sum(announced for _, announced in begun.values()) + size <= 30
    assert set(parts(data)) == {key for key, _ in begun.values()}


def test_number_of_unfinished_uploads_is_limited_and_does_not_stay_used_up(
    app: Flask, ask: Ask, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_UNFINISHED", 2)
    address = ask()
    gone, other = Sender(app, address), Sender(app, address)
    for name in "ab":
        gone.begin(1, filename=name)
    refused = other.announce(1, filename="c")
    assert refused.status_code == 429
    assert "by this link" in refused.text  # who has none cannot cancel any
    let_pass(app, HOUR)
    assert other.announce(1, filename="c").status_code == 201
    assert set(unfinished(app)) == {"b", "c"}
    assert set(parts(data)) == {key for key, _ in unfinished(app).values()}


def test_limit_that_became_smaller_does_not_have_uploads_refuse_one_another(
    app: Flask, ask: Ask
) -> None:
    sender = Sender(app, ask(file_limit=3))
    urls = [sender.begin(1, filename=name) for name in "abc"]
    with app.app_context():
        db.session.execute(update(FileRequest).values(file_limit=1))
        db.session.commit()
    said = [sender.add(url, 0, b"x").status_code for url in urls]
    assert said == [204, 413, 413]
    assert stored(app) == (1, 1, 1, 1)


@pytest.mark.parametrize("refused", ["too deep", "disk full"])
def test_upload_that_is_refused_costs_nobody_theirs(
    refused: str, app: Flask, ask: Ask, data: Path
) -> None:
    address = ask(size_limit=1000)
    slow, other = Sender(app, address), Sender(app, address)
    url = slow.begin(900)
    slow.add(url, 0, b"x" * 800)
    let_pass(app, HOUR)
    if refused == "too deep":
        assert other.announce(500, relativePath="a/" * 60 + "b").status_code == 400
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app.extensions["portal.parts"], "_reserve", 2**60)
            assert other.announce(500).status_code == 507
    assert list(parts(data).values()) == [800]
    assert slow.add(url, 800, b"x" * 100).status_code == 204
    assert stored(app) == (1, 900, 1, 900)


def test_upload_that_cannot_end_any_more_holds_nothing(app: Flask, ask: Ask) -> None:
    address = ask(size_limit=1000)
    large, small = Sender(app, address), Sender(app, address)
    url = large.begin(900)
    with app.app_context():
        db.session.execute(update(FileRequest).values(size_limit=500))
        db.session.commit()
    assert large.add(url, 0, b"x" * 10).status_code == 413
    assert small.announce(400, b"x" * 400).status_code == 201
    assert send_form(small).status_code == REDIRECT
    assert stored(app) == (2, 401, 2, 401)


def test_who_sends_nothing_holds_nothing_for_longer(app: Flask, ask: Ask) -> None:
    address = ask(file_limit=1)
    idle, other = Sender(app, address), Sender(app, address)
    url = idle.begin(10)
    let_pass(app, HOUR)
    assert idle.add(url, 0, b"").status_code == 204
    assert other.announce(1, b"x").status_code == 201
    assert idle.add(url, 0, b"x").status_code == 404
    assert stored(app) == (1, 1, 1, 1)
