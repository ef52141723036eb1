"""ZIPs of folders, as the pages of the files in them tell of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.activity import report
from portal.activity.record import record
from portal.core.models import Entry, Folder, StoredFile
from portal.files import entries, trash, tree
from tests.support.portal import choose, links, make_folder, public_id, upload
from tests.support.stored import root, store


class Things(NamedTuple):
    """What there is."""

    root: Folder
    outer: Folder
    inner: Folder
    file: StoredFile
    other: Folder


@pytest.fixture
def things(app: Flask) -> Iterator[Things]:
    """Return the folders Outer and Other, Inner in Outer, and a file in Inner."""
    with app.app_context():
        outer = entries.place(Folder(name="Outer"), root("alice"))
        inner = entries.place(Folder(name="Inner"), outer)
        file = store("alice", "a.txt")
        entries.move([file], inner)
        other = entries.place(Folder(name="Other"), root("alice"))
        yield Things(root("alice"), outer, inner, file, other)


def zipped(file: Entry) -> list[str]:
    """Return the names of what the ZIPs were made of that a file was in, the first first."""
    around = [step.public_id for step in tree.path_to(file.id)][:-1]
    return [activity.name for activity in reversed(report.history(file, around).zips)]


def archive(*selected: Entry) -> None:
    record("archive", *selected, actor="alice")


def test_zip_counts_for_what_was_in_it(things: Things) -> None:
    for thing in things:
        archive(thing)
    assert zipped(things.file) == ["", "Outer", "Inner", "a.txt"]
    assert zipped(things.inner) == ["", "Outer", "Inner"]
    assert zipped(things.other) == ["", "Other"]
    late = store("alice", "late.txt")
    entries.move([late], things.inner)
    assert zipped(late) == []


def test_zip_does_not_count_for_what_was_elsewhere(things: Things) -> None:
    file, inner, other = things.file, things.inner, things.other
    archive(other, things.root)
    entries.move([inner], other)
    record("move", inner, actor="alice")
    assert zipped(file) == [""]
    archive(inner, other)
    assert zipped(file) == ["", "Inner", "Other"]
    entries.move([file], things.root)
    record("move", file, actor="alice")
    assert zipped(file) == [""]


def test_zip_does_not_count_for_what_was_in_the_trash(things: Things) -> None:
    file, inner = things.file, things.inner
    archive(things.outer)
    trash.put([inner])
    record("trash", inner, actor="alice")
    archive(things.outer, things.root)
    trash.restore(inner)
    record("restore", inner, actor="alice")
    archive(inner)
    assert zipped(file) == ["Outer", "Inner"]


def test_details_tell_of_zips_beside_downloads(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Projects")
    upload(alice, "a.txt", page=folder)
    upload(alice, "b.txt", page=folder)
    file = links(alice, folder)["a.txt"]
    page = f"/entries/{public_id(file)}"
    assert "Not downloaded yet." in alice.get(page).text
    alice.get(f"{folder}/zip").close()
    said = alice.get(page).text
    assert "Not downloaded by itself. Downloaded in 1 ZIP, the last on" in " ".join(said.split())
    assert ": archive of <bdi>Projects</bdi> by <bdi>alice</bdi>" in said
    choose(alice, "zip", file).close()
    alice.get(file).close()
    said = " ".join(alice.get(page).text.split())
    assert "1 download, still being confirmed." in said
    assert "Downloaded in 2 ZIPs, the last on" in said
    assert ": archive by <bdi>alice</bdi>" in said
    home = alice.get(f"/entries/{public_id(folder)}").text
    assert "Downloaded in 1 ZIP" in home
    assert "Not downloaded" not in home
    beside = alice.get(f"/entries/{public_id(links(alice, folder)['b.txt'])}").text
    assert "Downloaded in 1 ZIP" in beside
