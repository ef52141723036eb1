"""The trash: into it, out of it, and away for good."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Activity, Entry, Folder, StoredFile
from portal.files import entries, trash, tree
from portal.files.trash import Purged
from portal.storage.disk import Disk
from tests.support.portal import (
    REDIRECT,
    choose,
    delete_for_good,
    folders,
    kept,
    links,
    make_folder,
    prepare,
    public_id,
    signed_in,
    token,
    upload,
)


def restore(client: FlaskClient, link: str) -> str:
    """Restore by a link, and return the message that follows."""
    form = {"csrf_token": token(client)}
    response = client.post(f"/trash/{public_id(link)}/restore", data=form, follow_redirects=True)
    found = re.search(r'<p class="note[^>]*>([^<]*)', response.text)
    assert found
    return found[1]


def in_trash(client: FlaskClient) -> list[str]:
    rows = client.get("/trash").text.partition("<tbody>")[2]
    return re.findall(r'<span class="name"><bdi>([^<]*)</bdi>', rows)


def used(app: Flask, name: str = "alice") -> int:
    with app.app_context():
        return db.session.scalars(select(Account.used).where(Account.name == name)).one()


def age(app: Flask, name: str, days: float) -> None:
    """Let something have been in the trash for so many days."""
    with app.app_context():
        root = db.session.scalars(select(Entry).where(Entry.name == name)).one()
        assert root.trashed_at
        moment = root.trashed_at - timedelta(days=days)
        db.session.execute(update(Entry).where(Entry.trash_id == root.id).values(trashed_at=moment))
        db.session.commit()


def test_everything_below_a_deleted_folder_is_out_of_reach(alice: FlaskClient) -> None:
    outer = make_folder(alice, "Outer")
    inner = make_folder(alice, "Inner", outer)
    upload(alice, "a.txt", page=inner)
    link = links(alice, inner)["a.txt"]
    choose(alice, "trash", outer)
    for address in (
        outer,
        inner,
        link,
        f"{link}/preview",
        f"{inner}/zip",
        f"/entries/{public_id(link)}",
        f"/move?entry={public_id(link)}",
        f"/trash/{public_id(link)}/delete",
    ):
        assert alice.get(address).status_code == 404, address
    form = {"csrf_token": token(alice)}
    for address in (f"/trash/{public_id(link)}/restore", f"/trash/{public_id(inner)}/delete"):
        assert alice.post(address, data=form).status_code == 404
    assert in_trash(alice) == ["Outer"]


def test_name_is_free_at_once(alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"1")
    choose(alice, "trash", links(alice)["a.txt"])
    upload(alice, "a.txt", b"2")
    assert list(links(alice)) == ["a.txt"]


def test_deleting_can_be_undone_by_a_button(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Folder")
    for name in ("a.txt", "b.txt", "c.txt"):
        upload(alice, name, page=folder)
    found = links(alice, folder)
    response = choose(alice, "trash", found["a.txt"], found["b.txt"], next=folder)
    page = alice.get(response.location).text
    assert "Moved to the trash: 2 items: a.txt, b.txt" in page
    moment = re.search(r'name="moment" value="([^"]+)"', page)
    assert moment
    form = {"csrf_token": token(alice), "moment": moment[1]}
    assert alice.post("/trash/undo", data=form).location == folder
    assert set(links(alice, folder)) == {"a.txt", "b.txt", "c.txt"}
    again = alice.post("/trash/undo", data=form | {"next": folder})
    assert again.location == folder  # and not an error
    assert set(links(alice, folder)) == {"a.txt", "b.txt", "c.txt"}


def test_undo_puts_what_was_in_one_another_back_so(alice: FlaskClient) -> None:
    inner = make_folder(alice, "Alpha")
    outer = make_folder(alice, "Alphabet")
    choose(alice, "move", inner)
    form = {"csrf_token": token(alice), "entry": public_id(inner), "folder": public_id(outer)}
    alice.post("/move", data=form)
    choose(alice, "trash", inner, outer)
    found = re.search(r'name="moment" value="([^"]+)"', alice.get("/").text)
    assert found
    alice.post("/trash/undo", data={"csrf_token": token(alice), "moment": found[1]})
    assert list(folders(alice)) == ["Alphabet"]
    assert list(folders(alice, outer)) == ["Alpha"]


@pytest.mark.parametrize(
    "moment",
    [
        "",
        "x",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "9" * 99,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_undo_of_nothing_is_404(moment: str, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    choose(alice, "trash", links(alice)["a.txt"])
    before = in_trash(alice)
    form = {"csrf_token": token(alice), "moment": moment}
    assert alice.post("/trash/undo", data=form).status_code == 404
    assert in_trash(alice) == before != []
    assert links(alice) == {}


def test_cookie_stays_small_however_much_is_deleted(alice: FlaskClient) -> None:
    for number in range(30):
        upload(alice, f"{number:02} {'x' * 100}.txt")
    response = choose(alice, "trash", *links(alice).values())
    assert len(response.headers["Set-Cookie"]) < 1000


def test_restored_to_where_it_was(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Folder")
    inner = make_folder(alice, "Inner", folder)
    upload(alice, "a.txt", page=inner)
    choose(alice, "trash", inner)
    assert restore(alice, inner) == "Restored to Folder: Inner"
    assert folders(alice, folder) == {"Inner": inner}
    assert list(links(alice, inner)) == ["a.txt"]
    assert in_trash(alice) == []


def test_restored_under_another_name_where_its_own_is_taken(alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"old")
    old = links(alice)["a.txt"]
    choose(alice, "trash", old)
    upload(alice, "A.txt", b"new")
    assert restore(alice, old) == "Restored to My files: a (2).txt (a.txt is taken)"
    with alice.get(links(alice)["a (2).txt"]) as response:
        assert response.data == b"old"


def test_restored_to_the_root_while_its_folder_is_in_the_trash(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Folder")
    upload(alice, "a.txt", page=folder)
    link = links(alice, folder)["a.txt"]
    choose(alice, "trash", link)
    choose(alice, "trash", folder)
    assert in_trash(alice) == ["Folder", "a.txt"]
    assert restore(alice, link) == (
        "Restored to My files: a.txt (a.txt: its folder Folder is in the trash)"
    )
    assert links(alice) == {"a.txt": link}


def test_what_was_deleted_before_its_folder_outlives_it_in_the_trash(
    alice: FlaskClient, data: Path
) -> None:
    folder = make_folder(alice, "Folder")
    inner = make_folder(alice, "Inner", folder)
    upload(alice, "first.txt", page=inner)
    upload(alice, "second.txt", page=inner)
    first = links(alice, inner)["first.txt"]
    choose(alice, "trash", first)
    delete_for_good(alice, folder)
    assert in_trash(alice) == ["first.txt"]
    assert len(kept(data)) == 1
    assert restore(alice, first) == "Restored to My files: first.txt"


def test_what_was_deleted_before_its_folder_stays_in_the_trash_when_that_returns(
    alice: FlaskClient,
) -> None:
    folder = make_folder(alice, "Folder")
    for name in ("first.txt", "second.txt"):
        upload(alice, name, page=folder)
    choose(alice, "trash", links(alice, folder)["first.txt"])
    choose(alice, "trash", folder)
    restore(alice, folder)
    assert in_trash(alice) == ["first.txt"]
    assert list(links(alice, folder)) == ["second.txt"]


def test_folder_too_deep_by_now_is_restored_to_the_root(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "DEEPEST", 3)
    folder = make_folder(alice, "Folder")
    inner = make_folder(alice, "Inner", folder)
    make_folder(alice, "Innermost", inner)
    choose(alice, "trash", inner)
    other = make_folder(alice, "Other")
    form = {"csrf_token": token(alice), "entry": public_id(folder), "folder": public_id(other)}
    alice.post("/move", data=form)
    restore(alice, inner)
    assert set(folders(alice)) == {"Inner", "Other"}


def test_trash_counts_against_the_quota_until_it_is_emptied(app: Flask, alice: FlaskClient) -> None:
    folder = make_folder(alice, "Folder")
    upload(alice, "a.txt", b"x" * 100, page=folder)
    upload(alice, "b.txt", b"x" * 10)
    choose(alice, "trash", folder)
    assert used(app) == 110
    assert "100 bytes</td>" in alice.get("/trash").text
    alice.post("/trash/empty", data={"csrf_token": token(alice)})
    assert used(app) == 10
    assert in_trash(alice) == []
    assert "The trash is empty" in alice.get("/trash").text


def test_empty_trash_is_not_emptied(app: Flask, alice: FlaskClient) -> None:
    assert alice.get("/trash/empty").location == "/trash"
    alice.post("/trash/empty", data={"csrf_token": token(alice)})
    assert "The trash is empty" in alice.get("/trash").text
    with app.app_context():
        assert not db.session.query(Activity).filter_by(action="delete").count()


def test_emptying_spares_what_is_not_in_the_trash_and_others(
    alice: FlaskClient, bob: FlaskClient, data: Path
) -> None:
    for client in (alice, bob):
        for name in ("a.txt", "b.txt"):
            upload(client, name)
        choose(client, "trash", links(client)["a.txt"])
    assert "You cannot undo this" in alice.get("/trash/empty").text
    alice.post("/trash/empty", data={"csrf_token": token(alice)})
    assert list(links(alice)) == ["b.txt"]
    assert in_trash(bob) == ["a.txt"]
    assert len(kept(data)) == 3


def test_emptying_records_what_was_in_the_trash_and_nothing_else(
    app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    folder = make_folder(alice, "Folder")
    upload(alice, "inside.txt", page=folder)
    for client in (alice, bob):
        for name in ("a.txt", "b.txt"):
            upload(client, name)
        choose(client, "trash", links(client)["a.txt"])
    choose(alice, "trash", folder)
    alice.post("/trash/empty", data={"csrf_token": token(alice)})
    with app.app_context():
        deleted = select(Activity.actor, Activity.name).where(Activity.action == "delete")
        assert sorted(map(tuple, db.session.execute(deleted))) == [
            ("alice", "Folder"),
            ("alice", "a.txt"),
        ]


@pytest.mark.disk("looks there")
def test_rows_go_before_content(
    alice: FlaskClient, data: Path, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    seen = []
    really = Disk.delete

    def watched(self: Disk, key: str) -> None:
        with app.app_context():
            seen.append(db.session.scalar(select(func.count()).select_from(StoredFile)))
        really(self, key)

    monkeypatch.setattr(Disk, "delete", watched)
    delete_for_good(alice, links(alice)["a.txt"])
    assert seen == [0]
    assert kept(data) == []


def test_expired_goes_for_good_and_the_rest_stays(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    folder = make_folder(alice, "Old")
    upload(alice, "a.txt", b"12345", page=folder)
    upload(alice, "new.txt", b"1")
    choose(alice, "trash", folder)
    choose(alice, "trash", links(alice)["new.txt"])
    age(app, "Old", 30.01)
    age(app, "new.txt", 29.99)
    with app.app_context():
        assert trash.purge_expired() == Purged(1, 5)
        assert trash.purge_expired() == Purged(0, 0)
    assert in_trash(alice) == ["new.txt"]
    assert used(app) == 1
    assert len(kept(data)) == 1


def test_days_are_a_setting_and_an_argument(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(TRASH_DAYS=7)
    prepare(app)
    alice = signed_in(app, "alice")
    upload(alice, "a.txt", b"1")
    choose(alice, "trash", links(alice)["a.txt"])
    assert "deleted permanently after 7 days" in alice.get("/trash").text
    age(app, "a.txt", 5)
    with app.app_context():
        assert trash.purge_expired() == Purged()
        app.config["TRASH_DAYS"] = 4
        assert trash.purge_expired() == Purged(1, 1)


def test_requests_empty_the_trash_of_what_is_too_old_now_and_then(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        upload(alice, name)
    listed = links(alice)
    choose(alice, "trash", listed["a.txt"])
    age(app, "a.txt", 31)
    choose(alice, "trash", listed["b.txt"])
    assert in_trash(alice) == ["b.txt", "a.txt"]
    monkeypatch.setattr(trash, "_EVERY", 0)
    app.extensions.pop("portal.trash.next")
    choose(alice, "trash", listed["c.txt"])
    assert in_trash(alice) == ["c.txt", "b.txt"]


def test_failure_to_purge_does_not_fail_the_request(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> Purged:
        raise OperationalError("DELETE", {}, Exception("locked"))

    monkeypatch.setattr(trash, "purge_expired", fail)
    upload(alice, "a.txt")
    assert choose(alice, "trash", links(alice)["a.txt"]).status_code == REDIRECT
    assert in_trash(alice) == ["a.txt"]


def test_account_is_deleted_with_its_trash(app: Flask, alice: FlaskClient, data: Path) -> None:
    folder = make_folder(alice, "Folder")
    upload(alice, "a.txt", page=folder)
    choose(alice, "trash", folder)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.delete(account)
    assert kept(data) == []


def test_restoring_what_was_just_purged_is_told_as_gone(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    choose(alice, "trash", links(alice)["a.txt"])
    with app.app_context():
        entry = db.session.scalars(select(Entry).where(Entry.name == "a.txt")).one()
        owner_id = entry.owner_id
        with app.app_context():
            trash.empty(owner_id)
        with pytest.raises(entries.GoneError):
            trash.restore(entry)


def test_trash_is_listed_in_pages_the_last_first(app: Flask, alice: FlaskClient) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        root = entries.root_folder(account.id)
        made = [entries.place(Folder(name=f"{n:03}"), root) for n in range(103)]
        for entry in made:
            trash.put([entry])
    assert in_trash(alice)[:2] == ["102", "101"]
    page = alice.get("/trash").text
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    text = alice.get(following[1]).text
    assert re.findall(r'<span class="name"><bdi>([^<]*)</bdi>', text) == ["002", "001", "000"]
