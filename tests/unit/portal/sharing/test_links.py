"""Links for people without an account, below the pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from flask import Flask

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Entry, FileRequest, Folder, Share, StoredFile, now
from portal.files import entries, policy, trash
from portal.sharing import limits, links, room, visitor
from portal.sharing.status import Status, status_of
from tests.support.portal import PASSWORD, signed_in, upload


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    client = signed_in(app, "alice")
    upload(client, "a.txt")
    with app.test_request_context():
        yield


@pytest.fixture
def folder(context: None) -> Folder:  # noqa: ARG001
    alice = accounts.find("alice")
    assert alice
    return entries.place(Folder(name="Shared"), entries.root_folder(alice.id))


@pytest.fixture
def file(folder: Folder) -> StoredFile:
    found = db.session.query(StoredFile).filter_by(name="a.txt").one()
    entries.move([found], folder)
    return found


@pytest.fixture
def share(folder: Folder, file: StoredFile) -> Share:  # noqa: ARG001
    return links.create(Share, folder)[0]


def test_token_finds_its_share_and_is_not_kept(file: StoredFile) -> None:
    share, token = links.create(Share, file, note="for you")
    assert links.find(Share, token) is share
    assert token not in {str(value) for value in vars(share).values()}
    assert links.find(Share, token[:-1]) is None
    assert links.find(Share, token.partition(".")[0]) is None


def test_token_of_one_kind_is_none_of_the_other(folder: Folder) -> None:
    assert links.find(FileRequest, links.create(Share, folder)[1]) is None
    assert links.find(Share, links.create(FileRequest, folder)[1]) is None


def test_link_dies_with_what_it_leads_to(share: Share, folder: Folder) -> None:
    assert status_of(share) is Status.OPEN
    trash.put([folder])
    assert status_of(share) is Status.GONE
    trash.restore(db.session.get_one(Entry, share.entry_id))
    assert status_of(share) is Status.OPEN
    trash.put([folder])
    trash.purge(db.session.get_one(Entry, share.entry_id))
    assert db.session.query(Share).count() == 0


def test_link_dies_with_its_owners_account(share: Share) -> None:
    share.owner.is_active = False
    db.session.commit()
    assert status_of(share) is Status.GONE
    assert not policy.may_visit(share, share.entry, unlocked=True)
    accounts.delete(share.owner)
    assert db.session.query(Share).count() == 0


def test_link_ends_when_it_expires_or_is_revoked_and_can_be_extended(share: Share) -> None:
    links.change(share, expires_at=now() - timedelta(seconds=1))
    assert status_of(share) is Status.EXPIRED
    links.change(share, expires_at=now() + timedelta(minutes=1))
    assert status_of(share) is Status.OPEN
    links.revoke(share)
    assert status_of(share) is Status.REVOKED


def test_visitor_sees_what_is_shared_and_nothing_beside_it(share: Share, file: StoredFile) -> None:
    root = entries.root_folder(share.owner_id)
    beside = entries.place(Folder(name="Beside"), root)
    below = entries.place(Folder(name="Below"), db.session.get_one(Folder, share.entry_id))
    seen = [
        entry.name
        for entry in (root, beside, below, file, share.entry)
        if policy.may_visit(share, entry, unlocked=True)
    ]
    assert seen == ["Below", "a.txt", "Shared"]
    assert not policy.may_visit(share, file, unlocked=False)


def test_trashed_file_in_a_shared_folder_is_not_seen(share: Share, file: StoredFile) -> None:
    trash.put([file])
    assert not policy.may_visit(share, db.session.get_one(Entry, file.id), unlocked=True)


def test_limit_holds_for_downloads_at_once(app: Flask, share: Share) -> None:
    links.change(share, download_limit=5)
    share_id, counted = share.id, []

    def download() -> None:
        with app.app_context():
            counted.append(limits.count_download(db.session.get_one(Share, share_id)))

    threads = [threading.Thread(target=download) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 5
    db.session.refresh(share)
    assert (share.downloads, status_of(share)) == (5, Status.USED_UP)


def takes(asked: FileRequest, size: int) -> bool:
    try:
        with room.counted(asked, size):
            return True
    except room.LimitReachedError:
        return False


def test_limits_of_a_request_hold_for_uploads_at_once(app: Flask, folder: Folder) -> None:
    asked, _ = links.create(FileRequest, folder, file_limit=4, size_limit=25)
    asked_id, counted = asked.id, []

    def send() -> None:
        with app.app_context():
            counted.append(takes(db.session.get_one(FileRequest, asked_id), 10))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 2
    db.session.refresh(asked)
    assert (asked.files, asked.size) == (2, 20)
    with suppress(OSError), room.counted(asked, 5):
        raise OSError  # what cannot be stored does not count
    assert (asked.files, asked.size) == (2, 20)
    assert takes(asked, 5)
    assert status_of(asked) is Status.USED_UP


def test_unlocking_opens_one_share_only_and_until_the_password_changes(
    share: Share, file: StoredFile
) -> None:
    links.change(share, password="a long password")
    other, _ = links.create(Share, file, password="a long password")
    assert not visitor.unlock(share, "another password")
    assert not visitor.is_unlocked(share)
    assert visitor.unlock(share, "a long password")
    assert visitor.is_unlocked(share)
    assert not visitor.is_unlocked(other)
    links.change(share, password="another password")
    assert not visitor.is_unlocked(share)


def test_what_a_visitor_has_opened_stays_small(share: Share, file: StoredFile) -> None:
    for _ in range(40):
        visitor.enter(links.create(Share, file)[0])
    visitor.enter(share)
    from flask import session

    assert len(session["entered"]) == 20
    assert visitor.has_entered(share)


def test_download_is_counted_once_for_each_visitor(share: Share, file: StoredFile) -> None:
    links.change(share, download_limit=2)
    assert not limits.may_download(share, file, "one")
    assert limits.begin_download(share, file, "one")
    assert limits.begin_download(share, file, "one")
    assert share.downloads == 1
    assert limits.may_download(share, file, "one")
    assert not limits.may_download(share, share.entry, "one")
    assert limits.begin_download(share, file, "two")
    assert not limits.begin_download(share, file, "three")
    assert not limits.may_download(share, file, "three")
    assert limits.begin_download(share, file, "one")


def test_one_visitors_downloads_at_once_are_counted_once(
    app: Flask, share: Share, file: StoredFile
) -> None:
    links.change(share, download_limit=1)
    ids, allowed = (share.id, file.id), []

    def download() -> None:
        with app.app_context():
            found = db.session.get_one(Share, ids[0]), db.session.get_one(Entry, ids[1])
            allowed.append(limits.begin_download(*found, "one"))

    threads = [threading.Thread(target=download) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed == [True] * 8
    db.session.refresh(share)
    assert share.downloads == 1


def test_request_that_ended_meanwhile_takes_nothing(folder: Folder) -> None:
    for values in (
        {"revoked_at": now()},
        {"expires_at": now() - timedelta(seconds=1)},
    ):
        asked, _ = links.create(FileRequest, folder)
        for name, value in values.items():
            setattr(asked, name, value)
        db.session.commit()
        assert not takes(asked, 1)
    asked, _ = links.create(FileRequest, folder)
    assert takes(asked, 1)
    asked.owner.is_active = False
    db.session.commit()
    assert not takes(asked, 1)


def test_ids_are_never_given_again(folder: Folder) -> None:
    before = accounts.create("carol", PASSWORD).id
    carol = accounts.find("carol")
    assert carol
    accounts.delete(carol)
    assert accounts.create("dave", PASSWORD).id > before
    share, _ = links.create(Share, folder)
    ids = share.id, folder.id
    trash.put([folder])
    trash.purge(db.session.get_one(Entry, ids[1]))
    dave = accounts.find("dave")
    assert dave
    made = entries.place(Folder(name="x"), entries.root_folder(dave.id))
    assert made.id > ids[1]
    assert links.create(Share, made)[0].id > ids[0]


def test_page_of_links_is_bounded_and_leads_to_all(app: Flask, folder: Folder) -> None:
    for number in range(links.PAGE + 3):
        links.create(Share, folder, note=f"number {number}.")
    links.create(FileRequest, folder, note="a request")
    alice, page, seen = signed_in(app, "alice"), "/links", set[str]()
    for wanted in (links.PAGE, 3):
        text = alice.get(page).text
        found = set(re.findall(r"number \d+\.", text))
        assert len(found) == wanted
        assert "a request" in text
        seen |= found
        older = re.search(r'href="(/links\?shares=\d+)">Older', text)
        page = older[1] if older else ""
    assert page == ""
    assert len(seen) == links.PAGE + 3
