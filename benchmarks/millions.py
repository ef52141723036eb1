"""Pages over a PostgreSQL database with millions of entries, and over one with thousands."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest.mock import patch

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.database import db, take_time
from portal.core.models import Role
from portal.identity import passwords
from tests.support import postgresql
from tests.support.portal import PASSWORD, cheap_hasher, signed_in
from tests.support.statements import addresses_of_pages

from .results import Table

_FEW = 10_000
_OTHERS = 1000
"""Accounts that share the entries."""
_FILL = """
INSERT INTO entry (public_id, owner_id, parent_id, is_file, name, name_key, search_key, sort_key,
    size, created_at, mimetype, sha256, storage_key)
SELECT concat('p', n), 1000000000 + n % (:others)::bigint, 1000000000 + n % (:others)::bigint, true,
    concat('N', n), concat('n', n), concat('n', n), lpad(concat(n), 9, '0'), n % 97,
    localtimestamp - n * interval '1s', 'text/plain', '', concat('k', n)
FROM generate_series((:first)::bigint, (:last)::bigint) n;
INSERT INTO activity (at, action, actor, address, owner_id, entry, name, detail, actor_key)
SELECT localtimestamp - n * interval '1s', 'upload', 'other', '',
    1000000000 + n % (:others)::bigint, concat('p', n), concat('N', n), '', 'other'
FROM generate_series((:first)::bigint, (:last)::bigint) n
"""
_PEOPLE = """
INSERT INTO account (id, name, name_key, skeleton, password_hash, role, is_active, used, created_at)
SELECT 1000000000 + n, concat('other', n), concat('other', n), concat('other', n), '',
    'MEMBER', true, 0, localtimestamp FROM generate_series(0, :others - 1) n;
INSERT INTO entry (id, public_id, owner_id, is_file, name, name_key, size, created_at)
SELECT 1000000000 + n, concat('h', n), 1000000000 + n, false, '', '', 0, localtimestamp
FROM generate_series(0, :others - 1) n
"""


def millions(*, entries: int, times: int) -> Iterator[Table]:
    """Measure each page of somebody who has little, while others have more and more.

    :param entries: of all accounts, in the end; the record has as many lines.
    :param times: of each page.
    """
    few, many = f"{_FEW:,} entries", f"{entries:,} entries"
    table = Table(
        "millions",
        f"Milliseconds for a page, in one process, with PostgreSQL: the median of {times}, while"
        f" {_OTHERS:,} other accounts have {few}, and as many lines in the record; and {many}. Each"
        " row is a page, and each figure the second time ÷ the first.",
        "ratio",
        baseline="list",
        ours="list",
        less_is_better=True,
    )
    with _portal() as (app, client, pages):
        took = [_fill_and_time(app, client, pages, 1, _FEW, times)]
        took.append(_fill_and_time(app, client, pages, _FEW + 1, entries, times))
    for name in pages:
        table.add(name, took[1][name] / took[0][name])
        table.notes.append(f"{name}: {took[0][name]:.1f} ms and {took[1][name]:.1f} ms")
    most = max(table.rows, key=lambda name: table.rows[name][0])
    met = "met" if table.rows[most][0] <= 2 else "NOT MET"
    table.notes.append(
        f"{met}: {most} grew most, to {table.rows[most][0]:.2f} × what it took, the target ≤ 2"
    )
    yield table


@contextmanager
def _portal() -> Iterator[tuple[Flask, FlaskClient, dict[str, str]]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        postgresql.running(Path(tempfile.gettempdir())) as server,
        patch.object(passwords, "hasher", cheap_hasher()),
    ):
        server.execute("CREATE DATABASE portal")
        data = Path(folder).resolve() / "data"
        settings = {"DATA": str(data), "DATABASE": server.url("portal"), "TESTING": True}
        app = create_app({**settings, "SESSION_COOKIE_SECURE": False})
        with app.app_context():
            database.upgrade()
            accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
            pages = addresses_of_pages(100)
            _execute(_PEOPLE, others=_OTHERS)
        yield app, signed_in(app, "root"), pages
        with app.app_context():
            db.session.close()
            db.engine.dispose()


def _fill_and_time(
    app: Flask, client: FlaskClient, pages: dict[str, str], first: int, last: int, times: int
) -> dict[str, float]:
    with app.app_context():
        for begin in range(first, last + 1, 500_000):
            end = min(begin + 500_000 - 1, last)
            _execute(_FILL, others=_OTHERS, first=begin, last=end)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            take_time()
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.connection.dbapi_connection.patience = 600.0  # type: ignore[union-attr]
            connection.exec_driver_sql("VACUUM ANALYZE")
    found = {name: client.get(page).location or page for name, page in pages.items()}
    return {name: _milliseconds(client, page, times) for name, page in found.items()}


def _execute(statements: str, **values: int) -> None:
    take_time()
    for statement in statements.split(";"):
        db.session.execute(sa.text(statement), values)
    db.session.commit()


def _milliseconds(client: FlaskClient, page: str, times: int) -> float:
    took = []
    for _ in range(times + 3):
        began = time.perf_counter()
        with client.get(page) as answer:
            assert answer.status_code == 200, (page, answer.status_code)
        took.append(1000 * (time.perf_counter() - began))
    return median(took[3:])
