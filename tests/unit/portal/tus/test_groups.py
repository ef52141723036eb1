"""Small files that a page sends in one request: all of them are kept, or none."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Activity, Folder, StoredFile, Upload
from portal.storage.content import current_storage
from tests.support.portal import (
    arriving,
    choose,
    folder_id,
    folders,
    kept,
    links,
    make_folder,
    signed_in,
    token,
    upload,
)
from tests.support.tus import Tus, words

File = tuple[str, bytes]
FILES: Sequence[File] = [("a.txt", b"a"), ("b.txt", b""), ("Über uns.txt", b"ccc")]


def said(name: str, folder: str, **more: str) -> str:
    return words(folder=folder, filename=name, nonce=f"nonce of {name}", **more)


def send(
    client: FlaskClient, metadata: Sequence[str], contents: Sequence[bytes], **headers: str
) -> TestResponse:
    sent = {"X-CSRFToken": token(client), "X-Account": "alice"} | headers
    files = [(io.BytesIO(content), "file") for content in contents]
    form = {"metadata": list(metadata), "file": files}
    return client.post("/uploads/groups/", data=form, headers=sent)


def send_files(client: FlaskClient, files: Sequence[File], **more: str) -> TestResponse:
    folder = folder_id(client)
    metadata = [said(name, folder, **more) for name, _ in files]
    return send(client, metadata, [content for _, content in files])


def state(app: Flask, data: Path) -> tuple[list[str], int, int, int, int, int]:
    """Return names, and how many bytes, uploads, lines of the record and files there are."""
    with app.app_context():
        recorded = select(Activity).where(Activity.action == "upload")
        return (
            sorted(db.session.scalars(select(StoredFile.name))),
            db.session.scalars(select(Account.used).where(Account.name == "alice")).one(),
            len(db.session.scalars(select(Upload)).all()),
            len(db.session.scalars(recorded).all()),
            len(kept(data)),
            len(arriving(data)),
        )


def test_files_of_a_group_are_kept_once_however_often_they_come(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    for _ in range(2):
        answer = send_files(alice, FILES)
        assert (answer.status_code, answer.json) == (200, ["", "", ""])
        assert state(app, data) == (["a.txt", "b.txt", "Über uns.txt"], 4, 3, 3, 3, 0)
    for name, content in FILES:
        with alice.get(links(alice)[name]) as response:
            assert response.data == content
    # Each by itself is complete, too: the answer may have been lost.
    tus = Tus(alice)
    metadata = said("a.txt", folder_id(alice))
    again = tus.send("POST", "/uploads/", b"a", Upload_Length="1", Upload_Metadata=metadata)
    assert (again.status_code, again.headers["Upload-Offset"]) == (201, "1")
    assert tus.offset(str(again.location)) == 1
    assert state(app, data)[0] == ["a.txt", "b.txt", "Über uns.txt"]


def test_other_paths_are_told(alice: FlaskClient) -> None:
    upload(alice, "Trip", b"1")
    upload(alice, "a.txt", b"1")
    folder = folder_id(alice)
    inside = [said(name, folder, relativePath=f"Trip/day 1/{name}") for name in ("a.txt", "b")]
    assert send(alice, inside, [b"2", b"3"]).json == ["Trip (2)/day 1/a.txt", "Trip (2)/day 1/b"]
    assert send_files(alice, [("a.txt", b"4")]).json == ["a (2).txt"]
    day = folders(alice, folders(alice)["Trip (2)"])["day 1"]
    assert list(links(alice, day)) == ["a.txt", "b"]


def test_two_of_one_name_in_a_group_get_names_of_their_own(alice: FlaskClient) -> None:
    folder = folder_id(alice)
    both = [words(folder=folder, filename="a", nonce=nonce) for nonce in "12"]
    assert send(alice, both, [b"1", b"2"]).json == ["", "a (2)"]
    # What could be the same, is asked for.
    assert send(alice, [both[0]] * 2, [b"1", b"1"]).status_code == 400
    assert set(links(alice)) == {"a", "a (2)"}


@pytest.mark.parametrize("case", ["one has begun", "one was cancelled"])
def test_what_has_begun_by_itself_goes_on_by_itself(
    case: str, app: Flask, alice: FlaskClient, data: Path
) -> None:
    tus = Tus(alice)
    begun = {"Upload_Length": "1", "Upload_Metadata": said("a.txt", folder_id(alice))}
    url = tus.send("POST", "/uploads/", **begun).location
    if case == "one was cancelled":
        assert tus.send("DELETE", str(url)).status_code == 204
    before = state(app, data)
    assert send_files(alice, FILES).status_code == 409
    assert state(app, data) == before


def test_nothing_is_kept_of_what_exceeds_the_quota(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        account.quota = 3
        db.session.commit()
    answer = send_files(alice, FILES)
    assert answer.status_code == 413
    assert state(app, data) == ([], 0, 0, 0, 0, 0)


@pytest.mark.disk("fills it, or lets it fail")
def test_nothing_is_kept_where_the_disk_fails(
    app: Flask, alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, really = [], os.fsync

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "full")
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    assert send_files(alice, FILES).status_code == 507
    monkeypatch.undo()
    assert state(app, data) == ([], 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("metadata", "count"),
    [
        *(([], 0), (["a"], 0), ([], 1), (["a"], 2), (["a", "b"], 1)),
        ([f"{n}" for n in range(65)], 65),
    ],
)
def test_as_many_files_as_metadata(
    metadata: list[str], count: int, app: Flask, alice: FlaskClient, data: Path
) -> None:
    folder = folder_id(alice)
    answer = send(alice, [said(name, folder) for name in metadata], [b"x"] * count)
    assert answer.status_code in {400, 413}
    assert state(app, data) == ([], 0, 0, 0, 0, 0)


def test_a_group_has_one_target_of_its_own_account(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    other, mine = make_folder(alice, "Other"), folder_id(alice)
    bob = signed_in(app, "bob")
    two = [said("a", mine), said("b", folder_id(alice, other))]
    by_link = [said("a", mine), words(request="x", filename="b")]
    paths = [said(name, mine, relativePath=f"{name}/{name}") for name in "ab"]
    for metadata in (two, by_link, paths, [two[0], "filename @"]):
        refused = send(alice, metadata, [b"1", b"2"])
        assert (refused.status_code, refused.mimetype) == (400, "text/plain")
    assert send(bob, [two[0]], [b"1"], **{"X-Account": "bob"}).status_code == 404
    assert send(bob, [two[0]], [b"1"]).status_code == 401
    assert send(alice, [two[0]], [b"1"], **{"X-CSRFToken": "x"}).status_code == 400
    assert send(app.test_client(), [two[0]], [b"1"], **{"X-CSRFToken": ""}).status_code == 401
    choose(alice, "trash", other)
    assert send(alice, [two[1]], [b"1"]).status_code == 403
    deep = "/".join("x" * 60) + "/a"
    assert send(alice, [said("a", mine, relativePath=deep)], [b"1"]).status_code == 400
    assert state(app, data) == ([], 0, 0, 0, 0, 0)
    with app.app_context():
        names = set(db.session.scalars(select(Folder.name)))
        assert names == {"", "Other"}


def test_the_forms_token_may_be_a_field(app: Flask, alice: FlaskClient, data: Path) -> None:
    folder = folder_id(alice)
    form = {
        "csrf_token": token(alice),
        "metadata": [said(f"{n}", folder) for n in range(64)],
        "file": [(io.BytesIO(b"x"), "file") for _ in range(64)],
    }
    assert alice.post("/uploads/groups/", data=form).status_code == 200
    assert state(app, data)[1] == 64


def test_content_of_a_group_is_where_the_database_says(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    assert send_files(alice, [(f"{n}", b"%d" % n) for n in range(64)]).status_code == 200
    with app.app_context():
        for file in db.session.scalars(select(StoredFile)):
            assert current_storage().holds(file.storage_key, file.size)
    assert len(kept(data)) == 64
