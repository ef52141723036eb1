from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy.exc import IntegrityError, StatementError

from portal.core import database
from portal.core.database import db
from portal.core.models import Account, Base, StoredFile
from tests.support import postgresql
from tests.support.portal import choose, links, public_id, signed_in, token, upload


def _is_another_type(
    _context: Any, _column: Any, _metadata: Any, found: Any, model: Any
) -> bool | None:
    are_texts = isinstance(found, sa.Text) and isinstance(model, sa.String)
    return found.collation != "C" if are_texts else None


def test_models_and_migrated_schema_do_not_differ(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        options: dict[str, Any] = {"compare_type": True, "compare_server_default": True}
        if not database.is_sqlite():  # whose texts have no length there, see portal.core.schema
            options["compare_type"] = _is_another_type
            options["include_name"] = lambda name, *_: name != "attempt"  # which has no model
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, Base.metadata)
        assert [one for one in found if not _is_added_reference(one)] == []
        if database.is_sqlite():
            read = connection.exec_driver_sql("SELECT * FROM pragma_foreign_key_list('entry')")
            actions = {row["from"]: (row["table"], row["on_delete"]) for row in read.mappings()}
            assert actions["version_of"] == ("entry", "SET NULL")


def _is_added_reference(difference: Any) -> bool:
    """Return whether SQLite's table has it with the column, where SQLAlchemy reads it in part."""
    is_key = isinstance(difference, tuple) and difference[0] in {"remove_fk", "add_fk"}
    return is_key and database.is_sqlite() and difference[1].column_keys == ["version_of"]


@pytest.mark.sqlite("its counter of ids")
def test_models_and_schema_agree_which_ids_are_never_given_again(app: Flask) -> None:
    wanted = {
        table.name
        for table in Base.metadata.sorted_tables
        if table.dialect_options["sqlite"]["autoincrement"]
    }
    with app.app_context(), db.engine.connect() as connection:
        made = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
        )
        assert set(made.scalars()) == wanted
    assert wanted == {"account", "entry", "share", "file_request"}


def test_schema_is_current_after_upgrade_only(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    with app.app_context():
        assert not database.schema_fits()
        database.upgrade()
        assert database.schema_fits()
        database.upgrade()
        assert database.schema_fits()


def test_processes_that_upgrade_at_once_do_not_disturb_each_other(
    make_app: Callable[..., Flask], data: Path
) -> None:
    app = make_app()
    words = [sys.executable, "-m", "flask", "--app", "portal", "portal", "upgrade"]
    environment = {**os.environ, **postgresql.variables(data)}
    running = [subprocess.Popen(words, env=environment, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in running] == [b""] * 4
    assert [process.returncode for process in running] == [0] * 4
    with app.app_context():
        assert database.schema_fits()


@pytest.mark.sqlite("its lock")
def test_nobody_else_can_write_once_an_upgrade_looks_what_to_do(
    make_app: Callable[..., Flask], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    really = command.upgrade

    def disturbed(config: Config, revision: str) -> None:
        other = sqlite3.connect(data / "portal.db", timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        really(config, revision)

    monkeypatch.setattr(command, "upgrade", disturbed)
    with app.app_context():
        database.upgrade()
        assert database.schema_fits()


@pytest.mark.sqlite("its settings")
def test_pragmas_are_set_on_every_connection(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as first, db.engine.connect() as second:
        for connection in (first, second):
            values = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
            ]
            assert values == ["wal", 1, 2, 5000]


@pytest.mark.sqlite("its journal")
def test_journal_shrinks_after_a_long_reader(app: Flask, data: Path) -> None:
    journal = data / "portal.db-wal"
    with app.app_context(), db.engine.connect() as connection:
        with closing(sqlite3.connect(data / "portal.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM entry").fetchall()
            connection.exec_driver_sql("CREATE TABLE long (content BLOB)")
            connection.exec_driver_sql("INSERT INTO long VALUES (zeroblob(20971520))")
            connection.commit()
        for _ in range(2):  # the first one brings all into the database
            connection.exec_driver_sql("INSERT INTO long VALUES (0)")
            connection.commit()
    assert 20 * 1024**2 > journal.stat().st_size > 0


def test_file_needs_an_owner(app: Flask) -> None:
    with app.app_context():
        values = {"name": "a", "size": 0, "mimetype": "", "sha256": "", "storage_key": "x"}
        db.session.add(StoredFile(owner_id=99, **values))
        with pytest.raises(IntegrityError):
            db.session.commit()


def test_times_are_stored_as_utc(app: Flask) -> None:
    eastern = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    with app.app_context():
        account = db.session.scalars(sa.select(Account)).first()
        assert account
        account.created_at = eastern
        db.session.commit()
        assert account.created_at == eastern
        assert account.created_at.tzinfo is UTC
        raw = db.session.scalar(sa.text("SELECT created_at FROM account WHERE id = 1"))
        assert str(raw).startswith("2026-03-01 07:00")


def test_time_without_zone_is_refused(app: Flask) -> None:
    with app.app_context():
        naive = datetime(2026, 3, 1)
        db.session.add(Account(name="x", name_key="x", password_hash="", created_at=naive))
        with pytest.raises(StatementError, match="without a time zone"):
            db.session.commit()


@pytest.mark.sqlite("elsewhere, references are checked with each statement")
def test_upgrade_that_breaks_references_is_undone(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = command.upgrade

    def breaking(config: Config, revision: str) -> None:
        really(config, revision)
        config.attributes["connection"].exec_driver_sql(
            "INSERT INTO recovery_code (account_id, code_hash) VALUES (7, '')"
        )

    monkeypatch.setattr(command, "upgrade", breaking)
    with make_app().app_context():
        with pytest.raises(RuntimeError, match="dangling references"):
            database.upgrade()
        assert not database.schema_fits()


def test_the_end_of_a_request_starts_no_event_loop(app: Flask) -> None:
    assert app.teardown_appcontext_funcs
    assert not any(iscoroutinefunction(one) for one in app.teardown_appcontext_funcs)


@pytest.fixture
def waits(app: Flask) -> Iterator[list[bool]]:
    """Note for each commit whether it waits for the disk."""
    noted: list[bool] = []

    def note(connection: sa.Connection) -> None:
        driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
        if driver.in_transaction:
            noted.append(driver.execute("PRAGMA synchronous").fetchone()[0] >= 2)

    with app.app_context():
        engine = db.engine
        sa.event.listen(engine, "commit", note)
    yield noted
    sa.event.remove(engine, "commit", note)


@pytest.mark.sqlite("how it writes to the disk")
def test_what_is_answered_is_on_the_disk_and_reading_waits_for_nothing(
    app: Flask, waits: list[bool]
) -> None:
    alice = signed_in(app, "alice")
    waits.clear()
    upload(alice, "a.txt")
    assert waits == [True]  # with its line of the record
    link, form = links(alice)["a.txt"], {"csrf_token": token(alice)}
    waits.clear()
    choose(alice, "trash", link)
    assert waits[0]
    waits.clear()
    alice.post(f"/trash/{public_id(link)}/delete", data=form)
    assert waits == [True]
    upload(alice, "b.txt")
    address = links(alice)["b.txt"]
    waits.clear()
    alice.get(address).close()
    alice.get("/")
    assert waits == []  # the line of the record is in its file
    alice.get("/activity")
    assert waits == [False]
    waits.clear()
    upload(alice, "c.txt")
    assert waits[-1]


@pytest.mark.sqlite("how it writes to the disk")
def test_change_that_is_recorded_in_its_own_transaction_is_on_the_disk(
    app: Flask, waits: list[bool]
) -> None:
    with app.app_context():
        account = db.session.scalars(sa.select(Account)).first()
        assert account
        account.name = "carol"
        db.session.flush()
        database.commit_soon()
        db.session.commit()
    assert waits == [True]
