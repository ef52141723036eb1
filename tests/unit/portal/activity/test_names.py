"""What those who run the portal learn of other people's files: no name, and no note."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from portal.accounts import accounts
from portal.activity.record import record
from portal.cli import portal as commands
from portal.core import references
from portal.core.database import db
from portal.core.models import Activity, Role, StoredFile
from tests.support import postgresql
from tests.support.portal import (
    PASSWORD,
    Run,
    choose,
    folders,
    kept,
    links,
    make_folder,
    public_id,
    signed_in,
    token,
    upload,
)

SECRET = "Kündigung"
"""In every name and note that alice writes."""
WORD = re.compile("k(ü|%C3%BC|\\\\xfc|&#252;)ndigung", re.IGNORECASE)


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def post(client: FlaskClient, address: str, **form: str) -> str:
    fields = {"csrf_token": token(client), **form}
    answer = client.post(address, data=fields, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.fixture
def busy(app: Flask, alice: FlaskClient) -> FlaskClient:
    """alice, after she did everything that the record has a word for with names of hers."""
    for name in ("1", "2", "3"):
        upload(alice, f"{SECRET} {name}.txt")
    folder = make_folder(alice, f"{SECRET} folder")
    found = links(alice)
    first, second, third = (found[f"{SECRET} {name}.txt"] for name in ("1", "2", "3"))
    post(alice, f"/entries/{public_id(first)}/rename", name=f"{SECRET} new.txt")
    ids = {"entry": public_id(first), "folder": public_id(folder)}
    post(alice, "/move", **ids)
    for address in (second, f"{second}/preview"):
        alice.get(address).close()
    alice.get(second, headers={"Range": "bytes=1-"}).close()
    alice.get(f"{folder}/zip").close()
    choose(alice, "trash", second)
    post(alice, f"/trash/{public_id(second)}/restore")
    choose(alice, "trash", third)
    post(alice, f"/trash/{public_id(third)}/delete")
    shown = post(alice, f"/entries/{public_id(folder)}/share", note=SECRET, password=PASSWORD)
    visit(app, shown, alice)
    asked = post(alice, f"{folder}/request", note=SECRET)
    visit(app, asked, alice)
    post(alice, "/trash/empty")
    return alice


def visit(app: Flask, shown: str, alice: FlaskClient) -> None:
    """Open a link, give a wrong password if it has one, change the link, and revoke it."""
    found = re.search(r">http://localhost(/[rs]/[^<]+)<", shown)
    assert found
    visitor = app.test_client()
    page = visitor.get(found[1], follow_redirects=True)
    if "password" in page.text:
        fields = {"csrf_token": token(visitor), "password": "wrong"}
        visitor.post(f"{page.request.path}/unlock", data=fields)
    for change in set(
        re.findall(r'"(/links/(?:shares|requests)/[\w-]+)"', alice.get("/links").text)
    ):
        post(alice, change, note=f"{SECRET} again")
        post(alice, f"{change}/revoke")


def test_every_page_of_an_administrator_is_without_names(
    app: Flask, busy: FlaskClient, root: FlaskClient
) -> None:
    del busy
    with app.app_context():
        alice = accounts.find("alice")
        assert alice
        rows = db.session.scalars(select(Activity).where(Activity.owner_id == alice.id)).all()
    assert any(WORD.search(row.name) for row in rows)
    assert len({row.action for row in rows if row.entry}) >= 16
    pages = ["/accounts", f"/accounts/{alice.id}", f"/accounts/{alice.id}/delete", "/search"]
    pages += ["/accounts/activity", "/accounts/activity.csv", "/activity", "/invitations", "/links"]
    for page in pages:
        answer = root.get(page)
        assert answer.status_code == 200, page
        assert not WORD.search(answer.text), page
    shown = root.get("/accounts/activity").text
    for row in rows:
        assert row.entry is None or f"<code>{references.reference(row.entry)}</code>" in shown
        assert row.entry is None or row.entry not in shown  # what opens it is not for them, either


def test_filter_tells_an_administrator_no_letter_of_a_name(
    busy: FlaskClient, root: FlaskClient
) -> None:
    del busy
    for page in ("/accounts/activity", "/accounts/activity.csv"):
        nothing = _shown(root, page, "x" * 20)
        for letters in (SECRET, "K", ".txt", "%", "_", "\\"):
            assert _shown(root, page, letters) == nothing, letters


def _shown(root: FlaskClient, path: str, name: str) -> str:
    """Return a page without its query."""
    page = root.get(path, query_string={"name": name}, buffered=True).text
    return re.sub('(value|content|data-token)="[^"]*"', "", re.sub(r"name=[^\"&]*", "", page))


def test_reference_finds_the_same_lines_for_both(
    app: Flask, busy: FlaskClient, root: FlaskClient
) -> None:
    with app.app_context():
        file = db.session.scalars(select(StoredFile).where(StoredFile.name.contains("new"))).one()
    wanted = references.reference(file.public_id)
    lines = [
        root.get(f"/accounts/activity.csv?name={wanted}").text.splitlines(),
        busy.get(f"/activity.csv?name={wanted}").text.splitlines(),
    ]
    assert len(lines[0]) == len(lines[1]) > 3
    assert WORD.search(lines[1][1])


def test_account_page_says_what_administrators_see(app: Flask, alice: FlaskClient) -> None:
    assert "See neither the names of your files nor what is in them" in alice.get("/account").text
    app.config["ADMINISTRATORS_SEE_NAMES"] = True
    assert "See the names of your files" in alice.get("/account").text


def test_log_has_no_name(
    busy: FlaskClient, app: Flask, caplog: pytest.LogCaptureFixture, data: Path
) -> None:
    with caplog.at_level(logging.DEBUG):
        upload(busy, f"{SECRET}.txt")
        busy.get("/entries/unknown")
        for path in kept(data):
            path.unlink()
        for link in links(busy).values():
            assert busy.get(link).status_code == 500
        busy.get(f"{next(iter(folders(busy).values()))}/zip")
        with (
            app.app_context(),
            patch.object(db.session, "commit", side_effect=_full_disk(app)),
            patch("portal.activity.record.db.session.rollback"),
            patch("portal.activity.spool.Spool.append", return_value=False),
        ):
            record("upload", db.session.scalars(select(StoredFile)).first(), actor="alice")  # type: ignore[arg-type]
    assert "upload: " in caplog.text
    assert "content" in caplog.text
    assert "not recorded" in caplog.text
    assert not WORD.search(caplog.text)


def _full_disk(app: Flask) -> OperationalError:
    """Return the error of an insertion that has a name among its values."""
    with app.app_context():
        try:
            db.session.execute(Activity.__table__.insert(), {"action": None, "name": SECRET})  # type: ignore[attr-defined]
        except Exception as error:
            text = str(error)
        else:
            raise AssertionError("the row was stored")
        assert not WORD.search(text)
        return OperationalError(text, {}, Exception(text))


def test_commands_print_no_name(
    busy: FlaskClient, app: Flask, run: Run, data: Path, tmp_path: Path
) -> None:
    upload(busy, f"{SECRET} damaged.txt")
    for path in kept(data):
        path.write_bytes(b"")
    with app.app_context():
        inner = db.session.scalars(select(StoredFile).where(StoredFile.name.contains("new"))).one()
        inner.trash_id = inner.id  # in the trash, but not since any time
        db.session.commit()
    printed = ""
    for words in (
        ["check", "--content"],
        ["check", "--repair", "--json"],
        ["backup", str(tmp_path / "backup.tar")],
        ["accounts", "--json"],
        ["quota"],
        ["trash"],
        ["cleanup"],
        ["trash", "--empty", "alice"],
        ["delete-account", "alice", "--yes"],
    ):
        status, out, err = run(*words)
        assert status in {0, 1}, err
        printed += out + err
    of_a_backup = [] if postgresql.SERVER else ["Damaged: "]  # which a server refuses
    assert {"size: ", "folder: ", *of_a_backup} <= set(re.findall(r"^\w+: ", printed, re.MULTILINE))
    assert not WORD.search(printed)
    assert set(commands.commands) >= {"check", "backup", "trash"}
