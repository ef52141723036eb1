"""A download is found by one statement, which decides as the policy does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from portal.activity.record import Thing
from portal.core.database import db
from portal.core.models import (
    Account,
    Entry,
    Folder,
    Share,
    ShareDownload,
    SignIn,
    StoredFile,
    now,
)
from portal.files import downloads, entries, trash
from portal.files.downloads import Found
from portal.files.policy import may, may_read
from portal.identity import sessions
from portal.sharing import limits, links
from portal.sharing.status import Status, may_look, status_of
from portal.sharing.visitor import Visited
from tests.support.portal import links as listed
from tests.support.portal import upload
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


VISITOR = "1" * 64


def test_begun_download_is_found_with_its_share(app: Flask) -> None:
    with app.app_context():
        folder, file, share = begun()
        visited = Visited(share.public_id, share.token_hash, None, "", "As promised")
        wanted = (visited, folder.public_id, Found.of(file))
        assert downloads.find_granted(share.public_id, file.public_id, VISITOR) == wanted


def put_folder_into_trash(file: StoredFile, _share: Share) -> None:
    trash.put([db.session.get_one(Folder, file.parent_id)])


def move_away(file: StoredFile, _share: Share) -> None:
    entries.move([file], root("alice"))


def revoke(_file: StoredFile, share: Share) -> None:
    links.revoke(share)


def let_expire(_file: StoredFile, share: Share) -> None:
    share.expires_at = now()


def forget(_file: StoredFile, _share: Share) -> None:
    db.session.execute(sa.update(ShareDownload).values(counted_at=now() - timedelta(days=400)))


def leave_to_another(_file: StoredFile, _share: Share) -> None:
    db.session.execute(sa.update(ShareDownload).values(visitor="2" * 64))


@pytest.mark.parametrize(
    "happens",
    [
        *(deactivate, put_into_trash, give_away),
        *(put_folder_into_trash, move_away, revoke, let_expire, forget, leave_to_another),
    ],
)
def test_begun_download_is_not_found_when(happens: Callable[..., None], app: Flask) -> None:
    with app.app_context():
        _folder, file, share = begun()
        assert downloads.find_granted(share.public_id, file.public_id, VISITOR)
        happens(*(file, share)[: len(signature(happens).parameters)])
        db.session.commit()
        assert downloads.find_granted(share.public_id, file.public_id, VISITOR) is None


def test_condition_says_what_the_status_of_a_share_says(app: Flask) -> None:
    with app.app_context():
        kinds: list[dict[str, Any]] = [
            {},
            {"expires_at": now() + timedelta(days=1)},
            {"expires_at": now()},
            {"revoked_at": now()},
            {"download_limit": 1, "downloads": 1},
        ]
        files = [store("alice", "kept.txt"), store("alice", "gone.txt"), store("bob", "b.txt")]
        for file in files:
            for values in kinds:
                made, _ = links.create(Share, file)
                for name, value in values.items():
                    setattr(made, name, value)
        trash.put([files[1]])
        deactivate(files[2])
        db.session.commit()
        query = sa.select(Share.id).join(Account, Account.id == Share.owner_id)
        query = query.join(Entry, Entry.id == Share.entry_id).where(may_look(Entry))
        by_statement = set(db.session.scalars(query, {"now": now()}))
        looked = {Status.OPEN, Status.USED_UP}
        shares = db.session.scalars(sa.select(Share))
        assert by_statement == {share.id for share in shares if status_of(share) in looked}
        assert len(by_statement) == 3


def begun() -> tuple[Folder, StoredFile, Share]:
    """Share a folder, and begin to download a file that lies deep in it."""
    file = store("alice", "a.txt")
    folder = entries.place(Folder(name="Shared"), root("alice"))
    inner = entries.place(Folder(name="Inner"), folder)
    entries.move([file], inner)
    share, _ = links.create(Share, folder, note="As promised")
    assert limits.begin_download(share, file, VISITOR)
    return folder, file, share


def test_download_notes_the_use_of_its_session_now_and_then(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    address = listed(alice)["a.txt"]
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
