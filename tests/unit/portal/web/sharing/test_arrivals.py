"""What arrived by a link to upload: what the visitor sees of it, and the owner."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import Activity, Arrival, FileRequest, Sender, StoredFile, now
from portal.sharing import arrivals, links
from tests.support.portal import REDIRECT, token, upload
from tests.support.portal import links as files_on
from tests.support.tus import Sender as Visitor

Ask = Callable[..., str]
CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def send_form(visitor: Visitor, name: str) -> TestResponse:
    """Send a file by the form, without JavaScript."""
    form = {"csrf_token": visitor.token, "file": (io.BytesIO(CONTENT), name)}
    return visitor.client.post(f"/uploads{visitor.page}", data=form)


def send_pieces(visitor: Visitor, name: str, **more: str) -> None:
    """Send a file as the tray does."""
    url = visitor.begin(len(CONTENT), filename=name, **more)
    assert visitor.add(url, 0, CONTENT).status_code == 204


def introduce(visitor: Visitor, **said: str) -> TestResponse:
    form = {"csrf_token": visitor.token, **said}
    return visitor.client.post(f"{visitor.page}/sender", data=form)


def listed(visitor: Visitor) -> list[str]:
    """Read what a visitor's page says that it has received from them."""
    page = visitor.client.get(visitor.page).text.partition('id="arrived"')[2]
    return re.findall(r'<bdi class="name">([^<]+)</bdi>', page)


def link_of(app: Flask) -> str:
    with app.app_context():
        return db.session.scalars(select(FileRequest.public_id)).one()


def test_visitor_sees_what_their_browser_sent_and_no_other_does(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    address = ask()
    visitor, other = Visitor(app, address), Visitor(app, address)
    upload(alice, "a.txt", page=inbox)
    assert listed(visitor) == []
    assert send_form(visitor, "a.txt").status_code == REDIRECT
    send_pieces(visitor, "b.bin", relativePath="Trip/day 1/b.bin")
    send_pieces(other, "c.txt")
    # A number in the name would tell that it was taken.
    assert "a (2).txt" in files_on(alice, inbox)
    for _ in range(2):  # it stays, whatever was said once
        assert listed(visitor) == ["Trip/day 1/b.bin", "a.txt"]
    assert listed(other) == ["c.txt"]
    page = visitor.client.get(visitor.page).text
    assert page.count(SHA256) == 2
    assert "2 files, 20 bytes" in page
    assert "c.txt" not in page
    with app.app_context():
        found = select(Arrival, StoredFile).join(StoredFile, StoredFile.public_id == Arrival.entry)
        rows = db.session.execute(found.order_by(Arrival.id)).all()
        assert [(one.path, one.sha256, one.size) for one, _ in rows] == [
            (path, file.sha256, file.size)
            for path, (_, file) in zip(("a.txt", "Trip/day 1/b.bin", "c.txt"), rows, strict=True)
        ]
    assert Visitor(app, address).client.get(visitor.page).text.count("a.txt") == 0


def test_owner_sees_which_of_two_files_of_a_name_is_which(
    app: Flask, alice: FlaskClient, ask: Ask
) -> None:
    address = ask()
    for _ in range(2):
        send_pieces(Visitor(app, address), "top.txt", relativePath="trip/top.txt")
    page = alice.get(f"/links/requests/{link_of(app)}/received").text
    assert page.count("trip/top.txt") == 2
    with app.app_context():
        stored = dict(db.session.execute(select(StoredFile.name, StoredFile.public_id)).all())
    assert set(stored) == {"top.txt", "top (2).txt"}
    link = f'/entries/{stored["top (2).txt"]}"><bdi>trip/top.txt</bdi></a>'
    assert f"{link}<br><small>stored as <bdi>top (2).txt" in page
    assert page.count("stored as") == 1


def test_list_stays_when_files_are_deleted_or_the_link_has_ended(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    visitor = Visitor(app, ask(file_limit=1))
    send_form(visitor, "a.txt")
    assert listed(visitor) == ["a.txt"]  # used up
    (file,) = files_on(alice, inbox).values()
    alice.post(f"/entries/{file.rpartition('/')[2]}/trash", data={"csrf_token": token(alice)})
    assert listed(visitor) == ["a.txt"]
    with app.app_context():
        link = db.session.scalars(select(FileRequest)).one()
        links.revoke(link)
    assert visitor.client.get(visitor.page).status_code == 410
    assert listed(visitor) == ["a.txt"]


def test_what_is_not_kept_did_not_arrive(
    app: Flask, inbox: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(app, ask())

    def fail(*_: object) -> None:
        raise RuntimeError

    url = visitor.begin(len(CONTENT), filename="a.bin")
    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "add", fail)
        with pytest.raises(RuntimeError):
            visitor.add(url, 0, CONTENT)
        with pytest.raises(RuntimeError):
            send_form(visitor, "b.txt")
    with app.app_context():
        assert db.session.scalars(select(StoredFile)).all() == []
        assert db.session.scalars(select(Activity).where(Activity.action == "upload")).all() == []
        assert db.session.scalars(select(FileRequest.files)).one() == 0
    assert listed(visitor) == []
    assert inbox


def test_name_that_is_asked_for_is_needed_by_form_and_by_pieces(app: Flask, ask: Ask) -> None:
    visitor = Visitor(app, ask(asks_name=True, asks_message=True))
    page = visitor.client.get(visitor.page).text
    assert 'name="sender"' in page
    assert 'name="message"' in page
    assert 'name="file"' not in page
    send_form(visitor, "a.txt")
    assert "asks for your name" in visitor.client.get(visitor.page).text
    refused = visitor.announce(10, filename="b.bin")
    assert refused.status_code == 403
    assert "enter your name" in refused.text
    assert introduce(visitor, sender=" \u200b\u2800 ").status_code == 422
    assert introduce(visitor, sender="x" * 81).status_code == 422
    assert introduce(visitor, sender="Jane", message="x" * 2001).status_code == 422
    with app.app_context():
        assert db.session.scalars(select(StoredFile)).all() == []
        assert db.session.scalars(select(Sender)).all() == []
    message = "Line one.\r\n" + "é" * (2000 - 10)  # what a browser counts as 2,000
    assert introduce(visitor, sender=" Jane\u202e  Doe ", message=message).status_code == 303
    assert 'name="file"' in visitor.client.get(visitor.page).text
    send_form(visitor, "a.txt")
    send_pieces(visitor, "b.bin")
    with app.app_context():
        sender = db.session.scalars(select(Sender)).one()
        assert (sender.name, sender.message) == ("Jane Doe", message.replace("\r\n", "\n"))
        assert db.session.scalars(select(Arrival.sender_id)).all() == [sender.id] * 2
        done = select(Activity).where(Activity.action == "upload")
        for row in db.session.scalars(done).all():
            assert (row.actor, row.detail) == (
                *("", "via a link, calls themselves Jane Doe (not checked)"),
            )


def test_upload_that_has_begun_waits_for_a_name_that_is_asked_for_now(app: Flask, ask: Ask) -> None:
    visitor = Visitor(app, ask())
    url = visitor.begin(10, filename="a.bin")
    with app.app_context():
        db.session.execute(update(FileRequest).values(asks_name=True))
        db.session.commit()
    assert visitor.add(url, 0, CONTENT).status_code == 403
    introduce(visitor, sender="Jane")
    assert visitor.add(url, 0, CONTENT).status_code == 204
    assert listed(visitor) == ["a.bin"]


def test_another_name_is_of_what_is_sent_later(app: Flask, alice: FlaskClient, ask: Ask) -> None:
    visitor = Visitor(app, ask(asks_name=True))
    introduce(visitor, sender="First")
    introduce(visitor, sender="Jane")
    send_form(visitor, "a.txt")
    introduce(visitor, sender="=Joe")
    send_form(visitor, "b.txt")
    assert listed(visitor) == ["b.txt", "a.txt"]
    here = f"/links/requests/{link_of(app)}/received"
    rows = list(csv.reader(io.StringIO(alice.get(f"{here}.csv").text.lstrip("\ufeff"))))
    assert [(row[1], row[3], row[4], row[5]) for row in rows[1:]] == [
        ("Jane", "a.txt", "10", SHA256),
        ("'=Joe", "b.txt", "10", SHA256),  # no formula
    ]
    with app.app_context():
        assert db.session.scalars(select(Sender.name).order_by(Sender.id)).all() == ["Jane", "=Joe"]


def test_only_the_owner_sees_what_arrived(
    app: Flask, alice: FlaskClient, bob: FlaskClient, inbox: str, ask: Ask
) -> None:
    visitor = Visitor(app, ask(asks_name=True, asks_message=True, note="For the auditor"))
    introduce(visitor, sender="<b>Jane</b>", message="Hello\nalice")
    send_form(visitor, "a.txt")
    send_pieces(visitor, "b.txt")
    here = f"/links/requests/{link_of(app)}/received"
    page = alice.get(here).text
    assert "&lt;b&gt;Jane&lt;/b&gt;" in page
    assert page.count("Hello\nalice") == 1
    assert "nobody has checked them" in page
    details = [f"/entries/{url.rpartition('/')[2]}" for url in files_on(alice, inbox).values()]
    assert all(f'href="{one}"' in page for one in details)
    assert here in alice.get("/links").text
    for client in (bob, visitor.client, app.test_client()):
        for address in (here, f"{here}.csv"):
            response = client.get(address)
            assert response.status_code in {404, REDIRECT}
            assert "Jane" not in response.text


def test_owner_asks_in_the_links_form(app: Flask, alice: FlaskClient, inbox: str) -> None:
    public_id = inbox.rpartition("/")[2]
    form = {"csrf_token": token(alice), "until": "", "asks_name": "y"}
    alice.post(f"/folders/{public_id}/request", data=form)
    with app.app_context():
        link = db.session.scalars(select(FileRequest)).one()
        assert (link.asks_name, link.asks_message) == (True, False)
        page = f"/links/requests/{link.public_id}"
    form = {"csrf_token": token(alice), "until": "", "asks_message": "y"}
    alice.post(page, data=form)
    with app.app_context():
        link = db.session.scalars(select(FileRequest)).one()
        assert (link.asks_name, link.asks_message) == (False, True)


def test_long_names_of_links_do_not_push_the_visitors_out_of_the_record(
    app: Flask, ask: Ask
) -> None:
    visitor = Visitor(app, ask(asks_name=True, note="n" * 255))
    introduce(visitor, sender="J" * 80)
    send_form(visitor, "a.txt")
    with app.app_context():
        done = db.session.scalars(select(Activity).where(Activity.action == "upload")).one()
        assert len(done.detail) == 255
        assert done.detail.endswith(f", calls themselves {'J' * 80} (not checked)")


def test_very_many_who_send_nothing_are_refused(
    app: Flask, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MOST_WAITING", 2)
    address = ask(asks_name=True)
    visitors = [Visitor(app, address) for _ in range(3)]
    for visitor in visitors:
        introduce(visitor, sender="Jane")
    with app.app_context():
        assert len(db.session.scalars(select(Sender)).all()) == 2
    send_form(visitors[0], "a.txt")
    introduce(visitors[2], sender="Jane")
    with app.app_context():
        assert len(db.session.scalars(select(Sender)).all()) == 3


def test_arrivals_are_forgotten_with_the_record_and_whoever_sent_nothing_before(
    app: Flask, ask: Ask
) -> None:
    address = ask(asks_name=True)
    visitor, silent = Visitor(app, address), Visitor(app, address)
    for one in (visitor, silent):
        introduce(one, sender="Jane")
    send_form(visitor, "a.txt")
    with app.app_context():
        assert arrivals.forget_old() == 0
        assert len(db.session.scalars(select(Sender)).all()) == 2
        long_ago = now() - app.permanent_session_lifetime - timedelta(minutes=1)
        db.session.execute(update(Sender).values(at=long_ago))
        db.session.commit()
        assert arrivals.forget_old() == 0
        assert len(db.session.scalars(select(Sender)).all()) == 1
        days = timedelta(days=app.config["ACTIVITY_DAYS"] + 1)
        db.session.execute(update(Arrival).values(at=now() - days))
        db.session.commit()
        assert arrivals.forget_old() == 1
        assert db.session.scalars(select(Sender)).all() == []


def test_lists_have_pages(
    app: Flask, alice: FlaskClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "PAGE", 2)
    visitor = Visitor(app, ask())
    for name in "abc":
        send_form(visitor, f"{name}.txt")
    received = f"/links/requests/{link_of(app)}/received"
    for client, page in ((visitor.client, visitor.page), (alice, received)):
        first = client.get(page).text
        assert [name in first for name in ("a.txt", "b.txt", "c.txt")] == [False, True, True]
        older = re.search(r'href="([^"]+\?before=[0-9]+)"', first)
        assert older
        assert "a.txt" in client.get(older[1]).text
        assert client.get(f"{page}?before=1").status_code == 200
