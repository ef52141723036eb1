"""What the commands check and cleanup find, put right and leave alone."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.accounts import invitations
from portal.cli import portal
from portal.core.database import db
from portal.core.models import (
    Account,
    Activity,
    Base,
    Entry,
    Folder,
    OneTimeLink,
    Role,
    SignIn,
    now,
)
from portal.files import entries, quota, trash
from portal.identity import sessions
from portal.maintenance import check_files
from portal.maintenance.check_rows import RULES
from portal.storage.content import current_storage
from tests.support.checks import check
from tests.support.paths import PROJECT
from tests.support.portal import kept
from tests.support.stored import contents, path_of, root, store


def run(app: Flask, *words: str) -> tuple[int, str, str]:
    result = app.test_cli_runner().invoke(portal, words)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all content be of an age in which no upload can still be under way."""
    monkeypatch.setattr(check_files, "YOUNG", -1)


def make_folder(owner: str, name: str, parent: Folder | None = None) -> Folder:
    return entries.place(Folder(name=name), parent or root(owner))


def change(entry: Entry, **values: object) -> None:
    db.session.execute(update(Entry).where(Entry.id == entry.id).values(values))
    db.session.commit()


@pytest.mark.usefixtures("old")
def test_nothing_is_wrong_with_what_is_right(app: Flask) -> None:
    with app.app_context():
        folder = make_folder("alice", "Projects")
        inner = make_folder("alice", "Inner", folder)
        store("alice", "a.txt")
        first = store("alice", "b.txt")
        entries.move([first], inner)
        trash.put([first])
        trash.put([folder])
        store("bob", "empty", b"")
    assert run(app, "check", "--content", "--repair") == (0, "", "")


@pytest.mark.disk("looks there")
def test_content_that_is_not_as_it_was_is_found_and_its_row_stays(app: Flask, data: Path) -> None:
    with app.app_context():
        for name in ("cut", "changed", "missing", "link"):
            path = path_of(data, store("alice", f"{name}.txt", b"what was uploaded"))
            if name == "changed":
                path.write_bytes(b"what was uploadeD")
            elif name == "cut":
                path.write_bytes(b"what")
            else:
                path.unlink()
                if name == "link":
                    path.symlink_to(data / "secret_key")
    expected = [("size", None), ("missing", None), ("missing", None)]
    assert check(app) == check(app, "--repair") == expected
    expected.insert(1, ("content", None))
    assert check(app, "--content", "--repair") == expected
    app.config["ADMINISTRATORS_SEE_NAMES"] = True
    code, out, err = run(app, "check")
    assert (code, err) == (1, "3 problems, 0 repaired.\n")
    assert "size: 'cut.txt' of 'alice' (" in out
    with app.app_context():
        assert len(db.session.scalars(select(Entry.id).where(Entry.is_file)).all()) == 4


@pytest.mark.disk("looks there")
@pytest.mark.usefixtures("old")
def test_content_of_no_row_is_moved_aside_and_found_again(app: Flask, data: Path) -> None:
    with app.app_context():
        stored = store("alice", "a.txt", b"precious")
        path = path_of(data, stored)
        values = {one.name: getattr(stored, one.name) for one in Base.metadata.tables["entry"].c}
        db.session.delete(stored)
        quota.release(stored.owner_id, stored.size)
        db.session.commit()
    assert check(app) == [("unclaimed", None)]
    assert path.exists()
    aside = data / "files" / "unclaimed"
    assert check(app, "--repair") == [("unclaimed", f"moved to {aside}")]
    assert [one.read_bytes() for one in aside.iterdir()] == [b"precious"]
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    assert check(app) == []
    # With a database that knows it, such as one from a backup, it has its place again.
    with app.app_context():
        db.session.execute(Base.metadata.tables["entry"].insert(), values)
        quota.charge(values["owner_id"], values["size"])
        db.session.commit()
    assert check(app) == [("missing", None)]
    assert check(app, "--repair") == [("missing", f"moved back from {aside}")]
    with app.app_context():
        assert contents() == {"a.txt": b"precious"}
    assert check(app, "--content") == []


def test_upload_under_way_is_left_alone(app: Flask, data: Path) -> None:
    with app.app_context():
        storage = current_storage()
        incoming = storage.receive()
        incoming.write(b"arrived long ago, kept just now")
        os.utime(incoming.path, (0, 0))
        key = storage.keep(incoming)
    assert check(app, "--repair") == []
    assert [path.name for path in kept(data)] == [key]


@pytest.mark.disk("looks there")
@pytest.mark.usefixtures("old")
def test_deletion_under_way_is_finished_wherever_a_check_moved_the_file(
    app: Flask, data: Path
) -> None:
    with app.app_context():
        storage = current_storage()
        incoming = storage.receive()
        incoming.write(b"secret")
        key = storage.keep(incoming)
        assert check(app, "--repair")[0][0] == "unclaimed"
        storage.delete(key)
    assert kept(data) == []


def test_file_that_is_deleted_during_the_check_is_not_missed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        stored = store("alice", "a.txt")
        trash.put([stored])
        rows = list(check_files._rows())
        trash.purge(stored)
    monkeypatch.setattr(check_files, "_rows", lambda: iter(rows))
    assert check(app) == []


@pytest.mark.disk("looks there")
def test_wrong_rights_are_set(app: Flask, data: Path) -> None:
    with app.app_context():
        path = path_of(data, store("alice", "a.txt"))
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert check(app) == [("rights", None)] * 2
    assert [one[0] for one in check(app, "--repair")] == ["rights"] * 2
    assert check(app) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_bytes_that_are_counted_wrong_are_counted_again(app: Flask) -> None:
    with app.app_context():
        store("alice", "a.txt", b"12345")
        trash.put([store("alice", "b.txt", b"678")])
        db.session.execute(update(Account).values(used=7))
        db.session.commit()
    assert check(app) == [("used", None)] * 2
    assert check(app, "--repair") == [("used", "counted again")] * 2
    assert check(app) == []
    with app.app_context():
        found = select(Account.name, Account.used).order_by(Account.name)
        assert db.session.execute(found).all() == [("alice", 8), ("bob", 0)]


def test_account_without_its_first_folder_gets_one(app: Flask) -> None:
    with app.app_context():
        db.session.delete(root("alice"))
        db.session.commit()
    assert check(app, "--repair") == [("folder", "created")]
    with app.app_context():
        assert root("alice")
    assert check(app) == []


def test_what_is_out_of_reach_comes_back_with_all_that_is_in_it(app: Flask) -> None:
    with app.app_context():
        outer = make_folder("alice", "Outer")
        inner = make_folder("alice", "Inner", outer)
        entries.move([store("alice", "a.txt")], inner)
        trash.put([outer])
        for entry in inner, db.session.scalars(select(Entry).where(Entry.is_file)).one():
            change(entry, trash_id=None, trashed_at=None)
    assert check(app) == [("folder", None)]
    assert check(app, "--repair") == [("folder", "moved to the root folder")]
    assert check(app) == []
    with app.app_context():
        back = db.session.scalars(select(Folder).where(Folder.name == "Inner")).one()
        assert back.parent_id == root("alice").id
        stored = db.session.scalars(select(Entry).where(Entry.is_file)).one()
        assert stored.parent_id == back.id


def test_what_came_back_gets_a_free_name(app: Flask) -> None:
    with app.app_context():
        folder = make_folder("alice", "Folder")
        stored = store("alice", "a.txt")
        entries.move([stored], folder)
        store("alice", "A.txt")
        trash.put([folder])
        change(stored, trash_id=None, trashed_at=None)
    assert [one[0] for one in check(app, "--repair")] == ["folder"]
    with app.app_context():
        assert set(contents()) == {"A.txt", "a (2).txt"}


@pytest.mark.parametrize("case", ["group", "time", "owner", "file", "circle"])
def test_entry_out_of_reach_is_brought_back(case: str, app: Flask) -> None:
    with app.app_context():
        outer = make_folder("alice", "Outer")
        inner = make_folder("alice", "Inner", outer)
        stored = store("alice", "a.txt")
        entries.move([stored], inner)
        if case == "group":
            change(inner, trash_id=outer.id, trashed_at=now())
        elif case == "time":
            change(outer, trash_id=outer.id, trashed_at=None)
        elif case == "owner":
            change(outer, parent_id=root("bob").id)
        elif case == "file":
            change(outer, parent_id=store("alice", "b.txt").id)
        else:
            change(outer, parent_id=inner.id)
    before = check(app)
    assert before
    assert {one[0] for one in before} == {"folder"}
    assert all(repaired for _, repaired in check(app, "--repair"))
    assert check(app) == []
    with app.app_context():
        parent_id = db.session.scalars(select(Entry.parent_id).where(Entry.name == "a.txt")).one()
        parent = db.session.get_one(Folder, parent_id)
        assert (parent.name, parent.owner_id) == ("Inner", root("alice").owner_id)


@pytest.mark.sqlite("its file")
def test_broken_database_is_found(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(
            "INSERT INTO recovery_code (account_id, code_hash) VALUES (7, ?)", ("0" * 64,)
        )
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    assert check(app, "--repair") == [("database", None)]


def test_cleanup_removes_rows_that_are_over(app: Flask, data: Path) -> None:
    with app.app_context():
        alice = root("alice").owner_id
        account = db.session.get_one(Account, alice)
        made = []
        for _ in range(2):
            stored = store("alice", "a.txt")
            trash.put([stored])
            key = sessions.start(sessions.Proof.of(account), "browser", "127.0.0.1")
            found = sessions.find(key)
            assert found
            sign_in = db.session.get_one(SignIn, found.id)
            link, _ = invitations.create_invitation(Role.MEMBER, None, "")
            made.append((stored, sign_in, link))
        (stored, sign_in, link), kept_rows = made
        before = len(db.session.scalars(select(Activity.id)).all())
        long_ago = now() - timedelta(days=1000)
        stored.trashed_at = sign_in.created_at = link.expires_at = long_ago
        for moment in (long_ago, now()):
            db.session.add(Activity(action="upload", actor="", address="", name="", at=moment))
        db.session.commit()
        expected = [row.id for row in kept_rows]
    code, out, err = run(app, "cleanup")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "files in the trash: 1 deleted",
        "sessions: 1 deleted",
        "links: 1 deleted",
        "records of activity: 1 deleted",
    ]
    with app.app_context():
        models = (select(Entry.id).where(Entry.is_file), select(SignIn.id), select(OneTimeLink.id))
        assert [db.session.scalars(one).one() for one in models] == expected
        # What was deleted is recorded itself.
        actions = select(Activity.action).order_by(Activity.id)
        assert db.session.scalars(actions).all()[before:] == ["upload", "delete"]
    assert len(kept(data)) == 1
    assert run(app, "cleanup") == (0, "", "")


@pytest.mark.disk("looks there")
def test_cleanup_removes_what_killed_processes_left_a_day_ago(app: Flask, data: Path) -> None:
    drafts = [
        *(data / "incoming" / name for name in ("0" * 32, "restore-old")),
        *(data / f"{name}.{'0' * 16}" for name in ("secret_key", "demo_accounts.json")),
    ]
    fresh = [path.with_name(path.name.replace("0", "1").replace("old", "young")) for path in drafts]
    for path in (*drafts, *fresh):
        if "restore" in path.name:
            path.mkdir()
            (path / "portal.db").touch()
        else:
            path.touch()
    aside = data / "incoming" / "deleted"
    aside.mkdir()
    (aside / ("0" * 32)).touch()
    for path in (*drafts, aside, data / "secret_key"):
        os.utime(path, (0, time.time() - 25 * 3600))
    removed = json.loads(run(app, "cleanup", "--json")[1])
    assert {kind: count for kind, count in removed.items() if count} == {
        "abandoned uploads": 1,
        "postponed deletions": 1,
        "drafts": 3,
    }
    assert not any(path.exists() for path in drafts)
    assert all(
        path.exists() for path in (*fresh, aside, data / "secret_key", data / "activity.spool")
    )


def test_each_kind_of_problem_is_documented() -> None:
    project = PROJECT
    page = (project / "docs/portal/operations.md").read_text(encoding="utf-8")
    sources = (project / "portal" / "maintenance").glob("check_*.py")
    kinds = {
        kind
        for path in sources
        for kind in re.findall(r'Problem\("(\w+)"', path.read_text("utf-8"))
    }
    kinds |= {rule.kind for rule in RULES}
    assert len(kinds) > 8
    for kind in kinds:
        assert re.search(rf"^\|[^|]*`{kind}`", page, re.MULTILINE), kind
