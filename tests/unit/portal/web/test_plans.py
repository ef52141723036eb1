"""How PostgreSQL finds what pages ask for: with large tables, it reads none from end to end."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from portal.accounts import accounts
from portal.core.database import db, take_time
from portal.core.models import Entry, Folder, Role
from portal.files import entries
from tests.support.portal import PASSWORD, signed_in
from tests.support.statements import addresses_of_pages

pytestmark = pytest.mark.postgresql("its plans")

ROWS = 20_000
_MANY = """
-- A folder has so many files, and the trash, the record tells of them, and uploads have ended.
INSERT INTO entry (public_id, owner_id, parent_id, is_file, name, name_key, search_key, sort_key,
    size, created_at, mimetype, sha256, storage_key)
SELECT concat('p', n), :owner, :folder, true, concat('N', n), concat('n', n), concat('n', n),
    lpad(concat(n), 9, '0'), n % 97, localtimestamp - n * interval '1s', 'text/plain', '',
    concat('k', n)
FROM generate_series(1, :rows) n;
INSERT INTO entry (public_id, owner_id, parent_id, is_file, name, name_key, size, created_at,
    mimetype, sha256, storage_key, id, trash_id, trashed_at)
SELECT concat('t', n), :owner, :home, true, concat('O', n), concat('o', n), 1, localtimestamp,
    'text/plain', '', concat('o', n), 1000000 + n, 1000000 + n, localtimestamp - n * interval '1s'
FROM generate_series(1, :rows) n;
INSERT INTO activity (at, action, actor, address, owner_id, entry, name, detail, actor_key, link)
SELECT localtimestamp, 'upload', 'root', '', :owner, concat('p', n), concat('N', n), '', 'root',
    concat('s', n % 100)
FROM generate_series(1, :rows) n;
INSERT INTO upload (public_id, owner_id, folder_id, name, size, client_metadata, part_key, arrived,
    used_at, finished_at)
SELECT concat('u', n), :owner, :folder, 'x', 1, '', concat('u', n), 1, localtimestamp,
    localtimestamp
FROM generate_series(1, :rows) n;
INSERT INTO share (owner_id, public_id, token_hash, note, created_at, entry_id, downloads)
SELECT :owner, concat('s', n), concat('s', n), '', localtimestamp, :file, 0
FROM generate_series(1, :rows) n;
ANALYZE
"""
# They compare a part of each name of an account, with SQLite as well.
_READ_ALL = {"search"}


@pytest.fixture
def pages(app: Flask) -> dict[str, str]:
    """The addresses of pages of somebody who has much."""
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        found = addresses_of_pages(5)
        folder = db.session.scalars(sa.select(Folder).where(Folder.name == "Many")).one()
        home = entries.root_folder(folder.owner_id)
        file = db.session.scalars(sa.select(Entry.id).where(Entry.name == "page 4.pdf")).one()
        take_time()
        values = {"owner": folder.owner_id, "folder": folder.id, "home": home.id, "file": file}
        for statement in _MANY.split(";"):
            db.session.execute(sa.text(statement), {**values, "rows": ROWS})
        db.session.commit()
    many = found["list"]
    sorted_ = {f"list by {one}": f"{many}?sort={one}&order=descending" for one in ("size", "date")}
    return {**found, **sorted_, "list, middle": f"{many}?after=p10000", "file": "/entries/p10000"}


def test_no_page_reads_a_table_from_end_to_end(app: Flask, pages: dict[str, str]) -> None:
    client = signed_in(app, "root")
    wrong = []
    for name, address in pages.items():
        address = client.get(address).location or address
        for statement, plan in plans(app, client, address):
            read = re.findall(r"Seq Scan on (?:entry|activity|upload|share\b)", plan)
            if read and name not in _READ_ALL:
                wrong.append((name, read, statement[:200]))
    assert wrong == []


def plans(app: Flask, client: FlaskClient, address: str) -> list[tuple[str, str]]:
    """Return the statements of a page, and how each is run."""
    noted: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, given: Any, *_: object) -> None:
        noted.append((statement, given))

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", note)
        with client.get(address) as response:
            assert response.status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", note)
        with db.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            return [
                (statement, str(driver.execute(f"EXPLAIN {statement}", given).fetchall()))
                for statement, given in noted
                if statement.startswith(("SELECT", "WITH")) and "set_config" not in statement
            ]
