"""A database of two servers, of which one follows the other until it takes over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.accounts import accounts
from portal.core import database, postgresql_connection
from portal.core.database import db
from tests.support.portal import PASSWORD, links, public_id, signed_in, token, upload
from tests.support.postgresql import Server, following, running
from tests.support.stored import contents

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


def test_a_standby_that_is_waited_for_and_does_not_answer(
    pair: tuple[Server, Server], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "PATIENCE", 2.0)
    primary, standby = pair
    alice = signed_in(app, "alice")
    for name in ("a.txt", "b.txt"):
        upload(alice, name)
    wait_until_copied(primary, standby)
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    form = {"csrf_token": token(alice), "entry": public_id(links(alice)["a.txt"])}
    standby.freeze()
    try:
        assert answered(alice, "/healthz") == 503
        answer = alice.post("/selection/trash", data=form)  # a statement that may take its time
        assert answer.status_code == 503
        assert "does not know whether this was done" in answer.text
        assert upload(alice, "c.txt").status_code == 503
        assert answered(alice, "/") == 200
    finally:
        standby.thaw()
    wait_for(lambda: set(links(alice)) == {"b.txt"})
    upload(alice, "c.txt")
    assert set(links(alice)) == {"b.txt", "c.txt"}
    with app.app_context():
        assert contents().keys() == {"a.txt", "b.txt", "c.txt"}
    assert answered(alice, "/healthz") == 200


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
