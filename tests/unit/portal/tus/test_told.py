"""What clients are told of a file's other name, of a folder in the trash, and of resuming."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Entry, FileRequest, Folder, StoredFile, Upload
from portal.files import entries, trash, tree
from portal.sharing import links as link_service
from portal.tus import pieces
from tests.support.portal import (
    REDIRECT,
    choose,
    folder_id,
    folders,
    kept,
    links,
    make_folder,
    public_id,
    token,
    upload,
)
from tests.support.tus import Sender, Tus, words

IN_TRASH = "The folder is in the trash. Restore it, and then retry: what has arrived is kept."


@pytest.fixture
def tus(alice: FlaskClient) -> Tus:
    return Tus(alice)


def parts(data: Path) -> list[bytes]:
    return [path.read_bytes() for path in (data / "incoming/parts").glob("*")]


def restore(client: FlaskClient, page: str) -> None:
    address = f"/trash/{public_id(page)}/restore"
    assert client.post(address, data={"csrf_token": token(client)}).status_code == REDIRECT


def stored(app: Flask) -> dict[str, int]:
    with app.app_context():
        return {one.name: one.size for one in db.session.scalars(select(StoredFile))}


def test_other_name_is_told_with_the_last_piece(app: Flask, alice: FlaskClient, tus: Tus) -> None:
    upload(alice, "ä.txt", b"1")
    url = tus.begin(3, filename="ä.txt")
    assert "Stored-Name" not in tus.add(url, 0, b"a").headers
    last = tus.add(url, 1, b"bc")
    assert unquote(last.headers["Stored-Name"]) == "ä (2).txt"
    assert last.headers["Stored-Name"].isascii()
    # A client may have missed the answer.
    assert tus.send("HEAD", url).headers["Stored-Name"] == last.headers["Stored-Name"]
    whole = tus.create(1, b"x", filename="ä.txt", nonce="1")
    assert unquote(whole.headers["Stored-Name"]) == "ä (3).txt"
    again = tus.create(1, filename="ä.txt", nonce="1")
    assert unquote(again.headers["Stored-Name"]) == "ä (3).txt"
    assert "Stored-Name" not in tus.create(1, b"x", filename="b.txt").headers
    assert stored(app) == {"ä.txt": 1, "ä (2).txt": 3, "ä (3).txt": 1, "b.txt": 1}


def test_other_name_of_a_folder_is_told(app: Flask, alice: FlaskClient, tus: Tus) -> None:
    upload(alice, "Plan", b"1")
    inside = {"filename": "a.txt", "relativePath": "Plan/day 1/a.txt", "nonce": "1"}
    first = tus.create(1, b"x", **inside)
    assert unquote(first.headers["Stored-Name"]) == "Plan (2)/day 1/a.txt"
    # A client may have missed the answer.
    for again in (tus.create(1, **inside), tus.send("HEAD", first.location)):
        assert again.headers["Stored-Name"] == first.headers["Stored-Name"]
    both = tus.create(1, b"x", filename="a.txt", relativePath="Plan/day 1/a.txt")
    assert unquote(both.headers["Stored-Name"]) == "Plan (2)/day 1/a (2).txt"
    other = tus.create(1, b"x", filename="a.txt", relativePath="Plan (2)/a.txt")
    assert "Stored-Name" not in other.headers
    with app.app_context():
        paths = tree.paths([one.id for one in db.session.scalars(select(StoredFile))])
        stored = {"/".join(step.name for step in path[1:]) for path in paths.values()}
    assert stored == {
        "Plan",
        *("Plan (2)/day 1/a.txt", "Plan (2)/day 1/a (2).txt", "Plan (2)/a.txt"),
    }


def test_other_name_of_an_empty_folder_is_told(alice: FlaskClient, tus: Tus) -> None:
    upload(alice, "Plan", b"1")

    def create(path: str) -> str:
        said = {"Upload_Metadata": words(relativePath=path)}
        return unquote(tus.send("POST", "/uploads/folders/", **said).headers.get("Stored-Name", ""))

    assert create("Plan/") == "Plan (2)"
    assert create("Plan/Empty/") == "Plan (2)/Empty"
    assert create("Other/Empty/") == ""
    assert set(folders(alice)) == {"Other", "Plan (2)"}


def test_name_that_composes_accents_otherwise_is_no_other_name(tus: Tus) -> None:
    """macOS sends names so."""
    apart = {"filename": "u\u0308.txt", "relativePath": "O\u0308/u\u0308.txt"}
    assert "Stored-Name" not in tus.create(1, b"x", **apart).headers
    long = tus.create(1, b"x", filename="a" * 300)
    assert unquote(long.headers["Stored-Name"]) == "a" * 255
    path = "/".join(["ä" * 200] * 20)
    deep = tus.create(1, b"x", filename="a", relativePath=f"{path}/a")
    assert unquote(deep.headers["Stored-Name"]) == "…/a"


def link_to(app: Flask, page: str) -> str:
    with app.app_context():
        mine = select(Folder).where(Folder.public_id == public_id(page))
        return f"/r/{link_service.create(FileRequest, db.session.scalars(mine).one())[1]}"


def test_visitor_does_not_learn_what_is_there_by_a_name(app: Flask, alice: FlaskClient) -> None:
    inbox = make_folder(alice, "Inbox")
    upload(alice, "a.txt", page=inbox)
    sender = Sender(app, link_to(app, inbox))
    said = sender.announce(1, b"x", filename="a.txt")
    assert set(links(alice, inbox)) == {"a.txt", "a (2).txt"}
    assert "Stored-Name" not in said.headers
    assert "Stored-Name" not in sender.send("HEAD", said.location).headers
    upload(alice, "Plan", page=inbox)
    inside = sender.announce(1, b"x", filename="a.txt", relativePath="Plan/a.txt")
    assert "Plan (2)" in folders(alice, inbox)
    assert "Stored-Name" not in inside.headers
    assert "Stored-Name" not in sender.make_folders("Plan/Empty/").headers


def test_upload_resumes_once_its_folder_is_back_from_the_trash(
    app: Flask, alice: FlaskClient, tus: Tus, data: Path
) -> None:
    page = make_folder(alice, "Folder")
    folder = folder_id(alice, page)
    url = tus.begin(5, folder=folder, filename="a")
    tus.add(url, 0, b"123")
    choose(alice, "trash", page)
    refused = tus.add(url, 3, b"45")
    assert (refused.status_code, refused.text.strip()) == (403, IN_TRASH)
    assert tus.send("HEAD", url).status_code == 403
    for body in (b"", b"12345"):
        begun = tus.create(5, body, folder=folder, filename="b")
        assert (begun.status_code, begun.text.strip()) == (403, IN_TRASH)
    assert parts(data) == [b"123"]
    assert kept(data) == []
    restore(alice, page)
    assert tus.offset(url) == 3
    assert tus.add(url, 3, b"45").status_code == 204
    assert (parts(data), stored(app)) == ([], {"a": 5})


@pytest.mark.parametrize("who", ["member", "visitor"])
def test_folder_that_goes_to_the_trash_during_the_last_piece_loses_nothing(
    who: str,
    app: Flask,
    alice: FlaskClient,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = make_folder(alice, "Folder")
    client = Tus(alice) if who == "member" else Sender(app, link_to(app, page))
    place = {"folder": folder_id(alice, page)} if who == "member" else {}
    url = client.begin(5, filename="a", **place)
    client.add(url, 0, b"123")
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "check_room", meanwhile(app, page, pieces.check_room))
        refused = client.add(url, 3, b"45")
    assert refused.status_code == (403 if who == "member" else 410)
    assert (IN_TRASH in refused.text) == (who == "member")
    assert (parts(data), stored(app), kept(data)) == ([b"12345"], {}, [])
    restore(alice, page)
    assert client.offset(url) == 5
    assert (parts(data), stored(app)) == ([], {"a": 5})


def meanwhile(
    app: Flask, page: str, really: Callable[[Upload, int], None]
) -> Callable[[Upload, int], None]:
    """Return a check before which somebody else moves the folder to the trash."""

    def check(upload: Upload, piece: int = 0) -> None:
        really(upload, piece)
        with app.app_context():
            mine = select(Entry).where(Entry.public_id == public_id(page))
            if (entry := db.session.scalars(mine).one()).trash_id is None:
                trash.put([entries.current(entry)])

    return check


def test_pages_say_who_can_resume_an_upload_and_where(
    app: Flask, alice: FlaskClient, tus: Tus
) -> None:
    page = make_folder(alice, "Folder")
    sender = Sender(app, link_to(app, page))
    sender.begin(9, filename="theirs")
    theirs, own = "Only the visitor who sends it can resume it", "in the browser that began it"
    assert (theirs in alice.get(page).text, own in alice.get(page).text) == (True, False)
    seen = sender.client.get(sender.page).text
    assert (theirs in seen, own in seen) == (False, True)
    tus.begin(9, folder=folder_id(alice, page), filename="mine")
    assert (theirs in alice.get(page).text, own in alice.get(page).text) == (True, True)
    assert own in alice.get("/unfinished").text
