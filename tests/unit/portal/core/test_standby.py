"""A database of two servers, of which one follows the other until it takes over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.database import db
from tests.support.portal import PASSWORD, links, signed_in, upload
from tests.support.postgresql import Server, following, running

pytestmark = pytest.mark.postgresql("a standby")

LIMIT = 15
"""Seconds after which the portal answers, as docs/portal/postgresql.md says."""


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    with running() as primary, following(primary) as standby:
        yield primary, standby


@pytest.fixture
def app(pair: tuple[Server, Server], data: Path) -> Iterator[Flask]:
    primary, standby = pair
    primary.execute("CREATE DATABASE shared")
    hosts = f"{primary.folder},{standby.folder}"
    url = f"postgresql://portal@/shared?host={hosts}&target_session_attrs=read-write"
    app = create_app({"DATA": str(data), "DATABASE": url, "SESSION_COOKIE_SECURE": False})
    with app.app_context():
        database.upgrade()
        accounts.create("alice", PASSWORD)
    yield app
    with app.app_context():
        db.engine.dispose()


def test_standby_takes_over_from_a_server_that_answers_no_more(
    pair: tuple[Server, Server], app: Flask
) -> None:
    primary, standby = pair
    alice = signed_in(app, "alice")
    upload(alice, "a.txt")
    wait_until_copied(primary, standby)
    primary.freeze()
    for path in ("/", "/healthz"):
        assert answered(alice, path) == 503
    with psycopg.connect(standby.url("template1"), autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")
    assert answered(alice, "/") == 200
    upload(alice, "b.txt")
    assert set(links(alice)) == {"a.txt", "b.txt"}
    primary.thaw()
    primary.stop()
    assert answered(alice, "/") == 200


def answered(client: FlaskClient, path: str) -> int:
    """Ask, and see that the answer comes in time."""
    began = time.monotonic()
    status = client.get(path).status_code
    assert time.monotonic() - began < (2.5 if path == "/healthz" else LIMIT)
    return status


def wait_until_copied(primary: Server, standby: Server) -> None:
    with psycopg.connect(primary.url("template1")) as connection:
        found = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    assert found
    for _ in range(100):
        with suppress(psycopg.Error), psycopg.connect(standby.url("template1")) as connection:
            statement = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            if connection.execute(statement, found).fetchone() == (True,):
                return
        time.sleep(0.1)
    raise AssertionError("the standby does not follow")
