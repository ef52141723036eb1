"""A download is found by one statement, which decides as the policy does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from portal.activity.record import Thing
from portal.core.database import db
from portal.core.models import Account, Entry, Folder, SignIn, StoredFile, now
from portal.files import downloads, trash
from portal.files.downloads import Found
from portal.files.policy import may, may_read
from portal.identity import sessions
from tests.support.portal import links, upload
from tests.support.stored import root, store


def deactivate(file: StoredFile) -> None:
    db.session.get_one(Account, file.owner_id).is_active = False


def put_into_trash(file: StoredFile) -> None:
    trash.put([file])


def give_away(file: StoredFile) -> None:
    file.owner_id = root("bob").owner_id


def expire(_file: StoredFile) -> None:
    db.session.execute(sa.update(SignIn).values(created_at=now() - timedelta(days=400)))


def leave_unused(_file: StoredFile) -> None:
    db.session.execute(sa.update(SignIn).values(used_at=now() - timedelta(minutes=6)))


def end(_file: StoredFile) -> None:
    db.session.execute(sa.delete(SignIn))


@pytest.fixture
def key(app: Flask) -> str:
    with app.app_context():
        account = db.session.get_one(Account, root("alice").owner_id)
        return sessions.start(sessions.Proof.of(account), "browser", "127.0.0.1")


def test_own_file_is_found_with_all_that_a_download_needs(app: Flask, key: str) -> None:
    with app.app_context():
        file = store("alice", "a.txt")
        thing = Thing(file.owner_id, file.public_id, "a.txt", file.size)
        wanted = Found(thing, file.mimetype, file.storage_key, "alice")
        assert downloads.find_own(key, file.public_id) == wanted


@pytest.mark.parametrize(
    "happens", [deactivate, put_into_trash, give_away, expire, leave_unused, end]
)
def test_nothing_is_found_when(happens: Callable[[StoredFile], None], app: Flask, key: str) -> None:
    with app.app_context():
        file = store("alice", "a.txt")
        happens(file)
        db.session.commit()
        assert downloads.find_own(key, file.public_id) is None


def test_no_folder_nor_anything_else_is_found(app: Flask, key: str) -> None:
    with app.app_context():
        for public_id in (root("alice").public_id, "", "x" * 9000):
            assert downloads.find_own(key, public_id) is None
        assert downloads.find_own("", store("alice", "a.txt").public_id) is None


def test_condition_says_what_the_policy_says(app: Flask) -> None:
    with app.app_context():
        kept, gone = store("alice", "kept.txt"), store("alice", "gone.txt")
        trash.put([gone])
        db.session.add(Folder(name="inside", owner_id=kept.owner_id, parent_id=kept.parent_id))
        db.session.get_one(Account, root("bob").owner_id).is_active = False
        store("bob", "of bob.txt")
        db.session.commit()
        query = sa.select(Account.id, Entry.id).join(Entry, may_read())
        by_statement = set(map(tuple, db.session.execute(query)))
        by_policy = {
            (account.id, entry.id)
            for account in db.session.scalars(sa.select(Account))
            for entry in db.session.scalars(sa.select(Entry))
            if may(account, "read", entry)
        }
    assert by_statement == by_policy
    assert len(by_policy) == 3


def test_download_notes_the_use_of_its_session_now_and_then(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    address = links(alice)["a.txt"]
    long_ago = now() - timedelta(days=1)
    for noted, moment in ((True, long_ago), (False, now() - timedelta(minutes=1))):
        with app.app_context():
            db.session.execute(sa.update(SignIn).values(used_at=moment))
            db.session.commit()
        with alice.get(address) as response:
            assert response.status_code == 200
        with app.app_context():
            (used_at,) = db.session.scalars(sa.select(SignIn.used_at))
        assert (used_at > moment) is noted
