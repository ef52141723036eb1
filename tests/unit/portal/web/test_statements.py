"""Each page asks the database as often for a hundred rows as for ten, and only a few times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from portal import create_app
from portal.accounts import accounts, invitations
from portal.core.database import db
from portal.core.models import FileRequest, Folder, Role, Share, StoredFile, now
from portal.files import entries
from portal.identity import passwords
from portal.sharing import links
from tests.support.portal import PASSWORD, cheap_hasher, prepare, signed_in, upload
from tests.support.portal import links as listed

MOST = 7
FEW, MANY = 10, 100


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Note each statement of a block."""
    noted: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("PRAGMA"):  # which reads no table
            noted.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield noted
    event.remove(engine, "before_cursor_execute", note)


def fill(count: int) -> dict[str, str]:
    """Give root a folder of files, as many in the trash, links and accounts; return addresses."""
    root = accounts.find("root")
    assert root
    home = entries.root_folder(root.id)
    folder = entries.place(Folder(name="Many"), home)
    for number in range(count):
        _place(folder, f"page {number}.txt")
        trashed = _place(home, f"old {number}.txt")
        trashed.trash_id, trashed.trashed_at = trashed.id, now()
        links.create(Share, folder)
        links.create(FileRequest, folder)
        invitations.create_invitation(Role.MEMBER, None, "")
        accounts.create(f"member-{number}", PASSWORD)
    db.session.commit()
    file = db.session.scalars(select(StoredFile).where(StoredFile.name == "page 0.txt")).one()
    return {
        "list": f"/folders/{folder.public_id}",
        "search": "/search?q=page",
        "trash": "/trash",
        "links": "/links",
        "activity": "/activity",
        "everybody's activity": "/accounts/activity",
        "accounts": "/accounts",
        "invitations": "/invitations",
        "account": "/account",
        "move": f"/move?entry={file.public_id}",
        "details": f"/entries/{file.public_id}",
        "details of a folder": f"/entries/{folder.public_id}",
        "unfinished": "/unfinished",
        "shared": f"/s/{links.create(Share, folder)[1]}",
        "asked for": f"/r/{links.create(FileRequest, folder)[1]}",
    }


def _place(folder: Folder, name: str) -> StoredFile:
    file = StoredFile(name=name, size=1, mimetype="text/plain", sha256="", storage_key=name)
    return entries.place(file, folder)


def asked(app: Flask, client: FlaskClient, address: str) -> list[str]:
    """Return what a page asks the database, where the one before has opened a link."""
    address = client.get(address).location or address
    with statements(app) as noted:
        assert client.get(address).status_code == 200
    return noted


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", cheap_hasher())
        for count in (FEW, MANY):
            data = tmp_path_factory.mktemp(f"{count}").resolve() / "data"
            settings = {"TESTING": True, "DATA": str(data), "SESSION_COOKIE_SECURE": False}
            app = create_app(settings)
            prepare(app)
            with app.app_context():
                accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
                addresses = fill(count)
            client = signed_in(app, "root")
            for name, address in addresses.items():
                found.setdefault(name, []).append(asked(app, client, address))
    return found


PAGES = (
    *("list", "search", "trash", "links", "activity", "everybody's activity", "accounts"),
    *("invitations", "account", "move", "details", "details of a folder", "unfinished"),
    *("shared", "asked for"),
)


@pytest.mark.parametrize("page", PAGES)
def test_page_asks_as_often_for_many_rows_as_for_a_few(
    page: str, numbers: dict[str, list[list[str]]]
) -> None:
    few, many = numbers[page]
    assert many == few
    assert len(many) <= MOST, many


def test_all_pages_are_counted(numbers: dict[str, list[list[str]]]) -> None:
    assert set(numbers) == set(PAGES)


def test_download_asks_once(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    address = listed(alice)["a.txt"]
    with statements(app) as noted, alice.get(address) as response:
        assert response.status_code == 200
    assert len(noted) == 1, noted
