"""A server that is stopped, frozen, or throws everybody out; and what comes back by itself."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal import cli, create_app
from portal.accounts import accounts
from portal.core import database, postgresql, postgresql_connection
from portal.core.database import db
from portal.core.postgresql import ServerAwayError
from tests.support.portal import PASSWORD, links, signed_in, upload
from tests.support.postgresql import Server, running

pytestmark = pytest.mark.postgresql("a server that is away")

SOON = 8
"""Seconds after which a page answers at the latest: to find out, and to connect again."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that other tests do not need."""
    with running() as found:
        yield found


@pytest.fixture
def app(server: Server, data: Path) -> Iterator[Flask]:
    server.execute("CREATE DATABASE away")
    settings = {"DATA": str(data), "DATABASE": server.url("away")}
    app = create_app({"TESTING": True, "SESSION_COOKIE_SECURE": False, **settings})
    with app.app_context():
        database.upgrade()
        accounts.create("alice", PASSWORD)
    yield app
    with app.app_context():
        db.engine.dispose()
    server.execute("DROP DATABASE away WITH (FORCE)")


@pytest.fixture
def alice(app: Flask) -> FlaskClient:
    client = signed_in(app, "alice")
    upload(client, "a.txt")
    return client


def timed(ask: Callable[[], int]) -> tuple[int, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


def test_frozen_server_keeps_nobody_waiting_and_is_used_again(
    server: Server, alice: FlaskClient
) -> None:
    file = links(alice)["a.txt"]
    server.freeze()
    try:
        for ask, longest in (
            (lambda: alice.get("/"), SOON),
            (lambda: alice.get(file), SOON),
            (lambda: alice.get("/healthz"), 2.5),
            (lambda: alice.get("/healthz"), 2.5),
        ):
            status, seconds = timed(lambda ask=ask: ask().status_code)  # type: ignore[misc]
            assert status == 503
            assert seconds < longest
        answer = alice.get("/")
        assert answer.headers["Retry-After"] == "60"
        assert "Nothing was changed" in answer.text
    finally:
        server.thaw()
    assert set(links(alice)) == {"a.txt"}
    wait_until_healthy(alice)


def test_statement_that_a_frozen_server_does_not_end_is_given_up(
    server: Server, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "PATIENCE", 1.0)
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        server.freeze()
        began = time.monotonic()
        try:
            with pytest.raises(database.AWAY, match="did not answer within 1 second") as failed:
                connection.exec_driver_sql("SELECT 2")
        finally:
            server.thaw()
        assert time.monotonic() - began < 3
        assert database.is_away(failed.value)


def test_statement_that_takes_too_long_is_ended(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = 100")
        with pytest.raises(database.AWAY) as failed:
            connection.exec_driver_sql("SELECT pg_sleep(5)")
        assert database.is_away(failed.value)


def test_connections_that_the_server_ends_are_opened_again(
    server: Server, alice: FlaskClient
) -> None:
    assert alice.get("/").status_code == 200
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'away'")
    assert alice.get("/").status_code == 200


def test_stopped_server_is_503_and_used_again_after_its_start(data: Path) -> None:
    with running() as server:
        server.execute("CREATE DATABASE away")
        settings = {"DATA": str(data), "DATABASE": server.url("away")}
        app = create_app({"TESTING": True, "SESSION_COOKIE_SECURE": False, **settings})
        with app.app_context():
            database.upgrade()
            accounts.create("alice", PASSWORD)
        client = signed_in(app, "alice")
        upload(client, "a.txt")
        server.stop(signal.SIGINT)
        status, seconds = timed(lambda: client.get("/").status_code)
        assert (status, seconds < SOON) == (503, True)
        assert client.get("/healthz").json == {"status": "failing", "failing": ["database"]}
        command = app.test_cli_runner().invoke(cli.portal, ["accounts"])
        assert command.exit_code == 1
        assert "Error: The database that PORTAL_DATABASE names cannot be used now" in command.stderr
        server.start()
        assert set(links(client)) == {"a.txt"}
        assert client.get("/healthz").json == {"status": "ok"}
        with app.app_context():
            db.engine.dispose()


def test_host_starts_without_the_server_and_lets_nobody_in_unchecked(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as server:
        server.execute("CREATE DATABASE away")
        settings = {"SESSION_COOKIE_SECURE": False, "DATABASE": server.url("away")}
        app = create_app({**settings, "DATA": str(data)})
        with app.app_context():
            database.upgrade()
            accounts.create("alice", PASSWORD)
        create_app({**settings, "DATA": str(data)})  # it notes the key
        alice = signed_in(app, "alice")
        server.stop(signal.SIGINT)
        same, other = (
            create_app({**settings, "DATA": str(folder)}) for folder in (data, tmp_path / "other")
        )
        assert "Until then, all requests are answered 503." in caplog.text
        clients = [one.test_client() for one in (same, other)]
        clients[0].set_cookie("session", alice.get_cookie("session").value)  # type: ignore[union-attr]
        for client in clients:
            answer, seconds = timed_answer(client)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
            assert seconds < SOON
            failing = {"status": "failing", "failing": ["database"]}
            assert client.get("/healthz").json == failing
        server.start()
        asked = statements(same)
        assert clients[0].get("/").status_code == 200
        of_facts, of_sessions = (
            [number for number, statement in enumerate(asked) if f"FROM {table}" in statement]
            for table in ("fact", "sign_in")
        )
        assert of_facts[0] < of_sessions[0]
        assert clients[0].get("/healthz").json == {"status": "ok"}
        # This one has another key, which nobody could compare before.
        assert clients[1].get("/").status_code == 503
        assert clients[1].get("/sign-in").status_code == 503
        assert clients[1].get("/healthz").json == failing
        assert "This host's secret key is not that of the other hosts" in caplog.text


def test_one_request_tries_and_the_others_do_not_wait(
    server: Server, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url("away").replace(str(server.folder), "/nowhere")
    app = create_app({"DATA": str(data), "DATABASE": url, "SESSION_COOKIE_SECURE": False})
    tries, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        tries.set()
        go_on.wait(30)
        raise ServerAwayError("not yet")

    monkeypatch.setattr(postgresql, "check_server", wait)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(app.test_client().get, "/sign-in")
        assert tries.wait(30)
        answer, seconds = timed_answer(app.test_client())
        go_on.set()
        assert first.result().status_code == 503
    assert (answer.status_code, seconds < 1) == (503, True)


def test_connection_that_breaks_at_the_end_of_a_request_changes_no_answer(
    server: Server, app: Flask
) -> None:
    alice = signed_in(app, "alice")

    def break_off(response: Response) -> Response:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'away'"
        )
        return response

    app.after_request_funcs.setdefault(None, []).append(break_off)
    # Files are listed by a transaction that is open until the request ends.
    assert alice.get("/").status_code == 200
    app.after_request_funcs[None].remove(break_off)
    upload(alice, "a.txt")
    assert set(links(alice)) == {"a.txt"}


def statements(app: Flask) -> list[str]:
    """Return what an application asks its database from now on."""
    found: list[str] = []
    with app.app_context():

        @sa.event.listens_for(db.engine, "before_cursor_execute")
        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            found.append(statement)

    return found


def timed_answer(client: FlaskClient) -> tuple[TestResponse, float]:
    began = time.monotonic()
    return client.get("/"), time.monotonic() - began


def wait_until_healthy(client: FlaskClient) -> None:
    end = time.monotonic() + 15
    while client.get("/healthz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
