from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal.accounts import accounts, invitations
from portal.cli import backups, portal
from portal.core import database
from portal.core.database import db
from portal.core.datafolder import locked
from portal.core.models import OneTimeLink, Role, SignIn, StoredFile, Upload, now
from portal.files import entries, trash
from portal.identity import sessions
from portal.maintenance import backup
from portal.maintenance.backup import BackupError
from portal.storage.content import current_storage
from portal.tus import uploads
from portal.tus.announced import Announced
from tests.support import schemas
from tests.support.paths import PROJECT
from tests.support.portal import PASSWORD, arriving, kept, prepare
from tests.support.stored import contents, path_of, store

pytestmark = pytest.mark.sqlite("elsewhere, backups are the server's")

Make = Callable[..., Flask]


def run(app: Flask, *words: str) -> tuple[int, str, str]:
    result = app.test_cli_runner().invoke(portal, words)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "portal.tar"


@pytest.fixture
def made(app: Flask, target: Path) -> Path:
    """Create a backup of three files."""
    with app.app_context():
        store("alice", "a.txt", b"first")
        store("alice", "empty.txt", b"")
        store("bob", "large.bin", bytes(range(256)) * 10_000)
    code, _, err = run(app, "backup", str(target))
    assert (code, err.count("\n")) == (0, 1)
    return target


@pytest.fixture
def new(tmp_path: Path, make_app: Make) -> Flask:
    """Create a portal that nothing was done with."""
    return make_app(DATA=str(tmp_path.resolve() / "new"))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {one.name: _read(archive, one) for one in archive}


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content
    return content.read()


def write(path: Path, content: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_backup_holds_database_key_and_files(made: Path, data: Path) -> None:
    found = members(made)
    files = sorted(path.relative_to(data).as_posix() for path in kept(data))
    assert list(found) == ["portal.db", "secret_key", *files, "manifest.jsonl"]
    assert found["secret_key"] == (data / "secret_key").read_bytes()
    head, *lines = [json.loads(line) for line in found["manifest.jsonl"].splitlines()]
    assert (head["format"], head["schema"]) == ("portal backup 1", _newest())
    assert [line["name"] for line in lines] == list(found)[:-1]
    for line in lines:
        content = found[line["name"]]
        assert line["size"] == len(content)
        assert line["sha256"] == hashlib.sha256(content).hexdigest()


def test_backup_is_private_and_leaves_nothing_beside_it(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert list(made.parent.iterdir()) == [made]


def test_backup_says_what_it_needs_and_what_it_made(app: Flask, target: Path) -> None:
    code, out, err = run(app, "backup", str(target))
    assert code == 0
    assert err.startswith("The backup needs about ")
    assert f" in {target.parent}; " in err
    assert out.startswith("0 files, ")
    second = target.with_name("second.tar")
    report = json.loads(run(app, "backup", str(second), "--json")[1])
    size = second.stat().st_size
    assert report == {"path": str(second), "files": 0, "size": size, "damaged": []}


@pytest.mark.parametrize("link", [False, True])
def test_backup_overwrites_nothing(link: bool, app: Flask, target: Path) -> None:
    if link:
        target.symlink_to("nowhere")
    else:
        target.write_text("precious")
    code, out, err = run(app, "backup", str(target))
    assert (code, out) == (1, "")
    assert "already exists" in err
    assert list(target.parent.iterdir()) == [target]


def test_backup_overwrites_nothing_that_comes_meanwhile(
    app: Flask, target: Path, data: Path
) -> None:
    with app.app_context():
        store("alice", "a.txt")
        with pytest.raises(BackupError, match="meanwhile"):
            backup.create(target, data, current_storage(), "", lambda _size: target.touch())
    assert target.stat().st_size == 0
    assert list(target.parent.iterdir()) == [target]


def test_backup_needs_a_folder_outside_with_room(
    app: Flask, target: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no folder" in run(app, "backup", str(target.parent / "none" / "a.tar"))[2]
    assert "inside the data folder" in run(app, "backup", str(data / "a.tar"))[2]
    free = shutil.disk_usage(target.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    code, out, err = run(app, "backup", str(target))
    assert (code, out) == (1, "")
    assert "has 1000 free" in err
    assert list(target.parent.iterdir()) == []


def test_room_that_is_said_to_be_needed_is_enough(app: Flask, target: Path, data: Path) -> None:
    with app.app_context():
        for number in range(50):
            store("alice", f"{number}.txt", bytes(number * 100))
    _, needed = backup.space_needed(data / "portal.db")
    assert run(app, "backup", str(target))[0] == 0
    assert target.stat().st_size + (data / "portal.db").stat().st_size <= needed


def test_backup_names_what_is_damaged_and_keeps_the_rest(
    app: Flask, target: Path, data: Path, new: Flask
) -> None:
    with app.app_context():
        for name in ("changed", "cut", "missing", "pipe", "link"):
            path = path_of(data, store("alice", f"{name}.txt", b"what was uploaded"))
            if name == "changed":
                path.write_bytes(b"what was uploadeD")
            elif name == "cut":
                path.write_bytes(b"what")
            else:
                path.unlink()
                if name == "pipe":
                    os.mkfifo(path)
                elif name == "link":
                    path.symlink_to(data / "secret_key")
        store("alice", "whole.txt", b"whole")
    app.config["ADMINISTRATORS_SEE_NAMES"] = True
    code, out, err = run(app, "backup", str(target))
    assert code == 1
    assert out.startswith("6 files, ")
    damaged = [line for line in err.splitlines() if line.startswith("Damaged: ")]
    assert len(damaged) == 5
    for name in ("changed", "cut", "missing", "pipe", "link"):
        assert any(f"'{name}.txt' of 'alice': " in line for line in damaged)

    # What there is comes back, and is told of still.
    code, out, err = run(new, "restore", str(target))
    assert (code, out) == (1, f"3 files restored into {new.config['DATA']}.\n")
    assert "was made: 3 files; damaged: 2 files." in err
    code, out, _ = run(new, "check", "--content")
    assert code == 1
    assert sorted(line.split(": ")[0] for line in out.splitlines()) == [
        "content",
        "missing",
        "missing",
        "missing",
        "size",
    ]


def test_unreadable_disk_is_damage_to_one_file(
    app: Flask, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"broken content")
        store("alice", "b.txt", b"whole")
    app.config["ADMINISTRATORS_SEE_NAMES"] = True
    really = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        if length == len(b"broken content"):
            raise OSError(5, "Input/output error")
        return really(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    code, out, err = run(app, "backup", str(target))
    assert (code, out[:7]) == (1, "2 files")
    assert "Damaged: 'a.txt' of 'alice'" in err
    assert b"whole" in members(target).values()


def test_damaged_database_is_told_and_backed_up(app: Flask, target: Path, data: Path) -> None:
    with app.app_context():
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            found = connection.exec_driver_sql(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'ix_entry_by_name'"
            )
            page = found.scalar_one()
            size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        db.engine.dispose()
    with (data / "portal.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
    code, _, err = run(app, "backup", str(target))
    assert code == 1
    assert "Damaged: the database: " in err
    assert "portal.db" in members(target)


def test_backup_has_a_path_from_where_the_command_runs(
    app: Flask, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(target.parent)
    assert run(app, "backup", "portal.tar")[0] == 0
    assert list(members(target))[:2] == ["portal.db", "secret_key"]
    assert list(target.parent.iterdir()) == [target]


def test_folder_that_cannot_be_written_is_named_with_the_cure(
    app: Flask, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_args: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.chdir(target.parent)
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        code, out, err = run(app, "backup", "portal.tar")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"Error: User id {os.geteuid()} cannot write to {target.parent}: Permission denied. Choose"
        " another folder, or change the owner of this one."
    )
    assert list(target.parent.iterdir()) == []


def test_failed_backup_leaves_nothing(
    app: Flask, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    code, out, err = run(app, "backup", str(target))
    assert (code, out) == (1, "")
    assert "No space left" in err
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminated_backup_leaves_nothing(
    number: signal.Signals, app: Flask, target: Path, data: Path
) -> None:
    with app.app_context():
        store("alice", "large.bin", bytes(200 * 1024**2))
    words = [sys.executable, "-m", "flask", "--app", "portal", "portal", "backup", str(target)]
    environment = {**os.environ, "PORTAL_DATA": str(data)}
    # Under nohup, whoever is started here would ignore the end of the terminal, too.
    with (
        default(number),
        subprocess.Popen(words, env=environment, stderr=subprocess.PIPE) as process,
    ):
        while not any(path.stat().st_size for path in target.parent.rglob("backup.tar")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 128 + number
    assert list(target.parent.iterdir()) == []


@contextmanager
def default(number: signal.Signals) -> Iterator[None]:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_backup_goes_on_where_the_end_of_the_terminal_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with backups._ends_cleanly():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def hammering(data: Path) -> Iterator[list[int]]:
    """Have files uploaded and deleted by several processes meanwhile."""
    deleted = list[int]()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.hammer", name],
            env={**os.environ, "PORTAL_DATA": str(data)},
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("alice", "bob")
    ]
    try:
        yield deleted
    finally:
        answers = [(*process.communicate(), process.returncode) for process in running]
    for out, err, code in answers:
        assert (code, err) == (0, b"")
        deleted.append(int(out))


def test_backups_while_files_come_and_go_are_whole(
    app: Flask, data: Path, target: Path, tmp_path: Path, make_app: Make
) -> None:
    made = []
    with app.app_context(), hammering(data) as deleted:
        storage, deadline = backup.on_disk(current_storage()), time.monotonic() + 30
        while len(kept(data)) < 15:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for number in range(3):
            made.append(target.with_name(f"{number}.tar"))
            report = backup.create(
                made[-1], data, storage, database.revision() or "", lambda _: time.sleep(0.02)
            )
            assert report.damaged == []
            assert report.files > 10
    assert sum(deleted) > 10
    for number, path in enumerate(made):
        restored = make_app(DATA=str(tmp_path.resolve() / f"restored-{number}"))
        assert run(restored, "restore", str(path))[0] == 0
        assert run(restored, "check", "--content") == (0, "", "")
    # Nor does anything stay behind that was deleted meanwhile.
    with app.app_context():
        storage.deletions.finish()  # one may have seen the lock, and moved its file after the end
        assert list(storage.deletions.aside.iterdir()) == []
        keys = set(db.session.scalars(select(StoredFile.storage_key)))
    assert {path.name for path in kept(data)} == keys


def test_file_deleted_during_a_backup_is_in_it_and_gone_after_it(
    app: Flask, data: Path, target: Path
) -> None:
    with app.app_context():
        stored = store("alice", "a.txt", b"going")
        going = [stored]

        def delete(_size: int) -> None:
            for entry in going[:]:
                trash.put([entry])
                trash.purge(entry)
                going.remove(entry)

        report = backup.create(target, data, current_storage(), "", delete)
    assert report.damaged == []
    assert b"going" in members(target).values()
    assert kept(data) == []
    assert list((data / "incoming" / "deleted").iterdir()) == []


def test_backup_removes_what_killed_ones_left_and_nothing_of_those_that_run(
    app: Flask, target: Path
) -> None:
    killed, running, young = (target.parent / f".portal-backup-{n}" for n in "abc")
    for folder in (killed, running, young):
        folder.mkdir()
        (folder / "backup.tar").write_bytes(b"half")
    for folder in (killed, running):
        os.utime(folder, (0, time.time() - 7200))
    with locked(running):
        assert run(app, "backup", str(target))[0] == 0
    assert not killed.exists()
    assert [(folder / "backup.tar").read_bytes() for folder in (running, young)] == [b"half"] * 2


def test_second_backup_at_once_is_refused(
    app: Flask, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.storage.deferred_delete._PATIENCE", 0.1)
    with app.app_context(), backup.on_disk(current_storage()).deletions.put_off():
        code, out, err = run(app, "backup", str(target))
    assert (code, out) == (1, "")
    assert "Another backup is in progress" in err


def test_deletions_that_a_killed_backup_put_off_are_done_by_the_cleanup(
    app: Flask, data: Path
) -> None:
    with app.app_context():
        stored = store("alice", "a.txt")
        deletions = backup.on_disk(current_storage()).deletions
        with locked(data / "files"):
            current_storage().delete(stored.storage_key)
            assert deletions.finish() == 0
        assert len(list(deletions.aside.iterdir())) == 1
        assert kept(data) == []
        assert deletions.finish() == 1
        assert list(deletions.aside.iterdir()) == []


def test_restored_portal_is_the_one_that_was_backed_up(
    made: Path, app: Flask, data: Path, new: Flask
) -> None:
    code, out, err = run(new, "restore", str(made))
    assert (code, out, err) == (0, f"3 files restored into {new.config['DATA']}.\n", "")
    folder = Path(new.config["DATA"])
    with app.app_context():
        before = contents()
    with new.app_context():
        assert contents() == before
        assert accounts.authenticate("alice", PASSWORD)
    assert (folder / "secret_key").read_bytes() == (data / "secret_key").read_bytes()
    assert arriving(folder) == []
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"files", "incoming"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept(folder)} == {0o600}
    assert stat.S_IMODE((folder / "portal.db").stat().st_mode) == 0o600
    assert run(new, "check", "--content") == (0, "", "")


def test_sessions_links_and_unfinished_uploads_are_not_restored(
    app: Flask, target: Path, new: Flask
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        sessions.start(sessions.Proof.of(account), "browser", "127.0.0.1")
        invitations.create_invitation(Role.MEMBER, None, "for Carol")
        folder = entries.root_folder(account.id)
        begun = [uploads.create(account, folder, Announced(n, 9, "")) for n in "ab"]
        begun[1].arrived, begun[1].finished_at = begun[1].size, now()
        db.session.commit()
    assert run(app, "backup", str(target))[0] == 0
    assert run(new, "restore", str(target))[0] == 0
    with new.app_context():
        assert db.session.scalars(select(SignIn)).all() == []
        assert db.session.scalars(select(OneTimeLink)).all() == []
        assert db.session.scalars(select(Upload.name)).all() == ["b"]


def test_restored_files_have_the_rights_that_the_web_server_needs(
    made: Path, tmp_path: Path, make_app: Make
) -> None:
    group = 12345 if os.geteuid() == 0 else os.getegid()
    folder = tmp_path.resolve() / "new"
    for name, mode in (("", 0o710), ("files", 0o2750), ("incoming", 0o2700)):
        (folder / name).mkdir()
        os.chown(folder / name, -1, group)
        (folder / name).chmod(mode)
    new = make_app(DATA=str(folder))
    assert run(new, "restore", str(made))[0] == 0
    assert stat.S_IMODE((folder / "files").stat().st_mode) == 0o2750
    files = kept(folder)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}
    assert {stat.S_IMODE(path.parent.stat().st_mode) & 0o777 for path in files} == {0o750}
    assert {one.stat().st_gid for path in files for one in (path, path.parent)} == {group}
    assert run(new, "check") == (0, "", "")


@pytest.mark.parametrize(
    "name", ["portal.db", "files/ab/x", "incoming/x", "anything", "portal.db-wal"]
)
def test_restore_overwrites_nothing(name: str, made: Path, new: Flask) -> None:
    folder = Path(new.config["DATA"])
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if name == "portal.db":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE a (b)")
    else:
        path.write_bytes(b"precious")
    before = {one: one.is_file() and one.read_bytes() for one in folder.rglob("*")}
    code, out, err = run(new, "restore", str(made))
    assert (code, out) == (1, "")
    assert "is in use" in err
    assert {one: one.is_file() and one.read_bytes() for one in folder.rglob("*")} == before


@pytest.mark.parametrize("folder", [".", "files", "incoming"])
def test_restore_takes_a_file_system_of_its_own(folder: str, made: Path, new: Flask) -> None:
    (Path(new.config["DATA"]) / folder / "lost+found").mkdir()
    assert run(new, "restore", str(made))[0] == 0


def test_restore_takes_a_folder_that_another_one_was_killed_in(made: Path, new: Flask) -> None:
    draft = Path(new.config["DATA"]) / "incoming" / "restore-killed"
    draft.mkdir()
    (draft / "portal.db").write_bytes(b"half")
    run(new, "accounts")  # which looks into the database, and asks for the upgrade
    with new.app_context():
        db.engine.dispose()
    assert run(new, "restore", str(made))[0] == 0


def test_key_that_a_setting_names_is_in_the_backup(
    data: Path, make_app: Make, tmp_path: Path
) -> None:
    key, target = tmp_path / "key", tmp_path / "portal.tar"
    key.touch(0o600)
    key.write_text("1" * 64)
    app = make_app(SECRET_KEY_FILE=str(key))
    prepare(app)
    assert run(app, "backup", str(target))[0] == 0
    assert members(target)["secret_key"] == b"1" * 64
    assert not (data / "secret_key").exists()


KILLED = """
import os, signal, sys
from flask import Flask
from portal import create_app
from portal.cli import portal

left = int(sys.argv[3])

def count(name, *_):
    global left
    if name in {"open", "os.rename", "os.mkdir", "os.chmod", "shutil.rmtree"}:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

app = create_app({"DATA": sys.argv[1]})
sys.addaudithook(count)
result = app.test_cli_runner().invoke(portal, ["restore", sys.argv[2]])
sys.exit(result.exit_code)
"""


def test_restore_that_is_killed_can_be_repeated(made: Path, make_app: Make, tmp_path: Path) -> None:
    """At moments that are spread over all that it does to files."""
    killed = 0
    for moment in (1, 12, 22, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 42, 44, 48):
        folder = tmp_path / f"killed {moment}"
        words = [sys.executable, "-c", KILLED, str(folder), str(made), str(moment)]
        killed += subprocess.run(words, cwd=PROJECT, check=False).returncode == -signal.SIGKILL
        new = make_app(DATA=str(folder))
        code, _, err = run(new, "restore", str(made))
        # It was killed after all was in its place, or this one brings all there.
        assert code == 0 or "portal.db" in err, err
        assert run(new, "upgrade")[0] == 0
        assert run(new, "check", "--content") == (0, "", "")
        drafts = list((folder / "incoming").glob("restore-*"))
        assert code != 0 or drafts == []
    assert killed >= 12


def test_draft_that_is_left_after_all_was_restored_gives_nothing_up(made: Path, new: Flask) -> None:
    """The restore was killed at its very end, and the portal was used since."""
    assert run(new, "restore", str(made))[0] == 0
    folder = Path(new.config["DATA"])
    (folder / "incoming" / "restore-killed" / "files").mkdir(parents=True)
    with new.app_context():
        store("alice", "later.txt", b"precious")
        db.engine.dispose()
    before = set(kept(folder))
    for path in folder.glob("portal.db*"):
        path.unlink()
    code, _, err = run(new, "restore", str(made))
    assert code == 1
    assert "is in use" in err
    assert set(kept(folder)) == before


def test_restore_that_fails_while_files_move_leaves_none(
    made: Path, new: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.rename
    left = [2]

    def rename(path: Path, target: Path) -> Path:
        left[0] -= 1
        if not left[0]:
            raise OSError(5, "Input/output error")
        return really(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        code, _, err = run(new, "restore", str(made))
    assert code == 1
    assert "Input/output error" in err
    assert kept(Path(new.config["DATA"])) == []
    assert run(new, "restore", str(made))[0] == 0


def test_restore_needs_no_data_folder(made: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "flask", "--app", "portal", "portal", "restore", str(made)]
    environment = {**os.environ, "PORTAL_DATA": str(tmp_path.resolve() / "missing")}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(kept(tmp_path / "missing")) == 3


def _newest() -> str:
    return database.revisions()[0]


def with_line(content: dict[str, bytes], number: int, **values: object) -> None:
    """Change a line of the manifest."""
    lines = content["manifest.jsonl"].splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **values}).encode()
    content["manifest.jsonl"] = b"\n".join(lines)


def rename(content: dict[str, bytes], name: str) -> None:
    """Rename the first file, in the manifest, too."""
    items = list(content.items())
    items[2] = (name, items[2][1])
    content.clear()
    content.update(items)
    with_line(content, 3, name=name)


def without(content: dict[str, bytes], number: int) -> None:
    del content[list(content)[number]]


def cut_manifest(content: dict[str, bytes]) -> None:
    content["manifest.jsonl"] = content["manifest.jsonl"][:-20]


def with_file_after_the_manifest(content: dict[str, bytes]) -> None:
    content["files/ab/" + "ab" * 16] = b""


def with_unknown_file(content: dict[str, bytes]) -> None:
    rename(content, "files/ab/" + "ab" * 16)


def without_the_first_file_and_its_line(content: dict[str, bytes]) -> None:
    without(content, 2)
    lines = content["manifest.jsonl"].splitlines()
    content["manifest.jsonl"] = b"\n".join([*lines[:3], *lines[4:]])


def with_strange_key(content: dict[str, bytes]) -> None:
    with_database(content, "UPDATE entry SET storage_key = '../../x' WHERE name = 'a.txt'")


def with_database(content: dict[str, bytes], statement: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content["portal.db"])
        connection.execute(statement)
        connection.commit()
        replace_database(content, connection.serialize())


def replace_database(content: dict[str, bytes], database: bytes) -> None:
    content["portal.db"] = database
    with_line(content, 1, size=len(database), sha256=hashlib.sha256(database).hexdigest())


def everything(folder: Path) -> dict[Path, bytes | None]:
    """Return what the folder has: files with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def with_short_key(content: dict[str, bytes]) -> None:
    content["secret_key"] = b"short"
    with_line(content, 2, size=5, sha256=hashlib.sha256(b"short").hexdigest())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: rename(content, "files/../../escaped"), "where no backup has it"),
        (lambda content: rename(content, "/tmp/escaped"), "where no backup has it"),  # noqa: S108
        (lambda content: rename(content, "files/ab/../../../x"), "where no backup has it"),
        (lambda content: rename(content, "files\\ab\\" + "ab" * 16), "where no backup has it"),
        (lambda content: rename(content, "files/aa/" + "ab" * 16), "where no backup has it"),
        (lambda content: rename(content, "files/ab/" + "ab" * 16 + "\n"), "where no backup has it"),
        (with_unknown_file, "does not know the file|which its database names"),
        (without_the_first_file_and_its_line, "lacks files/.*, which its database names"),
        (with_strange_key, r"unusable value in entry\.storage_key"),
        (with_short_key, "secret key in .* has 5 bytes, .* Restore another backup"),
        (lambda content: without(content, 0), "where no backup has it"),
        (lambda content: without(content, 1), "where no backup has it"),
        (lambda content: without(content, 2), "is not in its manifest"),
        (lambda content: without(content, -2), "lacks files/"),
        (lambda content: without(content, -1), "cut short"),
        (with_file_after_the_manifest, "cut short"),
        (cut_manifest, "manifest cannot be read"),
        (lambda content: with_line(content, 0, format="portal backup 2"), "has the format"),
        (lambda content: with_line(content, 0, schema="9999"), "newer version of the portal"),
        (lambda content: with_line(content, 3, more=1), "manifest cannot be read"),
        (lambda content: with_line(content, 3, sha256="0" * 64), "not what was backed up"),
        (lambda content: content.update(secret_key=b"short"), "not what was backed up"),
        (lambda content: content.update({"manifest.jsonl": b"[" * 4000}), "cannot be read"),
        (lambda content: content.update({"manifest.jsonl": b""}), "cannot be read"),
    ],
)
def test_restore_of_what_is_wrong_changes_nothing(
    change: Callable[[dict[str, bytes]], None], message: str, made: Path, new: Flask, tmp_path: Path
) -> None:
    content = members(made)
    change(content)
    wrong = tmp_path / "wrong.tar"
    write(wrong, content)
    before = everything(tmp_path)
    code, out, err = run(new, "restore", str(wrong))
    assert (code, out) == (1, "")
    assert re.search(message, err)
    assert str(new.config["DATA"]) not in err
    assert everything(tmp_path) == before
    assert run(new, "restore", str(made))[0] == 0


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_restore_refuses_what_is_no_regular_file(
    kind: bytes, made: Path, new: Flask, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.tar"
    with tarfile.open(wrong, "w") as archive:
        for name, data in members(made).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name == "secret_key":
                member.size, member.type, member.linkname = 0, kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    code, _, err = run(new, "restore", str(wrong))
    assert code == 1
    assert "not a regular file" in err
    assert arriving(Path(new.config["DATA"])) == []


def test_restore_refuses_a_file_that_would_grow_while_it_is_read(
    made: Path, new: Flask, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.tar"
    with tarfile.open(wrong, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members(made).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name == "secret_key":
                member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**12)}
            archive.addfile(member, io.BytesIO(data))
    code, _, err = run(new, "restore", str(wrong))
    assert code == 1
    assert "not a regular file" in err


@pytest.mark.parametrize("length", [0, 100, 512, 5000, 200_000, -20_000])
def test_restore_refuses_what_was_cut_short(
    length: int, made: Path, new: Flask, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(made.read_bytes()[:length])
    code, out, err = run(new, "restore", str(wrong))
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert kept(Path(new.config["DATA"])) == arriving(Path(new.config["DATA"])) == []


def test_flipped_bit_is_found(made: Path, new: Flask, tmp_path: Path) -> None:
    content = bytearray(made.read_bytes())
    content[content.index(bytes(range(256)) * 2) + 5] ^= 1
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(content)
    code, _, err = run(new, "restore", str(wrong))
    assert code == 1
    assert "is not what was backed up" in err


def test_missing_backup_is_told(new: Flask, tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "none.tar", f"There is no file {tmp_path / 'none.tar'}."),
        (tmp_path, f"The folder {tmp_path} is no backup. Name a file, or one of"),
    ):
        code, _, err = run(new, "restore", str(path))
        assert (code, err.count("\n")) == (1, 1)
        assert err.startswith(f"Error: {expected}")


def test_restore_needs_room(made: Path, new: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(made)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    code, _, err = run(new, "restore", str(made))
    assert code == 1
    assert "1000 are free" in err


@pytest.mark.parametrize("moved", ["secret_key", "portal.db"])
@pytest.mark.parametrize("end", [OSError(5, "Input/output error"), SystemExit(143)])
def test_restore_that_ends_while_it_moves_what_it_extracted_leaves_what_was_there(
    moved: str, end: BaseException, made: Path, new: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.name == moved and path.parent.name.startswith("restore-"):
            raise end
        return really(path, target)

    before = everything(Path(new.config["DATA"]))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        assert run(new, "restore", str(made))[0] in {1, 143}
    assert everything(Path(new.config["DATA"])) == before
    assert run(new, "restore", str(made))[0] == 0


def test_restore_that_fails_at_the_end_changes_nothing(
    made: Path, new: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(new.config["DATA"])
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}

    def fail(*_args: object) -> None:
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", fail)
        code, _, err = run(new, "restore", str(made))
    assert code == 1
    assert "not permitted" in err
    assert {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")} == before
    assert run(new, "restore", str(made))[0] == 0


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_restore_brings_an_older_schema_up_to_date(
    revision: str, make_app: Make, target: Path, new: Flask, data: Path
) -> None:
    schemas.load(revision, data)
    with make_app().app_context():
        report = backup.create(target, data, current_storage(), revision, lambda _size: None)
    assert report.damaged == []
    assert run(new, "restore", str(target))[0] == 0
    with new.app_context():
        assert database.schema_fits()
        assert sorted(contents().values()) == sorted(schemas.FILES.values())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE entry SET storage_key = NULL WHERE name = 'a.txt'", "in entry.storage_key"),
        ("UPDATE entry SET name = CAST(x'ff41' AS TEXT) WHERE name = 'a.txt'", "in entry.name"),
        ("UPDATE entry SET size = 9223372036854775807 WHERE name = 'a.txt'", "in entry.size"),
        ("UPDATE sqlite_sequence SET seq = 9223372036854775807", "unusable last id"),
        ("UPDATE entry SET parent_id = 999 WHERE name = 'a.txt'", "refers to a row"),
        ("DROP TABLE entry", "lacks the index"),
        ("DROP TABLE sign_in; CREATE VIEW sign_in AS SELECT 1", "lacks the index"),
        ("DROP TRIGGER activity_is_only_added_to", "lacks the trigger"),
        (
            "CREATE TRIGGER t AFTER INSERT ON sign_in BEGIN DELETE FROM entry; END",
            "the trigger 't'",
        ),
        (
            "DROP TRIGGER activity_is_only_added_to; CREATE TRIGGER activity_is_only_added_to"
            " BEFORE UPDATE ON activity BEGIN SELECT 1; END",
            "the trigger 'activity_is_only_added_to'",
        ),
        ("CREATE VIEW v AS SELECT 1", "the view 'v'"),
        ("CREATE VIRTUAL TABLE more USING fts5(a)", "table 'more"),
        ("DROP TABLE alembic_version", "not one of a portal"),
        ("DELETE FROM alembic_version", "its schema is none"),
        ("INSERT INTO alembic_version VALUES ('0005')", "its schema is "),
        ("UPDATE alembic_version SET version_num = '0005'", "which no version"),
        ("UPDATE alembic_version SET version_num = '9999'", "its schema is "),
    ],
)
def test_backup_with_a_database_that_no_portal_wrote_is_refused_in_a_sentence(
    statement: str, message: str, made: Path, new: Flask, tmp_path: Path
) -> None:
    content, path = members(made), tmp_path / "odd.db"
    path.write_bytes(content["portal.db"])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
    replace_database(content, path.read_bytes())
    write(made, content)
    before = everything(Path(new.config["DATA"]))
    code, out, err = run(new, "restore", str(made))
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err
    assert everything(Path(new.config["DATA"])) == before


def test_backup_with_statistics_and_the_last_moment_of_a_month_is_restored(
    made: Path, new: Flask, tmp_path: Path
) -> None:
    content, path = members(made), tmp_path / "analyzed.db"
    path.write_bytes(content["portal.db"])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "ANALYZE; UPDATE account SET created_at = '2026-02-28 23:59:59.999999'"
        )
    replace_database(content, path.read_bytes())
    write(made, content)
    assert run(new, "restore", str(made))[0] == 0


def test_database_that_cannot_be_upgraded_is_refused_before_anything_is_restored(
    make_app: Make, target: Path, new: Flask, data: Path
) -> None:
    """Two accounts whose names differ until the upgrade shortens their keys."""
    schemas.load("0005", data)
    with closing(sqlite3.connect(data / "portal.db")) as connection, connection:
        connection.execute("UPDATE account SET name_key = ? WHERE id = 1", ["x" * 300])
        connection.execute("UPDATE account SET name_key = ? WHERE id = 2", ["X" * 300])
    with make_app().app_context():
        backup.create(target, data, current_storage(), "0005", lambda _size: None)
    before = everything(Path(new.config["DATA"]))
    code, out, err = run(new, "restore", str(target))
    assert (code, out) == (1, "")
    assert "cannot be upgraded: UNIQUE constraint failed" in err
    assert everything(Path(new.config["DATA"])) == before
