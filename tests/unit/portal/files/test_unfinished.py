"""Unfinished uploads: seen, counted and cancelled, wherever they were to go."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from portal.core.database import db
from portal.core.models import Account, Upload
from portal.tus import pieces
from tests.support.portal import (
    REDIRECT,
    choose,
    folder_id,
    links,
    make_folder,
    signed_in,
    token,
    upload,
)
from tests.support.tus import Tus

KIB = 1024


@pytest.fixture
def alice(app: Flask) -> FlaskClient:
    set_quota(app, 10 * KIB)
    return signed_in(app, "alice")


@pytest.fixture
def tus(alice: FlaskClient) -> Tus:
    return Tus(alice)


def set_quota(app: Flask, quota: int) -> None:
    with app.app_context():
        db.session.execute(update(Account).values(quota=quota))
        db.session.commit()


def parts(data: Path) -> list[Path]:
    return list((data / "incoming/parts").glob("*"))


def cancel(client: FlaskClient, url: str) -> int:
    form = {"csrf_token": token(client)}
    address = f"/unfinished/{url.rpartition('/')[2]}/cancel"
    return client.post(address, data=form).status_code


def test_what_was_announced_is_told_wherever_space_is(alice: FlaskClient, tus: Tus) -> None:
    tus.begin(9 * KIB, filename="Film <1>.mp4")
    for address in ("/", "/trash", "/account"):
        page = alice.get(address).text
        assert "9 KiB of 10 KiB used" in page
        assert '<a href="/unfinished">1 unfinished upload: 9 KiB</a>' in page
    assert "Up to 1 KiB at once" in alice.get("/").text
    assert (
        "<bdi>Film &lt;1&gt;.mp4</bdi> is not uploaded completely: 0 bytes" in alice.get("/").text
    )
    refused = tus.create(2 * KIB)
    assert refused.status_code == 413
    assert "9 KiB for what is not uploaded completely (Film <1>.mp4)" in refused.text
    assert "cancel unfinished uploads" in refused.text


def test_form_leaves_room_for_what_was_announced(alice: FlaskClient, tus: Tus) -> None:
    url = tus.begin(9 * KIB, filename="a")
    refused = upload(alice, "b", bytes(2 * KIB))
    assert refused.status_code == 413
    assert "9 KiB for what is not uploaded completely (a)" in refused.text
    assert upload(alice, "b", bytes(KIB)).status_code == REDIRECT
    assert tus.add(url, 0, bytes(9 * KIB)).status_code == 204
    assert set(links(alice)) == {"a", "b"}
    assert "10 KiB of 10 KiB used" in alice.get("/").text


def test_upload_into_a_trashed_folder_is_listed_and_cancelled(
    alice: FlaskClient, tus: Tus, data: Path
) -> None:
    page = make_folder(alice, "Gone")
    urls = [tus.begin(KIB, folder=folder_id(alice, page), filename=f"{n}.bin") for n in range(3)]
    tus.add(urls[0], 0, b"123")
    assert "0.bin" in alice.get(page).text
    choose(alice, "trash", page)
    listed = alice.get("/unfinished").text
    assert "<bdi>0.bin</bdi>" in listed
    assert "<bdi>Gone</bdi>, in the trash" in listed
    assert "3 bytes of 1 KiB" in listed
    assert cancel(alice, urls[0]) == REDIRECT
    assert tus.send("DELETE", urls[1]).status_code == 204
    assert len(parts(data)) == 1
    alice.post("/unfinished/cancel", data={"csrf_token": token(alice)})
    assert parts(data) == []
    assert "No unfinished uploads" in alice.get("/unfinished").text
    assert "0 bytes of 10 KiB used" in alice.get("/").text


def test_finished_and_anothers_upload_are_not_cancelled(
    app: Flask, alice: FlaskClient, tus: Tus
) -> None:
    finished = tus.create(1, b"x", filename="a").location
    assert cancel(alice, finished) == 404
    begun = tus.begin(2)
    assert cancel(signed_in(app, "bob"), begun) == 404
    assert tus.offset(begun) == 0
    assert "a" in links(alice)


class Waiting:
    """A body that waits in its middle."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._pieces = [b"12345", b"67890"]

    def read(self, _size: int = -1) -> bytes:
        if len(self._pieces) == 1:
            self.reached.set()
            assert self.go_on.wait(30)
        return self._pieces.pop(0) if self._pieces else b""


def test_upload_is_cancelled_while_a_request_adds_to_it(
    app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    url, body, ended = tus.begin(10, filename="a"), Waiting(), []

    def add() -> None:
        with app.app_context():
            row = db.session.scalars(select(Upload)).one()
            with pieces.opened(row) as part:
                try:
                    pieces.append(row, part, body)  # type: ignore[arg-type]
                except pieces.CancelledError:
                    ended.append("cancelled")

    thread = threading.Thread(target=add)
    thread.start()
    assert body.reached.wait(30)
    assert cancel(alice, url) == REDIRECT
    body.go_on.set()
    thread.join()
    assert ended == ["cancelled"]
    assert parts(data) == []
    assert links(alice) == {}


def test_quota_that_became_smaller_does_not_have_uploads_refuse_one_another(
    app: Flask, alice: FlaskClient, tus: Tus
) -> None:
    first, _second = tus.begin(6 * KIB, filename="a"), tus.begin(4 * KIB)
    set_quota(app, 7 * KIB)
    assert tus.add(first, 0, bytes(6 * KIB)).status_code == 204
    assert "a" in links(alice)
