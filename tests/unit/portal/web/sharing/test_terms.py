"""Visitors accept the organisation's terms, once for each link, before anything else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import Activity, Entry, FileRequest, Folder, Share, StoredFile, Upload
from portal.sharing import links
from tests.support.portal import make_folder, prepare, signed_in, token, upload

TERMS = "https://example.org/terms"
NAMES = ("secret.txt", "hidden.txt")


class World(NamedTuple):
    app: Flask
    owner: FlaskClient
    file: str
    folder: str
    inbox: str
    inside: str

    def counts(self) -> tuple[int, int]:
        """Count the entries, and the downloads that were counted."""
        with self.app.app_context():
            entries = db.session.scalar(select(func.count(Entry.id)))
            return entries or 0, db.session.scalar(select(func.sum(Share.downloads))) or 0

    def accepted(self) -> list[tuple[str, str, str, str]]:
        with self.app.app_context():
            rows = db.session.scalars(select(Activity).where(Activity.action == "accept terms"))
            return [(row.name, row.actor, row.address, row.detail) for row in rows]


@pytest.fixture
def world(make_app: Callable[..., Flask]) -> World:
    app = make_app(TERMS_URL=TERMS)
    prepare(app)
    owner = signed_in(app, "alice")
    upload(owner, NAMES[0])
    page = make_folder(owner, "Inbox")
    upload(owner, NAMES[1], page=page)
    with app.app_context():
        file = db.session.scalars(select(StoredFile).where(StoredFile.name == NAMES[0])).one()
        folder = db.session.scalars(select(Folder).where(Folder.name == "Inbox")).one()
        tokens = [
            links.create(Share, file, password="between us two")[1],
            links.create(Share, folder, note="for you")[1],
            links.create(FileRequest, folder)[1],
        ]
        inside = file.public_id
    return World(app, owner, f"/s/{tokens[0]}", f"/s/{tokens[1]}", f"/r/{tokens[2]}", inside)


def enter(world: World, link: str) -> tuple[FlaskClient, str]:
    """Open a link as somebody new, and return the address of its page."""
    client = world.app.test_client()
    return client, client.get(link).headers["Location"]


def accept(client: FlaskClient, page: str, **fields: str) -> TestResponse:
    form = {"csrf_token": token(client, page), **fields}
    return client.post(f"{page}/terms", data=form)


def is_asked(response: TestResponse) -> bool:
    return "<h1>Accept the terms</h1>" in response.text


@pytest.mark.parametrize("link", ["file", "folder", "inbox"])
def test_visitor_accepts_the_terms_once_and_before_anything_else(world: World, link: str) -> None:
    client, page = enter(world, getattr(world, link))
    before = client.get(page)
    assert before.status_code == 200
    assert is_asked(before)
    assert f'href="{TERMS}"' in before.text
    assert not any(name in before.text for name in NAMES)
    assert "Inbox" not in before.text
    done = accept(client, page, accepted="y")
    assert (done.status_code, done.headers["Location"]) == (303, page)
    assert not is_asked(client.get(page))
    again = client.get(getattr(world, link), follow_redirects=True)
    assert not is_asked(again)
    heading = {"file": "Password required", "folder": "Inbox", "inbox": "Send files"}[link]
    assert heading in again.text


def test_terms_that_are_not_accepted_are_asked_for_again(world: World) -> None:
    client, page = enter(world, world.folder)
    refused = accept(client, page)
    assert refused.status_code == 422
    assert is_asked(refused)
    assert 'aria-invalid="true"' in refused.text
    assert "Accept the terms to go on." in refused.text
    assert is_asked(client.get(page))
    assert world.accepted() == []


def test_nothing_is_seen_or_sent_without_the_terms(world: World) -> None:
    counts = world.counts()
    for link in (world.file, world.folder):
        client, page = enter(world, link)
        form = {"csrf_token": token(client, page), "password": "between us two"}
        for method, path in (
            ("POST", "/unlock"),
            ("POST", f"/files/{world.inside}"),
            ("GET", f"/files/{world.inside}"),
            ("GET", f"/folders/{world.inside}"),
            ("POST", f"/folders/{world.inside}/zip"),
        ):
            answer = client.open(
                f"{page}{path}", method=method, data=form if method == "POST" else None
            )
            assert (answer.status_code, answer.headers["Location"]) == (303, page), path
            assert is_asked(client.get(page))
    client, page = enter(world, world.inbox)
    sent = {"csrf_token": token(client, page), "file": (io.BytesIO(b"x"), "x.txt")}
    answer = client.post(f"/uploads{page}", data=sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, page)
    assert pieces(client, page).status_code == 403
    assert "accept the terms" in pieces(client, page).text
    assert world.counts() == counts


def test_upload_in_pieces_begins_once_they_are_accepted(world: World) -> None:
    client, page = enter(world, world.inbox)
    accept(client, page, accepted="y")
    begun = pieces(client, page)
    assert begun.status_code == 201
    world.app.config["TERMS_URL"] = f"{TERMS}?2"
    sent = client.patch(
        begun.headers["Location"],
        data=b"x",
        headers=headers(client, page) | {"Upload-Offset": "0"},
        content_type="application/offset+octet-stream",
    )
    assert sent.status_code == 403
    with world.app.app_context():
        assert db.session.scalars(select(Upload.arrived)).all() == [0]
    before, _ = world.counts()
    accept(client, page, accepted="y")
    assert client.get(page).status_code == 200
    sent = client.patch(
        begun.headers["Location"],
        data=b"x",
        headers=headers(client, page) | {"Upload-Offset": "0"},
        content_type="application/offset+octet-stream",
    )
    assert sent.status_code == 204
    assert world.counts()[0] == before + 1


def headers(client: FlaskClient, page: str) -> dict[str, str]:
    return {"Tus-Resumable": "1.0.0", "X-CSRFToken": token(client, page)}


def pieces(client: FlaskClient, page: str) -> TestResponse:
    """Begin an upload in pieces."""
    names = {"filename": "x.txt", "request": page.rpartition("/")[2]}
    encoded = [f"{key} {base64.b64encode(one.encode()).decode()}" for key, one in names.items()]
    said = {"Upload-Length": "1", "Upload-Metadata": ",".join(encoded)}
    return client.post("/uploads/", headers=headers(client, page) | said)


def test_terms_at_another_address_are_accepted_anew(world: World) -> None:
    client, page = enter(world, world.folder)
    accept(client, page, accepted="y")
    world.app.config["TERMS_URL"] = f"{TERMS}?2"
    assert is_asked(client.get(page))
    accept(client, page, accepted="y")
    assert not is_asked(client.get(page))
    assert [row[3] for row in world.accepted()] == [
        f"{TERMS}, via 'for you'",
        f"{TERMS}?2, via 'for you'",
    ]


def test_each_link_has_its_own_acceptance_and_its_line_in_the_record(world: World) -> None:
    client, page = enter(world, world.folder)
    accept(client, page, accepted="y")
    accept(client, page, accepted="y")  # a double click
    assert world.accepted() == [("Inbox", "", "127.0.0.1", f"{TERMS}, via 'for you'")]
    other = client.get(world.inbox).headers["Location"]
    assert is_asked(client.get(other))
    shown = world.owner.get("/activity").text
    assert "accept terms" in shown
    assert TERMS in shown


def test_link_that_has_ended_says_so_instead_of_asking(world: World) -> None:
    client, page = enter(world, world.folder)
    form = {"csrf_token": token(client, page), "accepted": "y"}
    with world.app.app_context():
        for share in db.session.scalars(select(Share)):
            links.revoke(share)
    assert client.get(page).status_code == 410
    assert client.post(f"{page}/terms", data=form).status_code == 410
    assert world.accepted() == []


def test_program_that_follows_a_head_is_answered(world: World) -> None:
    client = world.app.test_client()
    answer = client.head(world.folder)
    assert client.head(answer.headers["Location"]).status_code == 200
