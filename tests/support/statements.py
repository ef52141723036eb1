"""What each page asks the database, with some rows in every list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from portal import create_app
from portal.accounts import accounts, invitations
from portal.activity.record import record
from portal.core.database import db, is_sqlite
from portal.core.models import FileRequest, Folder, Role, Share, StoredFile, now
from portal.files import entries
from portal.sharing import links

from .portal import PASSWORD, prepare, signed_in

_VALUE = re.compile(r"'(?:[^']|'')*'|\b[0-9]+\b")
_READ_OR_WRITE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")


def statements_of_pages(data: Path, rows: int) -> dict[str, list[str]]:
    """Return the statements of each page, by its name, in a portal that is created for it."""
    app = create_app({"TESTING": True, "DATA": str(data), "SESSION_COOKIE_SECURE": False})
    prepare(app)
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        addresses = addresses_of_pages(rows)
    client = signed_in(app, "root")
    return {name: _asked(app, client, address) for name, address in addresses.items()}


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Note each statement of a block, without its values, whoever has the database run it."""
    noted: list[str] = []

    def note(statement: str) -> None:
        if statement.lstrip().startswith(_READ_OR_WRITE) and "set_config" not in statement:
            noted.append(_VALUE.sub("?", statement))

    with app.app_context():
        listeners = _listeners(note) if is_sqlite() else _listeners_of_a_server(note)
        engine = db.engine
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    yield noted
    for name, listener in listeners.items():
        event.remove(engine, name, listener)


def _listeners(note: Callable[[str], None]) -> dict[str, Callable[..., None]]:
    def listen(connection: Any, *_: object) -> None:
        connection.set_trace_callback(note)

    def leave(connection: Any, *_: object) -> None:
        connection.set_trace_callback(None)

    return {"checkout": listen, "checkin": leave}


def _listeners_of_a_server(note: Callable[[str], None]) -> dict[str, Callable[..., None]]:
    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        note(statement)

    return {"before_cursor_execute": listen}


def addresses_of_pages(count: int) -> dict[str, str]:
    """Give root a folder of files, as many in the trash, links and accounts; return addresses."""
    root = accounts.find("root")
    assert root
    home = entries.root_folder(root.id)
    folder = entries.place(Folder(name="Many"), home)
    named, _ = links.create(Share, folder, name="For the auditor")
    for number in range(count):
        record("archive", folder, actor="", via=links.via(named))
        _place(folder, f"page {number}.pdf")
        trashed = _place(home, f"old {number}.txt")
        trashed.trash_id, trashed.trashed_at = trashed.id, now()
        links.create(Share, folder)
        links.create(FileRequest, folder)
        invitations.create_invitation(Role.MEMBER, None, "")
        accounts.create(f"member-{number}", PASSWORD)
    db.session.commit()
    file = db.session.scalars(select(StoredFile).where(StoredFile.name == "page 0.pdf")).one()
    return {
        "list": f"/folders/{folder.public_id}",
        "search": "/search?q=page",
        "trash": "/trash",
        "links": "/links",
        "activity": "/activity",
        "activity of a link": f"/activity?link={named.public_id}",
        "share": f"/entries/{folder.public_id}/share",
        "everybody's activity": "/accounts/activity",
        "accounts": "/accounts",
        "invitations": "/invitations",
        "account": "/account",
        "move": f"/move?entry={file.public_id}",
        "seen": f"/files/{file.public_id}/view",
        "details": f"/entries/{file.public_id}",
        "details of a folder": f"/entries/{folder.public_id}",
        "unfinished": "/unfinished",
        "shared": f"/s/{links.create(Share, folder)[1]}",
        "asked for": f"/r/{links.create(FileRequest, folder)[1]}",
    }


def _place(folder: Folder, name: str) -> StoredFile:
    file = StoredFile(name=name, size=1, mimetype="text/plain", sha256="", storage_key=name)
    return entries.place(file, folder)


def _asked(app: Flask, client: FlaskClient, address: str) -> list[str]:
    """Return what a page asks the database, where the one before has opened a link."""
    address = client.get(address).location or address
    with statements(app) as noted:
        assert client.get(address).status_code == 200
    return noted
