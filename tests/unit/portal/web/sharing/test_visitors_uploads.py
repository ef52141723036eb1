"""What visitors send in pieces, by a link to upload."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from portal.core.database import db
from portal.core.models import Account, Activity, FileRequest, StoredFile, Upload, now
from portal.files import unfinished
from portal.sharing import room
from portal.storage.base import Storage
from portal.storage.disk import Disk
from portal.storage.incoming import IncomingFile
from portal.storage.parts import Parts
from tests.support.portal import folders, kept, links, signed_in
from tests.support.tus import Sender, Tus

Ask = Callable[..., str]
CONTENT = b"0123456789"


def counts(app: Flask) -> tuple[int, int]:
    with app.app_context():
        asked = db.session.scalars(select(FileRequest)).one()
        return asked.files, asked.size


def test_visitor_sends_a_file_in_pieces(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    sender = Sender(app, ask(note="For the auditor"))
    url = sender.begin(10, filename="a.bin", relativePath="Trip/day 1/a.bin")
    assert sender.add(url, 0, CONTENT[:4]).status_code == 204
    assert counts(app) == (0, 0)
    assert "is not uploaded completely" in sender.client.get(sender.page).text
    assert sender.add(url, 4, CONTENT[4:]).status_code == 204
    day = folders(alice, folders(alice, inbox)["Trip"])["day 1"]
    assert set(links(alice, day)) == {"a.bin"}
    assert counts(app) == (1, 10)
    assert "is not uploaded completely" not in sender.client.get(sender.page).text
    with app.app_context():
        stored = db.session.scalars(select(StoredFile)).one()
        assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert db.session.scalars(select(Account.used).where(Account.name == "alice")).one() == 10
        done = db.session.scalars(select(Activity).where(Activity.action == "upload")).one()
        assert (done.actor, done.detail) == ("", "via 'For the auditor'")


def test_upload_is_its_visitors_alone(app: Flask, alice: FlaskClient, ask: Ask) -> None:
    address = ask()
    sender, other = Sender(app, address), Sender(app, address)
    url = sender.begin(10, filename="secret.bin")
    assert other.send("HEAD", url).status_code == 404
    assert other.add(url, 0, CONTENT).status_code == 404
    assert other.send("DELETE", url).status_code == 404
    assert "secret.bin" not in other.client.get(other.page).text
    assert Tus(signed_in(app, "bob")).send("HEAD", url).status_code == 404
    mine = Tus(alice)
    # The owner may cancel it, and neither read nor change it.
    assert mine.add(url, 0, CONTENT).status_code == 404
    assert "by a link to upload" in alice.get("/unfinished").text
    assert mine.send("DELETE", url).status_code == 204
    assert sender.send("HEAD", url).status_code == 404
    assert sender.client.get(sender.page).status_code == 200


def test_limits_of_the_link_hold_and_are_named(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    sender = Sender(app, ask(file_limit=2, size_limit=15))
    refused = sender.announce(16)
    assert (refused.status_code, "had room for 15 bytes more" in refused.text) == (413, True)
    first, second = sender.begin(10, filename="a"), sender.begin(5, filename="b")
    # What has begun counts, before anything of a third one is sent.
    refused = sender.announce(0)
    assert (refused.status_code, "has been sent or is being sent" in refused.text) == (413, True)
    assert sender.add(first, 0, CONTENT).status_code == 204
    assert sender.add(second, 0, CONTENT[:5]).status_code == 204
    assert counts(app) == (2, 15)
    refused = sender.announce(0)
    assert (refused.status_code, "accepts no more files" in refused.text) == (413, True)
    assert set(links(alice, inbox)) == {"a", "b"}


def test_last_place_is_of_who_has_begun_first(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    address = ask(file_limit=1)
    slow, fast = Sender(app, address), Sender(app, address)
    url = slow.begin(10, filename="slow")
    slow.add(url, 0, CONTENT[:9])
    refused = fast.announce(1, b"x", filename="fast")
    assert (refused.status_code, "has been sent or is being sent" in refused.text) == (413, True)
    assert slow.add(url, 9, CONTENT[9:]).status_code == 204
    assert counts(app) == (1, 10)
    assert set(links(alice, inbox)) == {"slow"}


def test_link_that_announces_takes_no_space_of_its_owner(
    app: Flask, alice: FlaskClient, ask: Ask
) -> None:
    with app.app_context():
        db.session.execute(update(Account).values(quota=100))
        db.session.commit()
    sender = Sender(app, ask())
    url = sender.begin(90)
    assert "0 bytes of 100 bytes used" in alice.get("/").text
    sender.add(url, 0, CONTENT)
    assert "10 bytes of 100 bytes used" in alice.get("/").text
    refused = sender.announce(91)
    assert refused.status_code == 413
    assert "alice does not have enough space" in refused.text
    assert "100 bytes" not in refused.text


def test_link_that_ends_meanwhile_takes_nothing_more(app: Flask, ask: Ask, data: Path) -> None:
    sender = Sender(app, ask())
    url = sender.begin(10)
    with app.app_context():
        db.session.execute(update(FileRequest).values(revoked_at=now()))
        db.session.commit()
    refused = sender.add(url, 0, CONTENT)
    assert (refused.status_code, "does not work any more" in refused.text) == (410, True)
    assert sender.announce(1).status_code == 410
    assert kept(data) == []


def test_empty_folder_counts_as_a_file(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    sender = Sender(app, ask(file_limit=1))
    for status in (201, 413):
        assert sender.make_folders("Trip/Empty/").status_code == status
    assert set(folders(alice, folders(alice, inbox)["Trip"])) == {"Empty"}
    assert counts(app) == (1, 0)


def test_full_disk_is_told_to_visitors_as_what_they_can_do_about_it(
    app: Flask, ask: Ask, data: Path
) -> None:
    sender = Sender(app, ask())
    reserve = 2**62
    app.extensions["portal.parts"] = Parts(data / "incoming", reserve)
    app.extensions["portal.storage"] = Disk(data / "files", data / "incoming", reserve)
    form = {"csrf_token": sender.token, "file": (io.BytesIO(b"x"), "a.txt")}
    url = sender.page.replace("/requested/", "/uploads/requested/")
    for refused in (sender.announce(1, filename="a"), sender.client.post(url, data=form)):
        assert refused.status_code == 507
        assert "disk is full. Tell whoever sent you the link" in unescape(refused.text)
        assert "Delete files" not in refused.text
    assert kept(data) == []


def test_visitors_cannot_use_up_their_owners_uploads(
    app: Flask, alice: FlaskClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_UNFINISHED", 1)
    sender = Sender(app, ask())
    assert sender.announce(1).status_code == 201
    assert sender.announce(1).status_code == 429
    assert Tus(alice).create(1).status_code == 201


def test_what_is_being_finished_counts_once(
    app: Flask, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file is announced while one is on its way from unfinished to finished."""
    sender = Sender(app, ask(file_limit=2))
    first = sender.begin(1, filename="a")
    really, announced = Storage.keep, []

    def keep(storage: Storage, incoming: IncomingFile) -> str:
        with app.app_context():
            request = db.session.scalars(select(FileRequest)).one()
            begun = unfinished.of_visitor(request, sender_id(request))
            announced.append(request.files + len(begun))
        return really(storage, incoming)

    monkeypatch.setattr(Storage, "keep", keep)
    assert sender.add(first, 0, b"x").status_code == 204
    assert announced == [1]
    assert counts(app) == (1, 1)


def sender_id(request: FileRequest) -> str:
    mine = select(Upload.visitor).where(Upload.request_id == request.id)
    return str(db.session.scalars(mine).one())
