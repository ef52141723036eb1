"""Files are moved into a bucket and back, whatever people do meanwhile."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from sqlalchemy import select

from portal import create_app
from portal.cli import portal
from portal.core import facts, stores
from portal.core.database import db
from portal.core.models import StoredFile
from portal.core.models.fact import BUCKET
from portal.core.setting_checks import SettingError
from portal.files import trash
from portal.maintenance import check_files, move
from portal.storage import bucket as bucket_storage
from portal.storage import incoming
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.storage.incoming import StorageFullError
from portal.storage.moving import Moving, alone, hold_still
from portal.web.files.files import url_to_show
from tests.support.moving import PLACE, FolderBucket
from tests.support.portal import prepare, signed_in
from tests.support.stored import contents, store
from tests.support.tus import Tus

TO, FROM = "to-store", "from-store"
SENT = {f"{number}.txt": b"%d" % number * number * 100 for number in range(5)}
Make = Callable[..., Flask]


@pytest.fixture(autouse=True)
def folder_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_storage, "Bucket", FolderBucket)


@pytest.fixture
def make(make_app: Make, tmp_path: Path) -> Make:
    """Create a portal with a state of the move, after the one before it has ended."""
    keys, before = tmp_path / "keys.toml", list[Flask]()
    keys.touch(0o600)
    keys.write_text('key_id = "id"\nsecret = "secret"\n')
    stored = {"STORE": PLACE, "STORE_KEYS_FILE": str(keys)}

    def start(way: str | None = None, *, is_stored: bool = True) -> Flask:
        while before:
            if ended := before.pop().extensions.get("portal.still"):
                ended()
        nowhere = {"STORE": None, "STORE_KEYS_FILE": None, "STORE_MOVING": None}
        app = make_app(**({**stored, "STORE_MOVING": way} if is_stored or way else nowhere))
        before.append(app)
        return app

    return start


@pytest.fixture
def on_disk(make: Make) -> dict[str, bytes]:
    """Have a portal with files on disk."""
    app = make(is_stored=False)
    prepare(app)
    with app.app_context():
        for name, content in SENT.items():
            store("alice", name, content)
    return dict(SENT)


@pytest.fixture
def in_bucket(make: Make) -> dict[str, bytes]:
    """Have a portal with files in the bucket."""
    app = make(is_stored=False)
    prepare(app)
    app = make()
    with app.app_context():
        for name, content in SENT.items():
            store("alice", name, content)
    return dict(SENT)


def run(app: Flask, way: str, *options: str) -> tuple[int, str, str]:
    words = (f"move-{way}", "--wait", "0", *(["--only-host"] if way == FROM else []), *options)
    result = app.test_cli_runner().invoke(portal, words)
    return result.exit_code, result.stdout, result.stderr


def moving(app: Flask) -> Moving:
    return cast("Moving", app.extensions["portal.storage"])


def keys_of(app: Flask) -> tuple[list[str], list[str]]:
    """Return the keys on disk and in the bucket."""
    storage = moving(app)
    return list(storage.disk.all_keys()), list(storage.bucket.all_keys())


def rows() -> dict[str, str]:
    found = {one.name: one.storage_key for one in db.session.scalars(select(StoredFile))}
    db.session.rollback()
    return found


def file_of(name: str) -> StoredFile:
    return db.session.scalars(select(StoredFile).where(StoredFile.name == name)).one()


def purge(name: str) -> None:
    trash.put([file_of(name)])
    trash.purge(file_of(name))


def check_all_moved(app: Flask, way: str, wanted: dict[str, bytes]) -> None:
    """Whatever the database names is at the new place, once and whole; and nothing else."""
    with app.app_context():
        assert contents() == wanted
        old, new = keys_of(app) if way == TO else reversed(keys_of(app))
        assert (old, new) == ([], sorted(rows().values()))
        storage = moving(app)
        for key in new:
            with storage.new.open(key) as file:
                content = file.read(-1)
            sha256 = select(StoredFile.sha256).where(StoredFile.storage_key == key)
            assert db.session.scalar(sha256) == hashlib.sha256(content).hexdigest()
        assert [p for p in storage.incoming.rglob("*") if p.is_file()] == []


def test_there_and_back(make: Make, on_disk: dict[str, bytes], data: Path) -> None:
    app = make(TO)
    status, said, problems = run(app, TO)
    assert (status, problems) == (0, "")
    assert said.startswith("5 files, ")
    assert "Nothing is left" in said
    assert "Take out PORTAL_STORE_MOVING, and restart" in said
    check_all_moved(app, TO, on_disk)
    with make().app_context():
        assert contents() == on_disk
    app = make(FROM)
    status, said, problems = run(app, FROM)
    assert (status, problems) == (0, "")
    assert "Take out PORTAL_STORE, PORTAL_STORE_KEYS_FILE and PORTAL_STORE_MOVING" in said
    check_all_moved(app, FROM, on_disk)
    make(FROM)  # once more, before the settings are taken out
    with make(is_stored=False).app_context():
        assert contents() == on_disk
        assert facts.noted(BUCKET) == ""
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (data / "files").glob("??/*")}
    assert modes == {0o600}
    with make(TO).app_context():
        assert facts.noted(BUCKET) == "/files/"
    assert not (data / "moving.key").exists()


@pytest.mark.parametrize("way", [TO, FROM])
def test_people_work_while_files_are_moved(
    way: str, make: Make, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between each copy and the next step of its move, somebody deletes, restores or uploads."""
    wanted = request.getfixturevalue("on_disk" if way == TO else "in_bucket")
    app = make(way)
    with app.app_context():
        keys = rows()
    purge_before, purge_after, restored = "1.txt", "2.txt", "3.txt"

    original = move._Mover._forget_deleted

    def hooked(mover: Any, key: str) -> bool:
        """Act after the copy was made, before it is known whether its row is there."""
        if key == keys[purge_before] and purge_before in rows():
            purge(purge_before)
            del wanted[purge_before]
        is_gone = original(mover, key)
        if key == keys[purge_after] and purge_after in rows():
            purge(purge_after)
            del wanted[purge_after]
        if key == keys[restored] and "new.txt" not in rows():
            trash.put([file_of(restored)])
            trash.restore(file_of(restored))
            store("alice", "new.txt", b"new")
            wanted["new.txt"] = b"new"
        return is_gone

    monkeypatch.setattr(move._Mover, "_forget_deleted", hooked)
    status, _, problems = run(app, way)
    assert (status, problems) == (0, "")
    check_all_moved(app, way, wanted)
    assert len(wanted) == 4


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("way", [TO, FROM])
@pytest.mark.parametrize("deletes", [False, True])
def test_killed_anywhere_it_goes_on(
    way: str,
    deletes: bool,
    make: Make,
    data: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends before each of its steps in turn, and the file under way may then be deleted."""
    wanted = request.getfixturevalue("on_disk" if way == TO else "in_bucket")
    app = make(way)
    storage, count, at = moving(app), 0, 0

    def dying(owner: Any, name: str) -> None:
        really = getattr(owner, name)

        def step(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise KilledError
            return really(*given, **named)

        monkeypatch.setattr(owner, name, step)

    for owner, names in (
        (storage.disk, ("put", "mark", "delete")),
        (storage.bucket, ("put", "delete")),
        (move._Mover, ("_forget_deleted",)),
    ):
        for name in names:
            dying(owner, name)
    place = cast("Any", stores.configured(app.config))
    with app.app_context():
        for at in range(1, 60):
            count = 0
            try:
                move.move(storage, place, data, 0, lambda _size: None, move.Report())
            except KilledError:
                db.session.rollback()
            else:
                break
            assert contents() == wanted
            noted = data / "moving.key"
            key = noted.read_text() if noted.exists() else ""
            victims = [name for name, mine in rows().items() if mine == key]
            if deletes and victims and len(wanted) > 2 and at % 3 == 0:
                count = -(10**6)
                with monkeypatch.context() as patch:
                    # The deletion finds no copy, as the copy comes after it.
                    patch.setattr(storage, "delete", lambda _key: None)
                    purge(victims[0])
                del wanted[victims[0]]
        else:
            raise AssertionError("it never ended")
    assert at > 5
    check_all_moved(app, way, wanted)


@pytest.mark.parametrize("way", [TO, FROM])
def test_missing_and_damaged_files_are_named_and_do_not_stop_the_rest(
    way: str, make: Make, request: pytest.FixtureRequest
) -> None:
    wanted = request.getfixturevalue("on_disk" if way == TO else "in_bucket")
    app = make(way)
    with app.app_context():
        keys, storage = rows(), moving(app)
    damaged, missing = keys.pop("1.txt"), keys.pop("2.txt")
    folder = storage.disk.files if way == TO else cast("Any", storage.bucket).files
    (folder / storage.path(damaged)).write_bytes(b"x" * 100)
    (folder / storage.path(missing)).unlink()
    status, said, problems = run(app, way)
    assert status == 1
    assert said == f"3 files, {said.partition(', ')[2]}"
    assert f"({damaged}) is not what was uploaded" in problems
    assert f"({missing}) has no content" in problems
    assert problems.count("Not moved: ") == 2
    assert "1 file left in" in problems
    old, new = keys_of(app) if way == TO else reversed(keys_of(app))
    assert (old, new) == ([damaged], sorted(keys.values()))
    with app.app_context():
        assert len(rows()) == len(wanted)


def forbid(patch: pytest.MonkeyPatch, owner: Any, name: str, word: str) -> None:
    """Have a step fail for what has the word in its path or key, as rights do not bind root."""
    really = getattr(owner, name)

    def step(*given: Any, **named: Any) -> Any:
        if any(word in str(one) for one in given):
            raise PermissionError(errno.EACCES, "Permission denied", word)
        return really(*given, **named)

    patch.setattr(owner, name, step)


@pytest.mark.parametrize(
    ("way", "place", "step", "reason"),
    [
        (TO, "disk", "open", "cannot be moved"),
        (TO, "disk", "mark", "cannot be moved"),
        (TO, "disk", "delete", "is copied, but cannot be deleted at its old place"),
        (FROM, "disk", "put", "cannot be moved"),
        (FROM, "disk", "find", "cannot be moved"),
    ],
)
def test_what_may_not_be_moved_is_named_and_does_not_stop_the_rest(
    way: str,
    place: str,
    step: str,
    reason: str,
    make: Make,
    request: pytest.FixtureRequest,
) -> None:
    wanted = request.getfixturevalue("on_disk" if way == TO else "in_bucket")
    app = make(way)
    with app.app_context():
        storage, key = moving(app), rows()["1.txt"]
    with pytest.MonkeyPatch.context() as patch:
        forbid(patch, getattr(storage, place), step, key)
        for moved in (4, 0):
            status, said, problems = run(app, way)
            assert (status, said.partition(" files")[0]) == (1, str(moved))
            assert f"({key}) {reason}: Permission denied\n" in problems
            assert problems.count("Not moved: ") == 1
            assert "1 file left in" in problems
    with app.app_context():
        assert contents() == wanted
    assert run(app, way)[0] == 0
    check_all_moved(app, way, wanted)


@pytest.mark.parametrize("way", [TO, FROM])
def test_a_folder_that_may_not_be_listed_is_named(
    way: str, make: Make, on_disk: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(TO)
    with app.app_context():
        key = rows()["1.txt"]
    if way == FROM:
        assert run(app, TO)[0] == 0
        app = make(FROM)
        (moving(app).disk.files / key[:2]).mkdir(exist_ok=True)
    folder = moving(app).disk.files / key[:2]
    there = sum(one[:2] == key[:2] for one in keys_of(app)[0])
    with monkeypatch.context() as patch:
        forbid(patch, Path, "iterdir", str(folder))
        forbid(patch, moving(app).disk, "_found", key)
        status, said, problems = run(app, way)
    assert (status, "Nothing is left" in said) == (1, False)
    assert f"Not moved: the folder {folder} cannot be listed\n" in problems
    assert problems.count(f"({key}) cannot be ") == 1
    assert f"{max(1, there)} file" in problems
    assert run(app, way)[0] == 0
    check_all_moved(app, way, on_disk)


def test_what_is_in_a_folder_that_may_only_be_searched_is_named(
    make: Make, on_disk: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(TO)
    with app.app_context():
        key = rows()["1.txt"]
    with monkeypatch.context() as patch:
        forbid(patch, Path, "iterdir", str(moving(app).disk.files / key[:2]))
        status, said, problems = run(app, TO)
    assert (status, "Nothing is left" in said) == (1, False)
    assert f"({key}) cannot be read: its folder cannot be listed\n" in problems
    assert run(app, TO)[0] == 0
    check_all_moved(app, TO, on_disk)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("way", [TO, FROM])
def test_what_is_in_the_place_of_content_is_named(
    kind: str, way: str, make: Make, on_disk: dict[str, bytes]
) -> None:
    """On the way back, it has taken the place of a file that was on the disk already."""
    app = make(TO)
    if way == FROM:
        assert run(app, TO)[0] == 0
        assert run(make(FROM), FROM)[0] == 0
        app = make(FROM)
    with app.app_context():
        key = rows()["1.txt"]
    path = moving(app).disk.files / key[:2] / key
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    status, said, problems = run(app, way)
    assert status == 1
    if way == TO:
        assert said.startswith("4 files")
        assert f"({key}) cannot be moved: not a regular file\n" in problems
        assert "1 file left" in problems
    else:
        assert f"({key}) has no content\n" in problems
    assert problems.count("Not moved: ") == 1
    if kind == "folder":
        path.rmdir()
    else:
        path.unlink()
    path.write_bytes(content)
    assert run(app, way)[0] == 0
    check_all_moved(app, way, on_disk)


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_is_told_when_it_ends_early(
    as_json: bool, make: Make, on_disk: dict[str, bytes]
) -> None:
    app = make(TO)
    with app.app_context():
        storage, keys = moving(app), sorted(rows().values())
    damaged = storage.disk.files / storage.path(keys[0])
    content = damaged.read_bytes()
    damaged.write_bytes(b"x")
    with pytest.MonkeyPatch.context() as patch:

        def away(*_given: Any) -> None:
            raise StoreAwayError("it does not answer")

        really = move._Mover._remove

        def once(mover: Any, row: Any) -> None:
            really(mover, row)
            patch.setattr(mover._bucket, "find", away)

        patch.setattr(move._Mover, "_remove", once)
        status, said, problems = run(app, TO, *(["--json"] if as_json else []))
    assert status == 1
    if as_json:
        told = json.loads(said)
        assert (told["moved"], told["left"], len(told["problems"])) == (1, None, 1)
    else:
        assert said.startswith("1 file, ")
        assert "Nothing is left" not in said
    assert f"({keys[0]}) is not what was uploaded" in problems
    assert problems.endswith("Error: The store of the files: it does not answer. Try again.\n")
    damaged.write_bytes(content)
    assert run(app, TO)[0] == 0
    check_all_moved(app, TO, on_disk)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_concerns_all_files_ends_it(
    number: int, make: Make, in_bucket: dict[str, bytes]
) -> None:
    app = make(FROM)

    def fails(*_given: Any) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving(app).disk, "put", fails)
        status, said, problems = run(app, FROM)
    assert (status, said, problems.count("\n")) == (1, "", 1)
    assert ("The disk is full: there is no room. " in problems) == (number == errno.ENOSPC)
    assert run(app, FROM)[0] == 0
    check_all_moved(app, FROM, in_bucket)


def test_folder_for_arriving_files_that_may_not_be_written_ends_it(
    make: Make, in_bucket: dict[str, bytes]
) -> None:
    app = make(FROM)

    def fails(*_given: Any, **_named: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving(app).arriving, "receive", fails)
        patch.setattr("portal.storage.incoming.tempfile.TemporaryFile", fails)
        status, said, problems = run(app, FROM)
    assert (status, said, problems.count("\n")) == (1, "", 1)
    assert run(app, FROM)[0] == 0
    check_all_moved(app, FROM, in_bucket)


def test_unclaimed_content_that_may_not_be_moved_is_named(
    make: Make, on_disk: dict[str, bytes], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "ab" * 16
    stray = data / "files" / "ab" / key
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    app = make(TO)
    monkeypatch.setattr(check_files, "YOUNG", -1)
    for step, said in (("set_aside", "cannot be moved aside"), ("find", "cannot be read")):
        with monkeypatch.context() as patch:
            forbid(patch, moving(app).disk, step, key)
            status, _, problems = run(app, TO)
        assert (status, f"{said}: Permission denied\n" in problems) == (1, True)
        assert "1 file left" in problems
    assert run(app, TO)[0] == 0
    check_all_moved(app, TO, on_disk)


@pytest.mark.usefixtures("on_disk")
def test_a_start_names_the_way_that_files_go(make: Make, data: Path) -> None:
    assert run(make(TO), TO)[0] == 0
    make()
    assert not (data / "moving.way").exists()
    with make(FROM).app_context():
        store("alice", "new.txt")
    with pytest.raises(SettingError, match="Set PORTAL_STORE_MOVING to from-store until nothing"):
        make()
    make(TO)  # turned round
    with pytest.raises(SettingError, match="Set PORTAL_STORE_MOVING to to-store until they"):
        make()
    assert run(make(FROM), FROM)[0] == 0
    make(is_stored=False)
    assert not (data / "moving.way").exists()


def test_in_json(make: Make, on_disk: dict[str, bytes]) -> None:
    status, said, _ = run(make(TO), TO, "--json")
    size = sum(map(len, on_disk.values()))
    told = {"moved": 5, "size": size, "left": 0, "problems": [], "unclaimed": []}
    assert (status, json.loads(said)) == (0, told)


def test_a_full_disk_loses_nothing(
    make: Make, in_bucket: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(FROM)
    really, count = incoming.check_space, 0

    def full(path: Any, needed: int) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise StorageFullError("0 bytes are free")
        really(path, needed)

    monkeypatch.setattr("portal.maintenance.move.check_space", full)
    status, _, said = run(app, FROM)
    assert status == 1
    assert "The disk is full: 0 bytes are free. Nothing is lost" in said
    with app.app_context():
        assert contents() == in_bucket
    monkeypatch.undo()
    monkeypatch.setattr(bucket_storage, "Bucket", FolderBucket)
    assert run(app, FROM)[0] == 0
    check_all_moved(app, FROM, in_bucket)


def test_a_store_that_is_away_ends_it(make: Make, on_disk: dict[str, bytes]) -> None:
    app = make(TO)
    cast("Any", moving(app).bucket).is_away = True
    status, _, said = run(app, TO)
    assert (status, said) == (1, "Error: The store of the files: it does not answer. Try again.\n")
    cast("Any", moving(app).bucket).is_away = False
    with app.app_context():
        assert contents() == on_disk
    assert run(app, TO)[0] == 0
    check_all_moved(app, TO, on_disk)


def test_a_file_that_is_not_at_its_new_place_stays(
    make: Make, on_disk: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(TO)
    with app.app_context():
        key = rows()["4.txt"]
    really = move._Mover._remove

    def after_a_loss(mover: Any, row: Any) -> None:
        mover._bucket.delete(key)
        really(mover, row)

    monkeypatch.setattr(move._Mover, "_remove", after_a_loss)
    status, _, said = run(app, TO)
    assert status == 1
    assert f"({key}) has gone from its new place" in said
    monkeypatch.undo()
    with app.app_context():
        assert contents() == on_disk
    assert run(app, TO)[0] == 0
    check_all_moved(app, TO, on_disk)


def test_a_move_that_is_turned_round(make: Make, on_disk: dict[str, bytes]) -> None:
    """Half of the files have a copy in the bucket, and one is there alone."""
    app = make(TO)
    with app.app_context():
        storage, keys = moving(app), sorted(rows().values())
        folder = Path(app.config["DATA"])
        mover = move._Mover(storage, folder, 0, lambda _size: None, move.Report())
        listed = list(mover._claimed())
        for row in listed[:3]:
            mover._copy(row)
        mover._remove(listed[0])
        assert [len(some) for some in keys_of(app)] == [4, 3]
        assert contents() == on_disk
    app = make(FROM)
    with app.app_context():
        assert contents() == on_disk
    assert run(app, FROM)[0] == 0
    check_all_moved(app, FROM, on_disk)
    assert keys_of(app)[0] == keys


def test_the_old_copy_stays_for_a_while(
    make: Make, on_disk: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was told of the old place finds the file there; who asks now, is told of the new."""
    app, slept = make(TO), list[float]()

    def sleep(seconds: float) -> None:
        if not slept:
            disk, stored = keys_of(app)
            assert len(disk) == len(stored) == len(on_disk)
            assert {moving(app).area(key) for key in disk} == {"files"}
        slept.append(seconds)

    monkeypatch.setattr("portal.maintenance.move.time.sleep", sleep)
    result = app.test_cli_runner().invoke(portal, ["move-to-store"])
    assert result.exit_code == 0
    assert 50 < slept[0] <= 60
    check_all_moved(app, TO, on_disk)


def test_content_without_a_file_is_set_aside_when_it_is_old(
    make: Make, on_disk: dict[str, bytes], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = data / "files" / "ab" / ("ab" * 16)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    app = make(TO)
    status, _, said = run(app, TO)
    assert (status, "1 file left in" in said) == (1, True)
    monkeypatch.setattr(check_files, "YOUNG", -1)
    status, _, said = run(app, TO)
    assert (status, "that no file claims; moved to" in said) == (0, True)
    assert (data / "files" / "unclaimed" / ("ab" * 16)).read_bytes() == b"stray"
    check_all_moved(app, TO, on_disk)


def test_unfinished_pieces_leave_the_bucket(make: Make, in_bucket: dict[str, bytes]) -> None:
    app = make(FROM)
    parts = cast("Any", moving(app).bucket).files / "parts"
    parts.mkdir()
    (parts / "0-5-a").write_bytes(b"12345")
    assert run(app, FROM)[0] == 0
    assert list(parts.iterdir()) == []
    check_all_moved(app, FROM, in_bucket)


def test_nobody_moves_files_that_others_look_for(make: Make, on_disk: dict[str, bytes]) -> None:
    unaware = make(is_stored=False)
    hold = unaware.extensions.pop("portal.still")
    app = make(TO)
    status, _, said = run(app, TO)
    assert (status, "without PORTAL_STORE_MOVING" in said) == (1, True)
    assert [len(keys) for keys in keys_of(app)] == [len(on_disk), 0]
    hold()
    storage = moving(app)
    with alone(storage):
        assert "moves files itself" in run(app, TO)[2]
        with pytest.raises(SettingError, match="A command moves files"):
            hold_still(unaware, unaware.extensions["portal.storage"])
    assert run(app, TO)[0] == 0


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("way", [TO, FROM])
def test_the_command_and_the_setting_agree(way: str, make: Make) -> None:
    other = FROM if way == TO else TO
    for app in (make(is_stored=False), make(other)):
        status, _, said = run(app, way)
        assert (status, f"PORTAL_STORE_MOVING is not {way}" in said) == (1, True)


@pytest.mark.usefixtures("on_disk")
def test_a_start_looks_for_files_where_they_are(make: Make, make_app: Make) -> None:
    with pytest.raises(SettingError, match="Set PORTAL_STORE_MOVING to to-store"):
        make()
    app = make(TO)
    assert run(app, TO)[0] == 0
    with pytest.raises(SettingError, match=r"lies in the bucket /files/ of a store"):
        make(is_stored=False)
    for value in ("yes", True, 5):
        with pytest.raises(SettingError, match="must be to-store or from-store, not"):
            make(cast("Any", value))
    with pytest.raises(SettingError, match="is to-store, and needs PORTAL_STORE"):
        make_app(STORE=None, STORE_KEYS_FILE=None, STORE_MOVING=TO)


def test_files_in_both_places_are_listed_deleted_and_checked(
    make: Make, on_disk: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(TO)
    monkeypatch.setattr(check_files, "YOUNG", -1)
    with app.app_context():
        store("alice", "new.txt", b"new")
        storage, keys = moving(app), rows()
        assert [len(some) for some in keys_of(app)] == [5, 1]
        assert list(storage.all_keys()) == sorted(keys.values())
        assert storage.holds(keys["4.txt"], 400)
        assert not storage.holds(keys["4.txt"], 399)
        assert storage.area(keys["new.txt"]) == "files"
        assert storage.area(keys["4.txt"]) is None
        for name in ("new.txt", "4.txt"):
            assert "moved to" in storage.set_aside(keys[name])
            with storage.open_aside(keys[name]) as file:
                assert file.read(1) == (on_disk | {"new.txt": b"new"})[name][:1]
            assert "moved back" in storage.claim(keys[name])
    result = app.test_cli_runner().invoke(portal, ["check", "--content"])
    assert (result.exit_code, result.output) == (0, "")
    with app.app_context():
        storage.delete(keys["new.txt"])
        storage.delete(keys["4.txt"])
    result = app.test_cli_runner().invoke(portal, ["check"])
    assert result.output.count("has no content") == 2
    target = f"{app.config['DATA']}.tar"
    assert app.test_cli_runner().invoke(portal, ["backup", target]).exit_code == 1
    assert not Path(target).exists()


@pytest.mark.usefixtures("on_disk")
def test_pages_show_pictures_by_the_portal_meanwhile(make: Make) -> None:
    """A signed address would name a place for hours."""
    app = make(TO)
    assert app.config["DELEGATE_SIGNED_URL"] == "/signed/"
    with app.test_request_context():
        file = db.session.scalars(select(StoredFile)).first()
        assert file
        assert url_to_show(file) == f"/files/{file.public_id}/preview"


@pytest.mark.usefixtures("on_disk")
def test_an_unfinished_upload_goes_on(make: Make) -> None:
    """A piece of it arrives in each state of the portal."""
    states: list[tuple[str | None, bool]] = [(None, False), (TO, True), (None, True), (FROM, True)]
    pieces, url = b"abcdefghij", ""
    for number, (way, is_stored) in enumerate([*states, (None, False)]):
        app = make(way, is_stored=is_stored)
        tus = Tus(signed_in(app, "alice"))
        url = url or tus.begin(len(pieces), filename="pieces.txt")
        assert tus.send("HEAD", url).headers["Upload-Offset"] == str(2 * number)
        assert tus.add(url, 2 * number, pieces[2 * number : 2 * number + 2]).status_code == 204
        if way:
            assert run(app, way)[0] == 0
    with app.app_context():
        assert contents()["pieces.txt"] == pieces


@pytest.mark.usefixtures("on_disk")
def test_a_download_that_has_begun_ends(make: Make) -> None:
    """It has the file open."""
    app = make(TO)
    with app.app_context():
        file = file_of("4.txt")
        with current_storage().open(file.storage_key) as content:
            assert content.read(10) == b"4" * 10
            assert run(app, TO)[0] == 0
            assert len(content.read(1000)) == 390
        with current_storage().open(file.storage_key) as content:
            assert len(content.read(1000)) == 400


@pytest.mark.postgresql("several hosts share it")
@pytest.mark.usefixtures("in_bucket")
def test_files_come_back_to_one_host(make: Make, tmp_path: Path, data: Path) -> None:
    app = make(FROM)
    address, other = app.config["DATABASE"], tmp_path.resolve() / "other"
    other.mkdir(0o700)
    (other / "secret_key").touch(0o600)
    (other / "secret_key").write_bytes((data / "secret_key").read_bytes())
    result = app.test_cli_runner().invoke(portal, ["move-from-store"])
    assert (result.exit_code, "--only-host" in result.output) == (1, True)
    stored = {key: app.config[key] for key in ("STORE", "STORE_KEYS_FILE")}
    there = {"DATA": str(other), "DATABASE": address, **stored}
    for way in (None, TO, FROM):
        with pytest.raises(SettingError, match="data folder of another host"):
            create_app({**there, "STORE_MOVING": way})
    assert run(app, FROM)[0] == 0
    make(is_stored=False)  # which ends it
    assert not (data / "moving").exists()
