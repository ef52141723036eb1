"""Files whose name is taken: beside the other or in its place, which keeps what it held before."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from datetime import UTC, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text, update
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.activity.record import bring_in
from portal.core.database import db
from portal.core.models import Account, Activity, FileRequest, Share, StoredFile, Upload
from portal.files import trash, versions, zips
from portal.sharing.links import create as create_link
from portal.storage.content import current_storage
from tests.support.portal import (
    REDIRECT,
    Run,
    choose,
    delete_for_good,
    folder_id,
    folders,
    kept,
    links,
    make_folder,
    public_id,
    token,
    upload,
    upload_url,
)
from tests.support.stored import root
from tests.support.tus import Sender, Tus, words


class State(NamedTuple):
    """What is stored: files and their content by name, what each held before, the bytes used."""

    files: dict[str, bytes]
    versions: dict[str, list[bytes]]
    used: int


def state(app: Flask, data: Path) -> State:
    """Return what is stored of alice's; rows, hashes, content and the quota agree."""
    files: dict[str, bytes] = {}
    held: dict[str, list[bytes]] = {}
    size = 0
    with app.app_context():
        owner = db.session.scalars(select(Account).where(Account.name == "alice")).one()
        mine = select(StoredFile).where(StoredFile.owner_id == owner.id, StoredFile.is_file)
        rows = db.session.scalars(mine.order_by(StoredFile.id.desc())).all()
        for row in rows:
            with current_storage().open(row.storage_key) as content:
                found = content.read(-1)
            assert (row.size, row.sha256) == (len(found), hashlib.sha256(found).hexdigest())
            size += row.size
            if row.version_of:
                held.setdefault(db.session.get_one(StoredFile, row.version_of).name, []).append(
                    found
                )
            elif row.trash_id is None:
                files[row.name] = found
        assert owner.used == size
        keys = db.session.scalars(select(StoredFile.storage_key).where(StoredFile.is_file))
        assert sorted(path.name for path in kept(data)) == sorted(keys)
        used = owner.used
        db.session.rollback()
    return State(files, held, used)


def replace(client: FlaskClient, name: str, content: bytes, page: str = "/") -> TestResponse:
    return upload(client, name, content, page=page, taken="replace")


def actions(app: Flask) -> list[str]:
    with app.app_context():
        found = db.session.scalars(select(Activity.action).order_by(Activity.id)).all()
        db.session.rollback()
    return [one for one in found if one != "sign in"]


def listed(client: FlaskClient, link: str) -> list[str]:
    """Return the addresses of a file's versions, which its page lists."""
    page = client.get(f"/entries/{public_id(link)}").text
    return re.findall(r'<a [^>]*href="(/entries/[\w-]+/versions/[\w-]+)"', page)


def fetch(client: FlaskClient, address: str, **headers: str) -> tuple[int, bytes]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with client.get(address, headers=sent) as response:
        return response.status_code, response.data


def press(client: FlaskClient, address: str) -> TestResponse:
    return client.post(address, data={"csrf_token": token(client)})


@pytest.fixture
def replaced(app: Flask, alice: FlaskClient) -> str:
    """Return the link of a file that held other content twice."""
    upload(alice, "a.txt", b"first")
    replace(alice, "a.txt", b"second one")
    replace(alice, "A.TXT", b"third")
    del app
    return links(alice)["a.txt"]


# Replacing


def test_replaced_file_keeps_its_name_and_address_and_what_it_held(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    upload(alice, "a.txt", b"first")
    before = links(alice)
    assert replace(alice, "A.TXT", b"second one").status_code == REDIRECT
    assert "Replaced: a.txt" in alice.get("/").text
    assert links(alice) == before
    assert fetch(alice, before["a.txt"]) == (200, b"second one")
    assert state(app, data) == ({"a.txt": b"second one"}, {"a.txt": [b"first"]}, 15)
    assert actions(app) == ["upload", "replace"]


@pytest.mark.parametrize("form", [{}, {"taken": ""}, {"taken": "keep"}, {"taken": "x"}])
def test_who_does_not_ask_for_it_keeps_both(
    form: dict[str, str], app: Flask, alice: FlaskClient, data: Path
) -> None:
    for content in (b"first", b"second"):
        upload(alice, "a.txt", content, **form)
    assert state(app, data).files == {"a.txt": b"first", "a (2).txt": b"second"}
    assert state(app, data).versions == {}


def test_several_files_of_a_form_replace_and_are_new(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    upload(alice, "a.txt", b"first")
    files = [(io.BytesIO(content), name) for name, content in (("a.txt", b"1"), ("b.txt", b"2"))]
    form = {"csrf_token": token(alice), "taken": "replace", "file": files}
    page = alice.post(upload_url(alice), data=form, follow_redirects=True).text
    assert "Uploaded: b.txt. Replaced: a.txt" in page
    assert state(app, data) == ({"a.txt": b"1", "b.txt": b"2"}, {"a.txt": [b"first"]}, 7)


def test_folder_of_the_name_is_not_replaced(app: Flask, alice: FlaskClient, data: Path) -> None:
    make_folder(alice, "a.txt")
    replace(alice, "a.txt", b"first")
    assert state(app, data) == ({"a (2).txt": b"first"}, {}, 5)
    assert list(folders(alice)) == ["a.txt"]


def test_upload_in_pieces_replaces(app: Flask, alice: FlaskClient, data: Path) -> None:
    inner = make_folder(alice, "Trip")
    upload(alice, "a.txt", b"first", page=inner)
    tus = Tus(alice)
    said = {"filename": "a.txt", "folder": folder_id(alice), "relativePath": "Trip/a.txt"}
    url = tus.begin(6, **said, replace="yes")
    assert state(app, data).versions == {}
    tus.add(url, 0, b"second")
    assert state(app, data) == ({"a.txt": b"second"}, {"a.txt": [b"first"]}, 11)
    assert actions(app)[-1] == "replace"
    # What is asked for again is not done again.
    assert tus.offset(url) == 6
    assert len(state(app, data).versions["a.txt"]) == 1


def test_group_replaces_some_and_adds_others_once(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    upload(alice, "a.txt", b"first")
    folder = folder_id(alice)

    def send() -> object:
        said = [
            words(folder=folder, filename=name, nonce=name, replace="yes")
            for name in ("a.txt", "b.txt", "A.TXT")
        ]
        files = [(io.BytesIO(one), "file") for one in (b"1", b"22", b"333")]
        form = {"metadata": said, "file": files}
        return alice.post("/uploads/groups/", data=form, headers={"X-CSRFToken": token(alice)}).json

    for _ in range(2):
        assert send() == ["", "", "a.txt"]
        after = {"a.txt": b"333", "b.txt": b"22"}, {"a.txt": [b"1", b"first"]}, 11
        assert state(app, data) == after
        assert sorted(actions(app)) == ["replace", "replace", "upload", "upload"]


def test_quota_has_to_have_room_for_both(app: Flask, alice: FlaskClient, data: Path) -> None:
    upload(alice, "a.txt", b"12345")
    with app.app_context():
        db.session.execute(update(Account).values(quota=9))
        db.session.commit()
    before = state(app, data)
    assert replace(alice, "a.txt", b"67890").status_code == 413
    tus = Tus(alice)
    said = {"filename": "a.txt", "folder": folder_id(alice), "replace": "yes"}
    assert tus.create(5, **said).status_code == 413
    assert state(app, data) == before
    replace(alice, "a.txt", b"6789")
    assert state(app, data) == ({"a.txt": b"6789"}, {"a.txt": [b"12345"]}, 9)


def test_what_was_renamed_moved_or_trashed_meanwhile_is_not_replaced(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    """An upload replaces what has the name when it is complete."""
    tus = Tus(alice)
    elsewhere = make_folder(alice, "Elsewhere")

    def rename(link: str) -> None:
        form = {"csrf_token": token(alice), "name": "renamed.txt"}
        alice.post(f"/entries/{public_id(link)}/rename", data=form)

    def move(link: str) -> None:
        there = public_id(elsewhere)
        form = {"csrf_token": token(alice), "entry": public_id(link), "folder": there}
        alice.post("/move", data=form)

    def put_into_trash(link: str) -> None:
        choose(alice, "trash", link)

    for number, change in enumerate((rename, move, put_into_trash)):
        name = f"{number}.txt"
        upload(alice, name, b"first")
        said = {"filename": name, "folder": folder_id(alice), "replace": "yes"}
        url = tus.begin(6, **said)
        change(links(alice)[name])
        tus.add(url, 0, b"second")
        assert fetch(alice, links(alice)[name]) == (200, b"second")
    assert state(app, data).versions == {}


# Visitors


@pytest.fixture
def sender(app: Flask, alice: FlaskClient) -> Sender:
    upload(alice, "a.txt", b"first")
    with app.app_context():
        _, secret = create_link(FileRequest, root("alice"))
    return Sender(app, f"/r/{secret}")


def test_visitors_never_replace(app: Flask, alice: FlaskClient, sender: Sender, data: Path) -> None:
    form = {"csrf_token": sender.token, "taken": "replace"}
    content = {"file": (io.BytesIO(b"second"), "a.txt")}
    sender.client.post(f"/uploads{sender.page}", data=form | content)
    url = sender.begin(5, filename="a.txt")
    sender.add(url, 0, b"third")
    expected = {"a.txt": b"first", "a (2).txt": b"second", "a (3).txt": b"third"}
    assert state(app, data) == (expected, {}, 16)
    assert sender.announce(5, filename="a.txt", replace="yes").status_code == 400
    # Whatever the database says of it.
    url = sender.begin(6, filename="a.txt")
    with app.app_context():
        said = words(filename="a.txt", replace="yes")
        db.session.execute(update(Upload).values(client_metadata=said))
        db.session.commit()
    sender.add(url, 0, b"fourth")
    assert state(app, data).versions == {}
    assert state(app, data).files["a.txt"] == b"first"
    assert "replace" not in actions(app)
    del alice


def test_nobody_else_hears_which_names_are_taken(
    app: Flask, alice: FlaskClient, bob: FlaskClient, sender: Sender
) -> None:
    form = {"folder": folder_id(alice), "path": ["a.txt"]}
    headers = {"X-CSRFToken": sender.token}
    answer = sender.client.post("/uploads/taken/", data=form, headers=headers)
    assert answer.status_code == 401
    headers = {"X-CSRFToken": token(bob)}
    assert bob.post("/uploads/taken/", data=form, headers=headers).status_code == 404
    headers = {"X-CSRFToken": token(alice)}
    assert alice.post("/uploads/taken/", data=form, headers=headers).json == [True]
    del app


def test_taken_names_are_those_of_files_where_an_upload_would_put_them(alice: FlaskClient) -> None:
    inner = make_folder(alice, "Inner", make_folder(alice, "Outer"))
    make_folder(alice, "folder.txt")
    upload(alice, "a.txt")
    upload(alice, "b.txt", page=inner)
    choose(alice, "trash", links(alice)["a.txt"])
    upload(alice, "Über.txt")
    asked = {
        "a.txt": False,  # in the trash
        "u\u0308BER.TXT": True,
        "folder.txt": False,
        "Outer/Inner/b.txt": True,
        "outer\\INNER/B.txt": True,
        "Outer/b.txt": False,
        "Outer/Nowhere/b.txt": False,
        "Inner/b.txt": False,
        "": False,
    }
    form = {"folder": folder_id(alice), "path": list(asked)}
    headers = {"X-CSRFToken": token(alice)}
    answer = alice.post("/uploads/taken/", data=form, headers=headers)
    assert dict(zip(asked, answer.json or [], strict=True)) == asked


# What links, downloads and ZIPs have


def test_link_leads_to_the_new_content(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"first")
    with app.app_context():
        file = db.session.scalars(select(StoredFile).where(StoredFile.is_file)).one()
        _, secret = create_link(Share, file)
    visitor = app.test_client()
    page = visitor.get(f"/s/{secret}").location
    replace(alice, "a.txt", b"second")
    begin = re.search(r'action="(/shared/[^"]+/files/[^"]+)"', visitor.get(page).text)
    assert begin
    form = {"csrf_token": token(visitor, page)}
    assert fetch(visitor, visitor.post(begin[1], data=form).location) == (200, b"second")


def test_validators_of_the_old_content_are_not_those_of_the_new(alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"old content")
    link = links(alice)["a.txt"]
    with alice.get(link) as response:
        old = response.headers["ETag"]
    replace(alice, "a.txt", b"new content")
    assert fetch(alice, link, If_None_Match=old) == (200, b"new content")
    # A download that is resumed gets all of the new, and no mixture.
    status, content = fetch(alice, link, Range="bytes=4-", If_Range=old)
    assert (status, content) == (200, b"new content") or status == 412  # of a store
    assert fetch(alice, link, If_Match=old)[0] == 412


def test_download_and_zip_that_have_begun_go_on_with_the_old_content(
    app: Flask, alice: FlaskClient
) -> None:
    upload(alice, "a.txt", b"old")
    with app.app_context():
        members = zips.members([root("alice")])
        with current_storage().open(members[0].key or "") as download:
            replace(alice, "a.txt", b"new content")
            trash.empty(root("alice").owner_id)
            assert download.read(3) == b"old"
            _, pieces = zips.stream(members, current_storage(), UTC)
            assert b"old" in b"".join(pieces)


# The page of a file


def test_page_of_a_file_lists_its_versions(app: Flask, alice: FlaskClient, replaced: str) -> None:
    page = alice.get(f"/entries/{public_id(replaced)}").text
    for content in (b"first", b"second one", b"third"):
        assert hashlib.sha256(content).hexdigest() in page
    second, first = listed(alice, replaced)
    assert fetch(alice, second) == (200, b"second one")
    with alice.get(first) as response:
        assert response.data == b"first"
        assert "a.txt" in response.headers["Content-Disposition"]
    with app.app_context():
        bring_in(wait=True)
        last = db.session.scalars(select(Activity).order_by(Activity.id.desc())).first()
        assert last
        assert (last.action, last.name, last.detail) == ("download", "a.txt", "a version")
        assert last.entry == public_id(replaced)


def test_each_of_many_versions_is_reached(
    app: Flask, alice: FlaskClient, replaced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PAGE", 1)
    seen: list[str] = []
    page = f"/entries/{public_id(replaced)}"
    for _ in range(2):
        text = alice.get(page).text
        assert f"version {len(seen) + 1} of 2" in text
        seen += re.findall(r'/entries/[^/"]+/versions/([^/"]+)"', text)
        if following := re.search(r'href="([^"#]+\?versions=[0-9]+)#versions"', text):
            page = unescape(following[1])
    assert len(set(seen)) == len(seen) == 2
    assert not re.search(r"\?versions=[0-9]+#", text)  # it is the last
    form = {"csrf_token": token(alice)}
    assert alice.post(f"/entries/{public_id(replaced)}/versions/{seen[1]}/delete", data=form)
    with app.app_context():
        left = select(StoredFile.public_id).where(StoredFile.version_of.is_not(None))
        assert db.session.scalars(left).all() == [seen[0]]
    assert alice.get(page).status_code == 200  # with what is left


def test_version_says_who_has_sent_it(app: Flask, alice: FlaskClient, sender: Sender) -> None:
    sender.add(sender.begin(4, filename="theirs.txt"), 0, b"news")
    replace(alice, "theirs.txt", b"mine")
    with app.app_context():
        file = db.session.scalars(select(StoredFile).where(StoredFile.size == 4)).first()
        assert file
        held = [*versions.of_file(file).rows, file]
        theirs, mine = versions.senders(file, held)
        assert theirs
        assert mine
        assert (theirs.activity.actor, theirs.activity.action) == ("", "upload")
        assert (mine.activity.actor, mine.activity.action) == ("alice", "replace")


def test_restored_version_changes_places_with_the_present_content(
    app: Flask, alice: FlaskClient, replaced: str, data: Path
) -> None:
    second, first = listed(alice, replaced)
    assert press(alice, f"{first}/restore").location.endswith("#versions")
    assert fetch(alice, replaced) == (200, b"first")
    expected = {"a.txt": b"first"}, {"a.txt": [b"third", b"second one"]}, 20
    assert state(app, data) == expected
    assert "restore version" in actions(app)
    assert press(alice, f"{first}/restore").status_code == 404  # pressed twice
    assert press(alice, f"{second}/restore").status_code == REDIRECT
    assert state(app, data).versions == {"a.txt": [b"first", b"third"]}


def test_deleted_version_gives_its_room_back(
    app: Flask, alice: FlaskClient, replaced: str, data: Path
) -> None:
    second, _ = listed(alice, replaced)
    assert alice.get(f"{second}/delete").status_code == 200
    assert state(app, data).used == 20
    press(alice, f"{second}/delete")
    assert state(app, data) == ({"a.txt": b"third"}, {"a.txt": [b"first"]}, 10)
    assert actions(app)[-1] == "delete version"
    assert alice.get(second).status_code == 404


def test_version_is_reached_by_the_page_of_its_file_alone(
    app: Flask, alice: FlaskClient, bob: FlaskClient, replaced: str, data: Path
) -> None:
    version = listed(alice, replaced)[0]
    version_id = version.rpartition("/")[2]
    before = state(app, data)
    for client in (alice, bob):
        for address in (f"/files/{version_id}", f"/entries/{version_id}"):
            assert client.get(address).status_code == 404
        for address in (f"/trash/{version_id}/restore", f"/trash/{version_id}/delete"):
            assert press(client, address).status_code == 404
        assert choose(client, "zip", f"/files/{version_id}").status_code == 404
    for address in (version, f"{version}/delete"):
        assert bob.get(address).status_code == 404
    for address in (f"{version}/restore", f"{version}/delete"):
        assert press(bob, address).status_code == 404
    upload(alice, "b.txt", b"")
    other = f"/entries/{public_id(links(alice)['b.txt'])}/versions/{version_id}"
    assert alice.get(other).status_code == 404
    assert press(alice, f"{other}/restore").status_code == 404
    choose(alice, "trash", replaced)
    assert alice.get(version).status_code == 404
    assert press(alice, f"{version}/restore").status_code == 404
    press(alice, f"/trash/{public_id(replaced)}/restore")
    assert state(app, data)[1:] == before[1:]


def test_lists_searches_and_zips_have_no_versions(
    app: Flask, alice: FlaskClient, replaced: str
) -> None:
    assert list(links(alice)) == ["a.txt"]
    assert list(links(alice, "/search?q=a.txt")) == ["a.txt"]
    assert alice.get("/search?q=a.txt").text.count('<th scope="row">') == 1
    assert "The trash is empty" in alice.get("/trash").text
    assert "Your files have 2 versions: 15 bytes." in alice.get("/trash").text
    with app.app_context():
        assert [member.size for member in zips.members([root("alice")])] == [5]
    del replaced


# The end of a version


def age(app: Flask, days: int) -> None:
    with app.app_context():
        for one in db.session.scalars(select(StoredFile).where(StoredFile.version_of.is_not(None))):
            assert one.trashed_at
            one.trashed_at -= timedelta(days=days)
        db.session.commit()


def test_version_expires_as_the_trash_does(
    app: Flask, alice: FlaskClient, run: Run, data: Path
) -> None:
    upload(alice, "a.txt", b"first")
    replace(alice, "a.txt", b"second")
    age(app, 31)
    replace(alice, "a.txt", b"third")
    age(app, 29)
    with app.app_context():
        assert run("cleanup")[0] == 0
    assert state(app, data) == ({"a.txt": b"third"}, {"a.txt": [b"second"]}, 11)
    age(app, 2)
    choose(alice, "trash", links(alice)["a.txt"])  # which looks for what is too old
    assert state(app, data) == ({}, {}, 5)


def test_versions_go_with_their_file(app: Flask, alice: FlaskClient, data: Path) -> None:
    folder = make_folder(alice, "Folder")
    for content in (b"first", b"second"):
        replace(alice, "a.txt", content, page=folder)
    upload(alice, "b.txt", b"stays")
    replace(alice, "b.txt", b"new")
    choose(alice, "trash", folder)
    assert '<td class="size">11 bytes</td>' in alice.get("/trash").text
    upload(alice, "c.txt", b"c")
    replace(alice, "c.txt", b"cc")
    replace(alice, "c.txt", b"ccc")
    single = links(alice)["c.txt"]
    for link, size, replaced in (
        (folder, "1 file: 6 bytes.", "1 version is deleted with it: 5 bytes."),
        (single, "A file of 3 bytes", "2 versions are deleted with it: 3 bytes."),
        (None, "2 files: 9 bytes.", "3 versions are deleted with it: 8 bytes."),
    ):
        if link == single:
            choose(alice, "trash", single)
        asked = alice.get(f"/trash/{public_id(link)}/delete" if link else "/trash/empty").text
        assert size in asked
        assert replaced in asked
    press(alice, f"/trash/{public_id(single)}/delete")
    assert state(app, data).used == 19
    press(alice, f"/trash/{public_id(folder)}/delete")
    assert state(app, data) == ({"b.txt": b"new"}, {"b.txt": [b"stays"]}, 8)


def test_restored_file_has_its_versions(
    app: Flask, alice: FlaskClient, replaced: str, data: Path
) -> None:
    before = state(app, data)
    choose(alice, "trash", replaced)
    press(alice, f"/trash/{public_id(replaced)}/restore")
    assert state(app, data) == before
    assert len(listed(alice, replaced)) == 2


def test_moved_file_keeps_its_versions_where_its_folder_is_deleted(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    folder = make_folder(alice, "Folder")
    for content in (b"first", b"second"):
        replace(alice, "a.txt", content, page=folder)
    root_id = folder_id(alice)
    link = links(alice, folder)["a.txt"]
    form = {"csrf_token": token(alice), "entry": public_id(link), "folder": root_id}
    alice.post("/move", data=form)
    delete_for_good(alice, folder)
    assert state(app, data) == ({"a.txt": b"second"}, {"a.txt": [b"first"]}, 11)


def test_emptied_trash_leaves_the_versions_of_files_that_stay(
    app: Flask, alice: FlaskClient, replaced: str, data: Path
) -> None:
    upload(alice, "b.txt", b"b")
    replace(alice, "b.txt", b"bb")
    choose(alice, "trash", links(alice)["b.txt"])
    press(alice, "/trash/empty")
    expected = {"a.txt": b"third"}, {"a.txt": [b"second one", b"first"]}, 20
    assert state(app, data) == expected
    assert alice.get("/trash/versions/delete").status_code == 200
    press(alice, "/trash/versions/delete")
    assert state(app, data) == ({"a.txt": b"third"}, {}, 5)
    assert actions(app)[-1] == "delete version"
    del replaced


def test_deleted_account_leaves_no_versions(
    app: Flask, alice: FlaskClient, replaced: str, data: Path
) -> None:
    with app.app_context():
        found = accounts.find("alice")
        assert found
        assert accounts.count_files(found) == (3, 20)
        accounts.delete(found)
    assert kept(data) == []
    del alice, replaced


# Administration


def test_check_finds_nothing_wrong_and_counts_versions(
    app: Flask, alice: FlaskClient, replaced: str, run: Run
) -> None:
    assert run("check", "--content") == (0, "", "")
    with app.app_context():
        db.session.execute(update(Account).where(Account.name == "alice").values(used=1))
        db.session.commit()
    assert run("check", "--repair")[0] == 0
    assert run("check", "--content") == (0, "", "")
    assert "20 bytes of" in alice.get("/").text
    del replaced


@pytest.mark.parametrize(
    "wrong",
    [
        "version_of = (SELECT id FROM entry WHERE NOT is_file LIMIT 1)",
        "version_of = id",
        "version_of = (SELECT id FROM entry WHERE name = 'b.txt')",
    ],
)
def test_version_of_what_is_no_file_of_the_account_is_left_in_the_trash(
    wrong: str, app: Flask, alice: FlaskClient, bob: FlaskClient, run: Run, data: Path
) -> None:
    upload(alice, "a.txt", b"first")
    replace(alice, "a.txt", b"second")
    upload(bob, "b.txt", b"")
    with app.app_context():
        where = "WHERE version_of IS NOT NULL"
        db.session.execute(text(f"UPDATE entry SET {wrong} {where}"))  # noqa: S608
        db.session.commit()
    assert run("check")[0] == 1
    assert run("check", "--repair")[0] == 0
    assert run("check", "--content") == (0, "", "")
    assert state(app, data) == ({"a.txt": b"second"}, {}, 11)
    assert "a.txt" in alice.get("/trash").text.partition("<tbody>")[2]


@pytest.mark.sqlite("elsewhere, backups are the server's")
@pytest.mark.disk("what a bucket has is not in a backup")
def test_restored_backup_has_the_versions(
    app: Flask,
    alice: FlaskClient,
    replaced: str,
    run: Run,
    make_app: Callable[..., Flask],
    tmp_path: Path,
    data: Path,
) -> None:
    target = tmp_path / "portal.tar"
    assert run("backup", str(target))[0] == 0
    other = make_app(DATA=str(tmp_path / "new"))
    result = other.test_cli_runner().invoke(args=["portal", "restore", str(target)])
    assert result.exit_code == 0, result.output
    assert state(other, tmp_path / "new") == state(app, data)
    del alice, replaced
