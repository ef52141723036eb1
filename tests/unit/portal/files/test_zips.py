"""ZIPs: what is in them, under which names, and that none looks whole that is not."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import Account, Entry, Folder, StoredFile
from portal.files import entries, names, zips
from portal.storage.base import ContentLostError
from portal.storage.disk import Disk
from portal.web import places
from tests.support.portal import (
    choose,
    folder_id,
    kept,
    links,
    make_folder,
    prepare,
    signed_in,
    upload,
)
from tests.support.zips import BEHIND, LARGE, large_zip

MIB = 1024**2


def unzipped(response: TestResponse) -> dict[str, bytes]:
    assert response.status_code == 200
    assert response.mimetype == "application/zip"
    assert int(response.headers["Content-Length"]) == len(response.data)
    with zipfile.ZipFile(io.BytesIO(response.data)) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


@pytest.fixture
def tree_of_alice(alice: FlaskClient) -> str:
    """Create a folder with a file, an empty folder and a folder with two files in it."""
    page = make_folder(alice, "Übersicht")
    make_folder(alice, "Empty", page)
    inner = make_folder(alice, "Inner", page)
    upload(alice, "a.txt", b"a" * 1000, page=page)
    upload(alice, "日本.txt", b"", page=inner)
    upload(alice, "b.bin", bytes(range(256)) * 999, page=inner)
    return page


def test_folder_comes_whole(tree_of_alice: str, alice: FlaskClient) -> None:
    response = alice.get(f"{tree_of_alice}/zip")
    assert unzipped(response) == {
        "Übersicht/Empty/": b"",
        "Übersicht/a.txt": b"a" * 1000,
        "Übersicht/Inner/日本.txt": b"",
        "Übersicht/Inner/b.bin": bytes(range(256)) * 999,
    }
    disposition = response.headers["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert "filename*=UTF-8''%C3%9Cbersicht.zip" in disposition
    with zipfile.ZipFile(io.BytesIO(response.data)) as found:
        assert all(one.flag_bits & 0x800 for one in found.infolist())  # names are UTF-8
        assert all(one.compress_type == zipfile.ZIP_STORED for one in found.infolist())


def test_all_of_the_root_folder_comes(tree_of_alice: str, alice: FlaskClient) -> None:
    assert tree_of_alice
    upload(alice, "top.txt", b"1")
    response = alice.get(f"/folders/{folder_id(alice)}/zip")
    assert {"top.txt", "Übersicht/a.txt"} < set(unzipped(response))
    assert "My files.zip" in response.headers["Content-Disposition"]


def test_empty_root_folder_is_an_empty_zip(alice: FlaskClient) -> None:
    assert unzipped(alice.get(f"/folders/{folder_id(alice)}/zip")) == {}


def test_selection_comes(tree_of_alice: str, alice: FlaskClient) -> None:
    upload(alice, "top.txt", b"1")
    upload(alice, "other.txt", b"2")
    response = choose(alice, "zip", links(alice)["top.txt"], tree_of_alice)
    assert {"top.txt", "Übersicht/a.txt"} < (names := set(unzipped(response)))
    assert "other.txt" not in names
    assert "Files.zip" in response.headers["Content-Disposition"]


def test_what_is_chosen_with_its_folder_comes_once(tree_of_alice: str, alice: FlaskClient) -> None:
    inside = links(alice, tree_of_alice)["a.txt"]
    found = unzipped(choose(alice, "zip", inside, tree_of_alice))
    assert sorted(name for name in found if name.endswith("a.txt")) == ["Übersicht/a.txt"]


def test_trash_is_left_out(tree_of_alice: str, alice: FlaskClient) -> None:
    choose(alice, "trash", links(alice, tree_of_alice)["a.txt"])
    assert "Übersicht/a.txt" not in unzipped(alice.get(f"{tree_of_alice}/zip"))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("..", "unnamed"),
        (".", "unnamed"),
        (".. ", "unnamed"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..\\..\\boot.ini", ".._.._boot.ini"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\x", "C__x"),
        ("a:b", "a_b"),
        ("a\0b\nc", "a_b_c"),
        ("a. . ", "a"),
        ("", "unnamed"),
        (".htaccess", ".htaccess"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        ("nul .tar.gz", "_nul .tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("lpt9", "_lpt9"),
        ("console.txt", "console.txt"),
        ("COM10", "COM10"),
        ("Übersicht 日本.txt", "Übersicht 日本.txt"),
    ],
)
def test_name_stays_one_component(name: str, safe: str) -> None:
    assert names.portable(name) == safe


def test_harmful_names_in_the_database_do_no_harm(
    app: Flask, tree_of_alice: str, alice: FlaskClient
) -> None:
    with app.app_context():
        for before, after in (("Inner", "../.."), ("b.bin", "..\\x"), ("a.txt", "/etc/passwd")):
            db.session.execute(update(Entry).where(Entry.name == before).values(name=after))
        db.session.commit()
    assert set(unzipped(alice.get(f"{tree_of_alice}/zip"))) == {
        "Übersicht/Empty/",
        "Übersicht/_etc_passwd",
        "Übersicht/.._/日本.txt",
        "Übersicht/.._/.._x",
    }


def test_no_two_names_differ_by_case_alone(alice: FlaskClient) -> None:
    page = make_folder(alice, "Folder")
    for name in ("a_b.txt", "A:b.txt", "a?B.txt"):
        upload(alice, name, page=page)
    make_folder(alice, "a*b.txt", page)
    found = unzipped(alice.get(f"{page}/zip"))
    assert len({name.rstrip("/").casefold() for name in found}) == len(found) == 4


@pytest.mark.disk("changes what lies there")
def test_pipe_in_the_place_of_a_file_hangs_nothing(
    tree_of_alice: str, alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = max(kept(data), key=lambda path: path.stat().st_size)
    largest.unlink()
    os.mkfifo(largest)
    page = alice.get(f"{tree_of_alice}/zip", follow_redirects=True).text
    assert "The content of Übersicht/Inner/b.bin is missing or damaged" in page
    monkeypatch.setattr(Disk, "holds", lambda *_: True)
    with pytest.raises(ContentLostError):
        _ = alice.get(f"{tree_of_alice}/zip").data


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    os.truncate(path, 100_000)


def _read_into(received: bytearray, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        received += piece


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.disk("changes what lies there")
@pytest.mark.parametrize("damage", [_remove, _cut])
def test_file_that_vanishes_meanwhile_leaves_a_zip_that_is_visibly_cut(
    damage: Callable[[Path], None], tree_of_alice: str, alice: FlaskClient, data: Path
) -> None:
    largest = max(kept(data), key=lambda path: path.stat().st_size)
    response = alice.get(f"{tree_of_alice}/zip", buffered=False)
    pieces = response.iter_encoded()
    received = bytearray(next(pieces))
    damage(largest)
    with pytest.raises(ContentLostError):
        _read_into(received, pieces)
    response.close()
    assert len(received) < int(response.headers["Content-Length"])
    assert not zipfile.is_zipfile(io.BytesIO(received))


def test_file_that_grows_meanwhile_comes_as_it_was(
    tree_of_alice: str, alice: FlaskClient, data: Path
) -> None:
    response = alice.get(f"{tree_of_alice}/zip", buffered=False)
    pieces = response.iter_encoded()
    received = next(pieces)
    _grow(max(kept(data), key=lambda path: path.stat().st_size))
    received += b"".join(pieces)
    response.close()
    with zipfile.ZipFile(io.BytesIO(received)) as found:
        assert found.read("Übersicht/Inner/b.bin") == bytes(range(256)) * 999


def test_too_many_entries_are_refused_in_words(make_app: Callable[..., Flask]) -> None:
    app = make_app(ARCHIVE_ENTRIES=3)
    prepare(app)
    alice = signed_in(app, "alice")
    page = make_folder(alice, "Folder")
    for name in ("a", "b"):
        upload(alice, name, page=page)
    assert set(unzipped(alice.get(f"{page}/zip"))) == {"Folder/a", "Folder/b"}
    upload(alice, "c", page=page)
    response = alice.get(f"{page}/zip")
    assert response.location == page
    text = alice.get(page).text
    assert "A ZIP can hold at most 3 items: files and folders" in text
    with app.app_context():
        places.take(1)  # the refused one holds none


def test_only_so_many_are_made_at_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(ARCHIVES_AT_ONCE=2)
    prepare(app)
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    url = {client: f"/folders/{folder_id(client)}/zip" for client in (alice, bob)}
    running = alice.get(url[alice], buffered=False)
    refused = alice.get(url[alice])
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "60"
    assert "as many ZIPs and other long answers as it can" in refused.text
    # One account cannot keep the other from its own.
    with bob.get(url[bob], buffered=False) as other:
        assert other.status_code == 200
    running.close()
    for method in ("GET", "HEAD", "HEAD", "GET"):
        with alice.open(url[alice], method=method) as response:
            assert response.status_code == 200


@pytest.mark.disk("boto3 takes more memory at its first use")
def test_zip_needs_little_memory(alice: FlaskClient, app: Flask, data: Path) -> None:
    page = make_folder(alice, "Folder")
    upload(alice, "a.bin", b"x", page=page)
    size = 256 * MIB
    os.truncate(kept(data)[0], size)
    with app.app_context():
        db.session.execute(update(StoredFile).values(size=size))
        db.session.commit()
    tracemalloc.start()
    try:
        with alice.get(f"{page}/zip", buffered=False) as response:
            received = sum(len(piece) for piece in response.iter_encoded())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received > size
    assert peak < 4 * MIB


def test_files_beyond_4_gib_come_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(large_zip(tmp_path, monkeypatch)) as found:
        assert found.getinfo("large.bin").file_size == LARGE
        assert found.getinfo("after.txt").header_offset > 2**32
        assert found.read("after.txt") == BEHIND


def test_ten_thousand_files_are_listed_quickly(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Many")
    upload(alice, "a.txt", b"1", page=page)
    with app.app_context():
        folder = db.session.scalars(select(Folder).where(Folder.name == "Many")).one()
        owner = db.session.get_one(Account, folder.owner_id)
        db.session.add_all(
            Folder(owner_id=owner.id, parent_id=folder.id, name=f"{n}") for n in range(9_998)
        )
        db.session.commit()
        start = time.perf_counter()
        assert len(zips.members([entries.current(folder)])) == 9_999
        assert time.perf_counter() - start < 5
