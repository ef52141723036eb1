"""Backups of several days in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from portal.cli import portal
from portal.core.models import now
from portal.files import trash
from portal.maintenance import daily
from portal.storage.content import current_storage
from tests.support.stored import contents, path_of, store

pytestmark = pytest.mark.sqlite("elsewhere, backups are the server's")

Make = Callable[..., Flask]


def run(app: Flask, *words: str) -> tuple[int, str, str]:
    result = app.test_cli_runner().invoke(portal, words)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "daily").mkdir()
    return tmp_path / "daily"


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets on which day backups begin."""
    begun = now()
    return lambda days: monkeypatch.setattr(daily, "now", lambda: begun + timedelta(days))


def copies(folder: Path) -> dict[str, list[int]]:
    """Return the inodes of the content in all backups, by name."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.rglob("files/*/*")):
        found.setdefault(path.name, []).append(path.stat().st_ino)
    return found


def restored(backup: Path, make_app: Make, tmp_path: Path) -> dict[str, bytes]:
    app = make_app(DATA=str(tmp_path.resolve() / "restored"))
    code, _, err = run(app, "restore", str(backup))
    assert code == 0, err
    code, out, _ = run(app, "check", "--content")
    assert (code, out) == (0, "")
    with app.app_context():
        return contents()


def test_content_is_on_the_disk_once_and_each_backup_is_whole(
    app: Flask, folder: Path, day: Callable[[int], None], make_app: Make, tmp_path: Path
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"first")
        store("alice", "large.bin", bytes(range(256)) * 10_000)
    for number in range(3):
        day(number)
        assert run(app, "backup", "--keep", "9", str(folder))[0] == 0
    day(3)
    with app.app_context():
        store("alice", "new.txt", b"later")
        expected = contents()
    code, _, err = run(app, "backup", "--keep", "9", str(folder))
    assert (code, len(daily.found_in(folder))) == (0, 4), err
    assert sorted(map(len, copies(folder).values())) == [1, 4, 4]
    assert all(len(set(found)) == 1 for found in copies(folder).values())
    first, last = daily.found_in(folder)[0], daily.found_in(folder)[-1]
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}
    shutil.rmtree(first)  # the others do not need it
    assert restored(last, make_app, tmp_path) == expected


def test_two_of_one_second_have_a_name_each(
    app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [now()] * 3
    moments.append(moments[0] + timedelta(seconds=1))
    monkeypatch.setattr(daily, "now", lambda: moments.pop(0))
    for count in (1, 2):
        code, _, err = run(app, "backup", "--keep", "5", str(folder))
        assert (code, len(daily.found_in(folder))) == (0, count), err
    assert moments == []


def test_backups_beyond_the_number_are_deleted_the_oldest_first(
    app: Flask, folder: Path, day: Callable[[int], None]
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"first")
        going = store("alice", "b.txt", b"going")
        key = going.storage_key
        day(-1)
        assert run(app, "backup", "--keep", "3", str(folder))[0] == 0
        trash.put([going])
        trash.purge(going)
    assert key in copies(folder)
    (folder / "portal-notes.txt").touch()
    (folder / "portal.tar").touch()
    day(2)
    oldest = daily.name_in(folder)
    for number in range(5):
        day(number)
        assert run(app, "backup", "--keep", "3", str(folder))[0] == 0
    found = daily.found_in(folder)
    assert found[0] == oldest
    assert len(found) == 3
    others = {path.name for path in folder.iterdir()} - {path.name for path in found}
    assert others == {"portal-notes.txt", "portal.tar"}
    assert key not in copies(folder)


def test_damaged_file_does_not_replace_its_copy_and_no_backup_is_deleted(
    app: Flask,
    data: Path,
    folder: Path,
    day: Callable[[int], None],
    make_app: Make,
    tmp_path: Path,
) -> None:
    with app.app_context():
        damaged = path_of(data, store("alice", "damaged.txt", b"as it was"))
        missing = path_of(data, store("alice", "missing.txt", b"still there"))
        expected = contents()
    assert run(app, "backup", "--keep", "1", str(folder))[0] == 0
    damaged.chmod(0o600)
    damaged.write_bytes(b"as it is!")
    missing.unlink()
    for number in (1, 2):
        day(number)
        code, _, err = run(app, "backup", "--keep", "1", str(folder))
        assert (code, err.count("Damaged: ")) == (1, 2)
    assert len(daily.found_in(folder)) == 3
    assert restored(daily.found_in(folder)[-1], make_app, tmp_path) == expected


def test_damaged_copy_is_not_shared(
    app: Flask, folder: Path, day: Callable[[int], None], make_app: Make, tmp_path: Path
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"as it was")
        expected = contents()
    assert run(app, "backup", "--keep", "5", str(folder))[0] == 0
    (copy,) = folder.rglob("files/*/*")
    copy.write_bytes(b"as it is!")
    day(1)
    assert run(app, "backup", "--keep", "5", str(folder))[0] == 0
    assert restored(daily.found_in(folder)[-1], make_app, tmp_path) == expected


@pytest.mark.parametrize(
    "planted", ["link", "folder link", "pipe", "unknown", "missing", "changed"]
)
def test_folder_that_is_no_whole_backup_is_refused(
    planted: str, app: Flask, folder: Path, make_app: Make, tmp_path: Path
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"first")
    assert run(app, "backup", "--keep", "1", str(folder))[0] == 0
    (file,) = folder.rglob("files/*/*")
    kept = tmp_path / "kept"
    match planted:
        case "link":
            file.rename(kept)
            file.symlink_to(kept)
        case "folder link":
            file.parent.rename(kept)
            file.parent.symlink_to(kept)
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "unknown":
            (file.parents[2] / "more").touch()
        case "missing":
            file.unlink()
        case "changed":
            file.write_bytes(b"other")
    new = make_app(DATA=str(tmp_path.resolve() / "restored"))
    code, _, err = run(new, "restore", str(daily.found_in(folder)[0]))
    assert (code, err.count("\n")) == (1, 1), err
    with new.app_context():
        assert list(current_storage().all_keys()) == []


def test_only_what_is_new_needs_room(
    app: Flask, folder: Path, day: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        store("alice", "large.bin", bytes(5_000_000))
    usage = shutil.disk_usage(folder)
    room = usage._replace(free=4_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: room)
    code, _, err = run(app, "backup", "--keep", "2", str(folder))
    assert code == 1
    assert "Free some space, or choose another disk" in err
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    assert run(app, "backup", "--keep", "2", str(folder))[0] == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: room)
    day(1)
    monkeypatch.setattr(daily, "now", lambda: now() + timedelta(days=1))
    assert run(app, "backup", "--keep", "2", str(folder))[0] == 0


def test_health_warns_of_a_backup_that_is_late(
    make_app: Make, folder: Path, tmp_path: Path
) -> None:
    app = make_app(DATA=str(tmp_path.resolve() / "data"), BACKUPS=str(folder))
    run(app, "upgrade")

    def warning() -> object:
        answer = app.test_client().get("/healthz")
        assert answer.status_code == 200
        return answer.json and answer.json.get("warning")

    assert warning() is None  # the first one comes tonight
    os.utime(folder, (0, 0))
    assert warning() == ["backup"]
    for hours, expected in ((49, ["backup"]), (47, None)):
        (folder / f"portal-{now() - timedelta(hours=hours):%Y%m%dT%H%M%SZ}").mkdir()
        os.utime(folder, (0, 0))
        assert warning() == expected
    shutil.rmtree(folder)
    assert warning() == ["backup"]
