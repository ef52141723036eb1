"""What changes files is in the record, or was not done: whenever somebody is killed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError

from portal.core.database import db
from portal.core.models import FileRequest, Folder
from portal.sharing.links import create as create_link
from tests.support.portal import (
    choose,
    folder_id,
    folders,
    kept,
    links,
    make_folder,
    post_folder,
    public_id,
    token,
    upload,
)
from tests.support.tus import Sender, Tus, words

Change = Callable[[Flask, FlaskClient], None]


def upload_by_form(_app: Flask, alice: FlaskClient) -> None:
    upload(alice, "new.txt")


def upload_in_pieces(_app: Flask, alice: FlaskClient) -> None:
    tus = Tus(alice)
    url = tus.begin(4, filename="new.txt", folder=folder_id(alice))
    tus.add(url, 0, b"news")


def replace_by_form(_app: Flask, alice: FlaskClient) -> None:
    upload(alice, "old.txt", taken="replace")


def replace_in_pieces(_app: Flask, alice: FlaskClient) -> None:
    tus = Tus(alice)
    url = tus.begin(4, filename="old.txt", folder=folder_id(alice), replace="yes")
    tus.add(url, 0, b"news")


def replace_in_a_group(_app: Flask, alice: FlaskClient) -> None:
    said = words(filename="old.txt", folder=folder_id(alice), replace="yes")
    form = {"metadata": said, "file": (io.BytesIO(b"news"), "file")}
    alice.post("/uploads/groups/", data=form, headers={"X-CSRFToken": token(alice)})


def version(alice: FlaskClient) -> str:
    page = f"/entries/{public_id(links(alice)['old.txt'])}"
    found = re.search(rf'"({page}/versions/[^/"]+)"', alice.get(page).text)
    assert found
    return found[1]


def restore_a_version(_app: Flask, alice: FlaskClient) -> None:
    alice.post(f"{version(alice)}/restore", data={"csrf_token": token(alice)})


def delete_a_version(_app: Flask, alice: FlaskClient) -> None:
    alice.post(f"{version(alice)}/delete", data={"csrf_token": token(alice)})


def delete_all_versions(_app: Flask, alice: FlaskClient) -> None:
    alice.post("/trash/versions/delete", data={"csrf_token": token(alice)})


def visitor(app: Flask, alice: FlaskClient) -> Sender:
    inbox = Folder.public_id == public_id(folders(alice)["Folder"])
    with app.app_context():
        _, secret = create_link(FileRequest, db.session.scalars(select(Folder).where(inbox)).one())
    return Sender(app, f"/r/{secret}")


def upload_by_a_link(app: Flask, alice: FlaskClient) -> None:
    sender = visitor(app, alice)
    content = io.BytesIO(b"news")
    form = {"csrf_token": token(sender.client, sender.page), "file": (content, "new.txt")}
    sender.client.post(f"/uploads{sender.page}", data=form)


def upload_in_pieces_by_a_link(app: Flask, alice: FlaskClient) -> None:
    sender = visitor(app, alice)
    sender.add(sender.begin(4, filename="new.txt"), 0, b"news")


def create_a_folder(_app: Flask, alice: FlaskClient) -> None:
    post_folder(alice, "New")


def rename(_app: Flask, alice: FlaskClient) -> None:
    form = {"csrf_token": token(alice), "name": "renamed.txt"}
    alice.post(f"/entries/{public_id(links(alice)['old.txt'])}/rename", data=form)


def move(_app: Flask, alice: FlaskClient) -> None:
    there = public_id(folders(alice)["Folder"])
    form = {"csrf_token": token(alice), "entry": public_id(links(alice)["old.txt"])}
    alice.post(f"/move?folder={there}", data=form | {"folder": there})


def trash(_app: Flask, alice: FlaskClient) -> None:
    choose(alice, "trash", links(alice)["old.txt"])


def trashed(alice: FlaskClient) -> str:
    found = re.search(r"/trash/([^/\"]+)/delete", alice.get("/trash").text)
    assert found
    return found[1]


def restore(_app: Flask, alice: FlaskClient) -> None:
    alice.post(f"/trash/{trashed(alice)}/restore", data={"csrf_token": token(alice)})


def delete(_app: Flask, alice: FlaskClient) -> None:
    alice.post(f"/trash/{trashed(alice)}/delete", data={"csrf_token": token(alice)})


def empty(_app: Flask, alice: FlaskClient) -> None:
    alice.post("/trash/empty", data={"csrf_token": token(alice)})


CHANGES: dict[str, tuple[Change, ...]] = {
    "upload": (
        *(upload_by_form, upload_in_pieces),
        *(upload_by_a_link, upload_in_pieces_by_a_link),
    ),
    "replace": (replace_by_form, replace_in_pieces, replace_in_a_group),
    "restore version": (restore_a_version,),
    "delete version": (delete_a_version, delete_all_versions),
    "create folder": (create_a_folder,),
    "rename": (rename,),
    "move": (move,),
    "trash": (trash,),
    "restore": (restore,),
    "delete": (delete, empty),
}


def state(app: Flask, data: Path) -> object:
    """Return what is stored of files: rows, content and what uploads are finished."""
    with app.app_context():
        said = (
            "SELECT name, parent_id, trash_id, version_of, storage_key FROM entry ORDER BY id",
            "SELECT used FROM account ORDER BY id",
            "SELECT coalesce(sum(files), 0) FROM file_request",
            "SELECT finished_at FROM upload WHERE finished_at IS NOT NULL",
        )
        rows = [db.session.execute(text(one)).all() for one in said]
        db.session.rollback()
    return rows, sorted(path.name for path in kept(data))


def actions(app: Flask) -> list[str]:
    with app.app_context():
        found = db.session.scalars(text("SELECT action FROM activity ORDER BY id")).all()
        db.session.rollback()
    return list(found)


@contextmanager
def killed_before(app: Flask, action: str) -> Iterator[None]:
    """Have an action's line in the record fail, as if the process ended there."""

    def fail(_connection: object, _cursor: object, said: str, values: object, *_: object) -> None:
        if said.startswith("INSERT INTO activity") and repr(action) in repr(values):
            raise DBAPIError.instance(said, None, OSError("killed"), OSError)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


@pytest.mark.parametrize(
    ("action", "change"), [(name, one) for name, changes in CHANGES.items() for one in changes]
)
def test_change_is_recorded_or_was_not_made(
    action: str, change: Change, app: Flask, alice: FlaskClient, data: Path
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(2):
        upload(alice, "old.txt", taken="replace")
    upload(alice, "older.txt")
    make_folder(alice, "Folder")
    choose(alice, "trash", links(alice)["older.txt"])
    before, recorded = state(app, data), actions(app)

    with killed_before(app, action):
        change(app, alice)
    assert state(app, data) == before
    assert action not in actions(app)[len(recorded) :]

    change(app, alice)
    assert state(app, data) != before
    assert actions(app)[len(recorded) :].count(action) == 1


@pytest.mark.postgresql("how it commits")
@pytest.mark.parametrize("change", CHANGES["upload"])
def test_content_stays_where_the_answer_to_a_commit_was_lost(
    change: Change, app: Flask, alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(alice, "Folder")
    with app.app_context():
        dialect = db.engine.dialect
    really = dialect.do_commit

    def lose_the_answer(connection: Any) -> None:
        new = connection.execute("SELECT count(*) FROM entry WHERE name = 'new.txt'").fetchone()
        really(connection)
        if new == (1,) and not lost:
            lost.append(True)
            raise psycopg.OperationalError("the connection is lost")

    lost: list[bool] = []
    monkeypatch.setattr(dialect, "do_commit", lose_the_answer)
    change(app, alice)
    assert lost
    (stored,) = kept(data)
    with app.app_context():
        key = text("SELECT storage_key FROM entry WHERE name = 'new.txt'")
        assert db.session.scalars(key).all() == [stored.name]
        counted = db.session.scalar(text("SELECT coalesce(sum(files), 0) FROM file_request"))
        assert counted == ("by_a_link" in change.__name__)
    assert actions(app).count("upload") == 1
