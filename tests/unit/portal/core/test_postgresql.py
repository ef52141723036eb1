"""PostgreSQL itself: what is refused at the start, and how it is used."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from portal import create_app
from portal.activity import receipts
from portal.cli import portal
from portal.core import database, postgresql
from portal.core.database import db
from portal.core.models import Account, Entry, LogPosition
from portal.core.setting_checks import SettingError
from portal.maintenance import cleanup
from portal.storage.content import current_storage
from tests.support import postgresql as server
from tests.support.portal import Run, folder_id, sign_in, signed_in, token, upload, upload_url
from tests.support.stored import store

MakeApp = Callable[..., Flask]

pytestmark = pytest.mark.postgresql("how the portal uses it")


@pytest.fixture
def address(data: Path) -> str:
    """The address of the database of the test's portal."""
    found = server.url_for(data)
    assert found
    return found


def refusal(data: Path, address: str, **settings: object) -> str:
    with pytest.raises(SettingError) as refused:
        create_app({"DATA": str(data), "DATABASE": address, **settings})
    return refused.value.message


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("postgresql://portal@/none?host={0}", 'database "none" does not exist'),
        ("postgresql://stranger@/template1?host={0}", 'role "stranger" does not exist'),
        ("postgresql://portal@/x?colour=red", 'invalid URI query parameter: "colour"'),
    ],
)
def test_what_cannot_be_used_is_said_at_the_start(wrong: str, said: str, data: Path) -> None:
    told = refusal(data, wrong.format(server.SERVER))
    assert told.startswith("PORTAL_DATABASE ")
    assert said in told
    assert "\n" not in told


def test_another_encoding_is_refused(data: Path) -> None:
    name = server.name_for(data)
    options = "TEMPLATE template0 ENCODING latin1 LOCALE 'C'"
    server.execute(server.SERVER, f"CREATE DATABASE {name} {options}")
    try:
        told = refusal(data, server.url(server.SERVER, name))
    finally:
        server.execute(server.SERVER, f"DROP DATABASE {name}")
    assert "with the encoding LATIN1" in told
    assert "createdb --encoding=UTF8" in told


def test_missing_driver_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "find_spec", lambda _name: None)
    assert "pip install" in refusal(data, "postgresql://portal@localhost/portal")


@pytest.mark.usefixtures("app")
def test_missing_schema_is_named(data: Path, address: str) -> None:
    assert "has no schema" in refusal(data, f"{address}&options=-csearch_path%3Dnowhere")


@pytest.mark.usefixtures("app")
def test_hosts_with_different_keys_do_not_share_a_database(
    data: Path, address: str, tmp_path: Path
) -> None:
    key, other = (data / "secret_key").read_text(), tmp_path.resolve() / "other"
    create_app({"DATA": str(data), "DATABASE": address})  # the same host again
    told = refusal(other, address)
    assert "secret key is not that of the other hosts" in told
    assert key not in told
    # Which replaces the key everywhere.
    create_app({"DATA": str(other), "DATABASE": address, "SECRET_KEY_FALLBACKS": [key]})
    assert "secret key is not that" in refusal(data, address)


def test_what_is_committed_soon_outlives_the_server(app: Flask) -> None:
    """A host deletes what it has handed over."""
    with app.app_context():
        database.commit_soon()
        assert db.session.scalar(sa.text("SHOW synchronous_commit")) == "on"
        assert db.session.scalar(sa.text("SHOW lock_timeout")) == "1ms"


def test_connections_do_not_wait_forever(app: Flask) -> None:
    wanted = {
        "lock_timeout": "5s",
        "statement_timeout": "8s",
        "idle_in_transaction_session_timeout": "1min",
        "transaction_isolation": "read committed",
        "client_encoding": "UTF8",
        "application_name": "portal",
    }
    with app.app_context(), db.engine.connect() as connection:
        found = {one: connection.exec_driver_sql(f"SHOW {one}").scalar() for one in wanted}
    assert found == wanted


@pytest.mark.usefixtures("app")
def test_address_keeps_its_own_parameters(data: Path, address: str) -> None:
    more = "application_name=files&connect_timeout=2&options=-cstatement_timeout%3D1s"
    other = create_app({"DATA": str(data), "DATABASE": f"{address}&{more}"})
    with other.app_context(), db.engine.connect() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("application_name", "statement_timeout", "lock_timeout")
        ]
    assert shown == ["files", "1s", "5s"]
    with other.app_context():
        db.engine.dispose()


def test_what_deletes_much_takes_its_time_and_what_follows_does_not(app: Flask) -> None:
    def limits() -> tuple[object, object]:
        connection = db.session.connection()
        driver: Any = connection.connection.dbapi_connection
        return connection.exec_driver_sql("SHOW statement_timeout").scalar(), driver.patience

    with app.app_context():
        database.take_time()
        assert limits() == ("10min", 600)
        db.session.commit()
        assert limits() == ("8s", None)


def test_commands_take_the_time_that_they_need(run: Run) -> None:
    seen: list[object] = []

    def note(connection: sa.Connection) -> None:
        seen.append(connection.exec_driver_sql("SHOW statement_timeout").scalar())

    sa.event.listen(sa.Engine, "begin", note)
    try:
        assert run("upgrade")[0] == 0
    finally:
        sa.event.remove(sa.Engine, "begin", note)
    assert set(seen) == {"0"}


def test_what_is_too_large_or_no_text_is_no_error_of_the_portal(alice: FlaskClient) -> None:
    for path in (f"/activity?before={2**63 - 1}", f"/accounts/{2**63 - 1}", "/activity?by=%00"):
        assert alice.get(path).status_code < 500


def test_no_error_repeats_what_was_to_be_stored(app: Flask) -> None:
    values = {"name": "Secret name", "name_key": "alice", "skeleton": "x", "is_active": True}
    with app.app_context():
        row = sa.insert(Account).values(**values, password_hash="of a password", role="MEMBER")
        with pytest.raises(sa.exc.IntegrityError) as failed:
            db.session.execute(row)
    assert "Secret" not in str(failed.value)
    assert "of a password" not in str(failed.value)


def test_no_transaction_waits_while_a_long_answer_is_sent(alice: FlaskClient, address: str) -> None:
    upload(alice, "a.txt")
    with alice.get("/activity.csv", buffered=False) as answer:
        rows = iter(answer.iter_encoded())
        for _ in range(3):
            next(rows)
        assert idle_in_transactions(address) == []


class Watched(io.BytesIO):
    """The body of a request, which looks at the database's sessions while it arrives."""

    def __init__(self, content: bytes, address: str) -> None:
        super().__init__(content)
        self._address, self.waiting, self.reads = address, list[str](), 0

    def read(self, size: int | None = -1) -> bytes:
        self.waiting += idle_in_transactions(self._address)
        self.reads += 1
        return super().read(min(size, 10_000) if size and size > 0 else 10_000)

    def readinto(self, buffer: Any) -> int:
        read = self.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def idle_in_transactions(address: str) -> list[str]:
    """Return the last statements of sessions that wait in a transaction."""
    with psycopg.connect(address) as connection:
        found = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid != pg_backend_pid() AND state LIKE 'idle in %'"
        )
        return [str(row[0]) for row in found]


def test_no_transaction_waits_while_a_body_arrives(alice: FlaskClient, address: str) -> None:
    begun = alice.post(
        "/uploads/",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "50000", "X-CSRFToken": token(alice)},
    )
    body = Watched(b"x" * 50_000, address)
    done = alice.patch(
        begun.location,
        input_stream=body,
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "X-CSRFToken": token(alice),
            "Content-Type": "application/offset+octet-stream",
        },
        content_length=50_000,
    )
    assert (done.status_code, body.waiting) == (204, [])
    assert body.reads > 3
    fields = {"csrf_token": token(alice), "file": (io.BytesIO(b"y" * 50_000), "b.txt")}
    form = EnvironBuilder(method="POST", data=fields).get_environ()
    content = form["wsgi.input"].read()
    body = Watched(content, address)
    sent = alice.post(
        upload_url(alice),
        input_stream=body,
        content_type=form["CONTENT_TYPE"],
        content_length=len(content),
    )
    assert (sent.status_code < 400, body.waiting) == (True, [])
    assert body.reads > 3


def test_no_transaction_waits_while_a_zip_is_sent(alice: FlaskClient, address: str) -> None:
    for name in ("a.txt", "b.txt"):
        upload(alice, name, b"x" * 100_000)
    with alice.get(f"/folders/{folder_id(alice)}/zip", buffered=False) as answer:
        assert answer.status_code == 200
        pieces = iter(answer.iter_encoded())
        next(pieces)
        assert idle_in_transactions(address) == []


def test_hosts_share_sessions_and_limits(app: Flask, data: Path, tmp_path: Path) -> None:
    settings = {"TESTING": True, "SESSION_COOKIE_SECURE": False, "DATABASE": server.url_for(data)}
    key = str(data / "secret_key")
    other = create_app({**settings, "DATA": f"{tmp_path}/other", "SECRET_KEY_FILE": key})
    alice, elsewhere = signed_in(app, "alice"), other.test_client()
    cookie = alice.get_cookie("session")
    assert cookie
    elsewhere.set_cookie("session", cookie.value)
    assert elsewhere.get("/account").status_code == 200
    alice.post("/sign-out", data={"csrf_token": token(alice)})
    assert elsewhere.get("/account").status_code == 302
    hosts = [app.test_client(), other.test_client()]
    answers = [sign_in(hosts[number % 2], "bob", "wrong").status_code for number in range(12)]
    assert answers == [422] * 10 + [429] * 2
    with other.app_context():
        db.engine.dispose()


def test_missing_tables_are_said_at_the_start(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.create(data)
    create_app({"DATA": str(data), "DATABASE": server.url_for(data)})
    assert "not up to date. Run: flask --app portal portal upgrade" in caplog.text


def test_empty_database_beside_what_people_uploaded_is_refused(
    data: Path, app: Flask, address: str, run: Run
) -> None:
    with app.app_context():
        store("alice", "a.txt")
        db.engine.dispose()
    server.create(data)
    code, out, err = run("upgrade")
    assert (code, out) == (1, "")
    assert "the database that PORTAL_DATABASE names is empty. Nothing was changed." in err
    with psycopg.connect(address) as connection:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert connection.execute(tables).fetchone() == (0,)


def test_user_without_rights_is_told_what_is_needed(data: Path, make_app: MakeApp) -> None:
    server.create(data)
    name = server.name_for(data)
    server.execute(server.SERVER, f"CREATE ROLE guest_of_{name} LOGIN")
    try:
        app = make_app(DATABASE=f"postgresql://guest_of_{name}@/{name}?host={server.SERVER}")
        result = app.test_cli_runner().invoke(portal, ["upgrade"])
        with app.app_context():
            db.engine.dispose()
    finally:
        server.execute(server.SERVER, f"DROP ROLE guest_of_{name}")
    assert result.exit_code == 1
    assert "without the rights for that: permission denied for schema public" in result.stderr


def test_one_host_at_a_time_deletes_from_the_database(app: Flask, data: Path) -> None:
    with app.app_context():
        with database.once("cleanup") as is_mine:
            assert is_mine
            done = cleanup.clean_up(data, current_storage())
            assert "sessions" not in done
            assert "abandoned uploads" in done
        assert "sessions" in cleanup.clean_up(data, current_storage())


def test_counters_of_attempts_are_in_the_database(app: Flask, anonymous: FlaskClient) -> None:
    sign_in(anonymous, "alice", "wrong")
    with app.app_context(), db.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM attempt").scalar() == 3
        connection.exec_driver_sql("ALTER TABLE attempt RENAME TO elsewhere")
    response = sign_in(anonymous, "alice")
    assert response.status_code == 503
    assert "cannot limit attempts" in response.text
    assert response.headers["Retry-After"] == "60"


def test_texts_are_compared_by_their_bytes_and_numbers_have_64_bits(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT data_type, collation_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name != 'alembic_version'"
        ).all()
    assert {kind for kind, _ in found} == {
        *("bigint", "text", "boolean", "timestamp without time zone"),
        *("date", "json", "double precision"),
    }
    assert {place for kind, place in found if kind == "text"} == {"C"}


def test_server_that_only_reads_shows_pages_and_refuses_changes(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    def set_up(statement: str) -> None:
        server.execute(server.SERVER, f"ALTER DATABASE {server.name_for(data)} {statement}")
        with app.app_context():
            db.engine.dispose()

    upload(alice, "a.txt")
    set_up("SET default_transaction_read_only = on")
    assert alice.get("/").status_code == 200
    assert alice.get("/healthz").json == {"status": "failing", "failing": ["database"]}
    response = upload(alice, "b.txt")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
    set_up("RESET default_transaction_read_only")
    assert upload(alice, "c.txt").status_code < 400
    with app.app_context():
        stored = db.session.scalars(sa.select(Entry.name).where(Entry.is_file).order_by(Entry.name))
        assert stored.all() == ["a.txt", "c.txt"]
        # Nothing of what was refused lies among the files, either.
        assert len(list(current_storage().all_keys())) == 2


def test_row_that_stays_locked_is_503(app: Flask, alice: FlaskClient, address: str) -> None:
    with psycopg.connect(address) as other:
        other.execute("SELECT * FROM account FOR UPDATE")
        response = upload(alice, "b.txt")
        other.rollback()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
    with app.app_context():
        assert db.session.scalars(sa.select(Entry).where(Entry.is_file)).all() == []


def test_logs_of_two_hosts_have_a_position_each(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path("/var/log/portal.log")
    for number, host in enumerate("ab"):
        monkeypatch.setattr("platform.node", lambda host=host: host)
        with app.app_context():
            assert receipts.position_in(log) == {}
            receipts.store([], log, {"x": number})
            assert receipts.position_in(log) == {"x": number}
    with app.app_context():
        assert db.session.query(LogPosition).count() == 2
