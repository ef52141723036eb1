"""What several people do at the same moment: limits hold, and what works once works once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pyotp
import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm.exc import ObjectDeletedError

from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError
from portal.accounts.invitations import LinkError
from portal.core.database import commit_change, db
from portal.core.models import (
    Account,
    Activity,
    Entry,
    FileRequest,
    Folder,
    OneTimeLink,
    RecoveryCode,
    Role,
    Share,
    StoredFile,
    Upload,
    hash_token,
    new_token,
    now,
)
from portal.files import entries, replacing, trash, versions
from portal.files.entries import GoneError
from portal.files.quota import QuotaExceededError
from portal.identity import second_factor
from portal.sharing import limits, links, room
from portal.tus import uploads
from portal.tus.announced import Announced
from tests.support.stored import root, store

T = TypeVar("T")
ROUNDS = 5
AT_ONCE = 4
REFUSED = (
    *(AccountError, LinkError, QuotaExceededError, room.LimitReachedError, GoneError),
    *(NoResultFound, ObjectDeletedError),
)


def at_once(app: Flask, *things: Callable[[], T]) -> list[T | None]:
    """Do things at the same moment, each in a thread; what is refused returns None."""
    start = threading.Barrier(len(things))

    def do(thing: Callable[[], T]) -> T | None:
        with app.app_context():
            db.session.connection()  # so that nobody has to connect first
            db.session.rollback()
            start.wait(30)
            try:
                return thing()
            except REFUSED:
                return None

    with ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(do, things))


def count(what: Any, *conditions: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(what).where(*conditions)) or 0


def find(name: str) -> Account:
    found = accounts.find(name)
    assert found
    return found


@contextmanager
def fresh(app: Flask) -> Iterator[None]:
    """Look at what is stored, not at what a session remembers."""
    with app.app_context():
        yield


def new_file(name: str, size: int) -> StoredFile:
    stored = {"mimetype": "text/plain", "sha256": "0" * 64, "storage_key": hash_token(name)[:32]}
    return StoredFile(name=name, size=size, **stored)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_quota_has_room_for_one(number: int, app: Flask) -> None:
    with fresh(app):
        accounts.set_quota(find("alice"), 150)

    def place(one: int) -> str:
        return entries.place(new_file(f"{number}-{one}.txt", 100), root("alice")).name

    done = at_once(app, *(lambda one=one: place(one) for one in range(AT_ONCE)))
    with fresh(app):
        assert sum(name is not None for name in done) == 1
        assert find("alice").used == 100
        assert count(StoredFile, StoredFile.is_file) == 1


def test_files_of_one_name_get_numbers(app: Flask) -> None:
    def place() -> str:
        file = new_file("a.txt", 1)
        file.storage_key = hash_token(new_token())[:32]
        return entries.place(file, root("alice")).name

    done = at_once(app, *[place] * AT_ONCE)
    names = ["a.txt", *(f"a ({number}).txt" for number in range(2, AT_ONCE + 1))]
    assert sorted(map(str, done)) == sorted(names)
    with fresh(app):
        stored = db.session.scalars(select(Entry.name).where(Entry.is_file)).all()
        assert sorted(stored) == sorted(names)


def replacing_file(name: str = "a.txt") -> StoredFile:
    file = new_file(name, 100)
    file.storage_key = hash_token(new_token())[:32]
    return file


@contextmanager
def held(app: Flask) -> Iterator[Sequence[StoredFile]]:
    """Look at all rows of files, and check that each key is there once and counted."""
    with fresh(app):
        rows = db.session.scalars(select(StoredFile).where(StoredFile.is_file)).all()
        assert find("alice").used == sum(row.size for row in rows)
        assert len({row.storage_key for row in rows}) == len(rows)
        yield rows


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_uploads_that_replace_one_file_at_once_lose_nothing(_round: int, app: Flask) -> None:
    with fresh(app):
        entries.place(new_file("a.txt", 100), root("alice"))

    def replace() -> str:
        file = replacing_file()
        key = file.storage_key
        assert replacing.place(file, root("alice"), replaces=True).has_replaced
        return key

    keys = at_once(app, *[replace] * AT_ONCE)
    with held(app) as rows:
        assert {row.storage_key for row in rows} == {*keys, hash_token("a.txt")[:32]}
        (live,) = (row for row in rows if row.trash_id is None)
        assert live.name == "a.txt"
        assert {row.version_of for row in rows if row is not live} == {live.id}


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_file_is_replaced_while_it_is_moved_renamed_trashed_and_deleted(
    _round: int, app: Flask
) -> None:
    with fresh(app):
        folder = entries.place(Folder(name="Elsewhere"), root("alice"))
        file = entries.place(new_file("a.txt", 100), root("alice"))
        file_id, folder_id = file.id, folder.id
        for _ in range(2):
            replacing.place(replacing_file(), root("alice"), replaces=True)
        first, second = (one.id for one in versions.of_file(file).rows)

    def replace() -> object:
        return replacing.place(replacing_file(), root("alice"), replaces=True).file.id

    def of(model: Any, row: int, do: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: do(db.session.get_one(model, row))

    def move(file: StoredFile) -> object:
        return entries.move([file], db.session.get_one(Folder, folder_id))

    def put_into_trash(file: StoredFile) -> object:
        trash.put([file])
        return trash.purge(file)

    at_once(
        app,
        *(replace, of(StoredFile, file_id, move), replace),
        of(StoredFile, file_id, lambda file: entries.rename(file, "b.txt")),
        of(StoredFile, file_id, put_into_trash),
        *(of(StoredFile, first, versions.restore), of(StoredFile, second, versions.restore)),
        *(of(StoredFile, first, trash.purge), replace),
    )
    with held(app) as rows:
        live = {row.id for row in rows if row.version_of is None}
        assert all(
            row.version_of in live and row.trash_id == row.id for row in rows if row.version_of
        )


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_one_of_two_restores_of_a_version_is_done(_round: int, app: Flask) -> None:
    with fresh(app):
        file = entries.place(new_file("a.txt", 100), root("alice"))
        replacing.place(replacing_file(), root("alice"), replaces=True)
        (version,) = versions.of_file(file).rows
        version_id, key = version.id, version.storage_key

    def restore() -> int:
        return versions.restore(db.session.get_one(StoredFile, version_id)).id

    def delete_it() -> int:
        return trash.purge(db.session.get_one(StoredFile, version_id)).files

    done = at_once(app, restore, delete_it, restore)
    assert sum(one is not None for one in done) == 1
    with held(app) as rows:
        assert len(rows) == (1 if done[1] else 2)
        (live,) = (row for row in rows if row.trash_id is None)
        assert (live.storage_key == key) == (done[1] is None)


REPEATED: dict[str, tuple[str, Callable[[StoredFile, Folder], object]]] = {
    "moved to the trash": ("trash", lambda file, _: trash.put([file])),
    "restored": ("restore", lambda file, _: trash.restore(file)),
    "deleted": ("delete", lambda file, _: trash.purge(file)),
    "emptied": ("delete", lambda file, _: trash.empty(file.owner_id)),
    "renamed": ("rename", lambda file, _: entries.rename(file, "b.txt")),
    "renamed to what is taken": ("rename", lambda file, _: entries.rename(file, "taken.txt")),
    "moved": ("move", lambda file, folder: entries.move([file], folder)),
}
IN_TRASH = {"restored", "deleted", "emptied"}


def actions(name: str) -> int:
    return count(Activity, Activity.action == name)


@pytest.mark.parametrize("what", REPEATED)
def test_change_of_an_entry_that_is_asked_for_several_times_is_recorded_once(
    what: str, app: Flask
) -> None:
    action, do = REPEATED[what]
    with fresh(app):
        entries.place(new_file("taken.txt", 1), root("alice"))
        folder = entries.place(Folder(name="Elsewhere"), root("alice"))
        file = entries.place(new_file("a.txt", 1), root("alice"))
        if what in IN_TRASH:
            trash.put([file])
        file_id, folder_id = file.id, folder.id

    def change() -> object:
        file = db.session.get_one(StoredFile, file_id)
        return do(file, db.session.get_one(Folder, folder_id)) or None

    at_once(app, *[change] * AT_ONCE)
    with fresh(app):
        assert actions(action) == 1
    at_once(app, change)
    with fresh(app):
        assert actions(action) == 1


def test_only_one_of_several_who_trash_or_move_a_file_can_undo_it(app: Flask) -> None:
    with fresh(app):
        folder_id = entries.place(Folder(name="Elsewhere"), root("alice")).id
        first, second = (entries.place(new_file(name, 1), root("alice")).id for name in "ab")

    def put() -> Sequence[str] | None:
        trashed = trash.put([db.session.get_one(StoredFile, first)])
        return [thing.name for thing in trashed.things] if trashed else None

    def move() -> object:
        file, folder = db.session.get_one(StoredFile, second), db.session.get_one(Folder, folder_id)
        return entries.move([file], folder) or None

    put_by, moved_by = at_once(app, *[put] * AT_ONCE), at_once(app, *[move] * AT_ONCE)
    assert [one for one in put_by if one] == [["a"]]
    assert [one for one in moved_by if one] == [[("b", "b")]]


@pytest.mark.parametrize("kind", [Share, FileRequest])
def test_change_of_a_link_that_is_asked_for_several_times_is_one(kind: Any, app: Flask) -> None:
    with fresh(app):
        link, _ = links.create(kind, entries.place(Folder(name="Shared"), root("alice")))
        link_id = link.id
    of_kind: Any = {"password": "a long password"} if kind is Share else {"file_limit": 3}

    def change() -> bool:
        return links.change(db.session.get_one(kind, link_id), name="For Bob", **of_kind)

    assert sorted(map(bool, at_once(app, *[change] * AT_ONCE))) == [False] * (AT_ONCE - 1) + [True]
    with fresh(app):
        before = db.session.get_one(kind, link_id)
        assert before.name == "For Bob"
        assert not change()
        assert links.change(db.session.get_one(kind, link_id), name="For Carol", **of_kind)

    def revoke() -> bool:
        return links.revoke(db.session.get_one(kind, link_id))

    assert sorted(map(bool, at_once(app, *[revoke] * AT_ONCE))) == [False] * (AT_ONCE - 1) + [True]
    with fresh(app):
        assert db.session.get_one(kind, link_id).revoked_at is not None
        assert not revoke()


def test_folders_of_one_path_are_created_once(app: Flask) -> None:
    def make() -> int:
        return entries.make_path(root("alice"), ["Outer", "Inner"]).id

    done = at_once(app, *[make] * AT_ONCE)
    assert len(set(done)) == 1
    with fresh(app):
        assert count(Folder, Folder.name != "", Folder.is_file.is_(False)) == 2


@pytest.mark.parametrize("by_part", [True, False], ids=["may be resumed", "in one go"])
def test_downloads_by_a_link_keep_to_its_limit(by_part: bool, app: Flask) -> None:
    with fresh(app):
        file = store("alice", "a.txt")
        share, _ = links.create(Share, file, download_limit=2)
        share_id, file_id = share.id, file.id

    def download(visitor: int) -> bool:
        share = db.session.get_one(Share, share_id)
        if not by_part:
            return limits.count_download(share)
        file = db.session.get_one(Entry, file_id)
        return limits.begin_download(share, file, hash_token(str(visitor)))

    done = at_once(app, *(lambda one=one: download(one) for one in range(6)))
    assert sorted(map(bool, done)) == [False] * 4 + [True] * 2
    with fresh(app):
        assert db.session.get_one(Share, share_id).downloads == 2


def test_double_click_counts_once(app: Flask) -> None:
    with fresh(app):
        file = store("alice", "a.txt")
        share, _ = links.create(Share, file, download_limit=1)
        share_id, file_id = share.id, file.id

    def download() -> bool:
        share = db.session.get_one(Share, share_id)
        return limits.begin_download(share, db.session.get_one(Entry, file_id), "0" * 64)

    assert at_once(app, *[download] * AT_ONCE) == [True] * AT_ONCE
    with fresh(app):
        assert db.session.get_one(Share, share_id).downloads == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_link_for_one_file_takes_one(_round: int, app: Flask) -> None:
    """By the plain form, and in pieces."""
    with fresh(app):
        request, _ = links.create(FileRequest, root("alice"), file_limit=1)
        request_id = request.id

    def send_form() -> str:
        with room.counted(db.session.get_one(FileRequest, request_id), 1):
            return "form"

    def begin(visitor: int) -> str:
        request = db.session.get_one(FileRequest, request_id)
        visit = uploads.Visit(request, hash_token(str(visitor)))
        announced = Announced(f"{visitor}.txt", 1, "")
        uploads.create(request.owner, request.folder, announced, visit)
        return "begun"

    forms = [send_form] * 2
    done = at_once(app, *forms, *(lambda one=one: begin(one) for one in range(2)))
    with fresh(app):
        held = count(Upload, Upload.request_id == request_id)
        assert db.session.get_one(FileRequest, request_id).files + held == 1
        assert sum(one is not None for one in done) == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_invitation_creates_one_account(_round: int, app: Flask) -> None:
    with fresh(app):
        _, token = invitations.create_invitation(Role.MEMBER, None, "")

    def accept(one: int) -> str:
        return invitations.accept_invitation(token, f"new-{one}", "correct horse battery").name

    done = at_once(app, *(lambda one=one: accept(one) for one in range(AT_ONCE)))
    assert sum(name is not None for name in done) == 1
    with fresh(app):
        assert count(Account) == 3
        assert count(OneTimeLink) == 0


def test_accounts_of_one_name_are_created_once(app: Flask) -> None:
    done = at_once(app, *[lambda: accounts.create("carol", "correct horse battery").id] * AT_ONCE)
    assert sum(one is not None for one in done) == 1
    with fresh(app):
        assert count(Account, Account.name == "carol") == 1


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_one_administrator_is_left(_round: int, app: Flask) -> None:
    names = ["root", "admin", "chief"]
    with fresh(app):
        for name in names:
            accounts.create(name, "correct horse battery", Role.ADMINISTRATOR)
    todo: Sequence[Callable[[Account], None]] = (
        accounts.deactivate,
        accounts.delete,
        lambda account: accounts.set_role(account, Role.MEMBER),
    )

    def remove(name: str, how: Callable[[Account], None]) -> str:
        how(find(name))
        return name

    each = zip(names, todo, strict=True)
    done = at_once(app, *(lambda one=one: remove(*one) for one in each))
    with fresh(app):
        left = count(Account, Account.role == Role.ADMINISTRATOR, Account.is_active)
        assert left == 1
        assert sum(name is not None for name in done) == 2


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_no_link_outlives_the_right_to_create_it(_round: int, app: Flask) -> None:
    with fresh(app):
        for name in ("root", "admin"):
            accounts.create(name, "correct horse battery", Role.ADMINISTRATOR)

    def invite() -> object:
        return invitations.create_invitation(Role.ADMINISTRATOR, None, "", actor=find("root"))

    def demote() -> object:
        accounts.set_role(find("root"), Role.MEMBER)
        return None

    at_once(app, invite, demote, invite)
    with fresh(app):
        assert not find("root").is_administrator
        assert count(OneTimeLink) == 0


def test_code_is_accepted_once(app: Flask) -> None:
    with fresh(app):
        alice = find("alice")
        secret = pyotp.random_base32()
        update_alice = update(Account).where(Account.id == alice.id)
        commit_change(update_alice.values(totp_secret=secret, totp_step=1))
        code = pyotp.TOTP(secret).at(now())
        recovery = second_factor.renew_recovery_codes(alice)[0]
    done = at_once(app, *[lambda: second_factor.check(find("alice"), code)] * AT_ONCE)
    assert sorted(map(bool, done)) == [False] * (AT_ONCE - 1) + [True]
    used = at_once(app, *[lambda: second_factor.use_recovery_code(find("alice"), recovery)] * 4)
    assert sorted(map(bool, used)) == [False] * 3 + [True]


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_codes_and_links_that_replace_others_are_of_one_kind(_round: int, app: Flask) -> None:
    def renew() -> object:
        return second_factor.renew_recovery_codes(find("alice"))

    def reset() -> object:
        return invitations.create_reset_link(find("alice"))

    at_once(app, renew, reset, renew, reset)
    with fresh(app):
        assert count(RecoveryCode) == second_factor.RECOVERY_CODES
        assert count(OneTimeLink) == 1
        db.session.execute(delete(OneTimeLink))
        db.session.commit()


def test_password_is_reset_once(app: Flask) -> None:
    with fresh(app):
        _, token = invitations.create_reset_link(find("alice"))

    def reset(number: int) -> str:
        return invitations.reset_password(token, f"correct horse {number}").password_hash

    done = at_once(app, *(lambda one=one: reset(one) for one in range(AT_ONCE)))
    kept = [one for one in done if one is not None]
    with fresh(app):
        assert kept == [find("alice").password_hash]
