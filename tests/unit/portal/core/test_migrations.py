"""Databases of earlier revisions, with rows in every table, are brought up to date."""

from __future__ import annotations

import re
import shutil
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click import ClickException
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from portal.core import database
from portal.core.models import Activity, Entry, Folder
from tests.support import schemas
from tests.support.portal import PASSWORD, REDIRECT, Run, client_of, links, sign_in, upload

pytestmark = pytest.mark.sqlite("elsewhere, no earlier schema was released")

REWRITTEN: dict[str, set[str]] = {}
"""By table, the columns whose values a migration changes; it has a test of its own for them."""

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{newest}"


def upgrade():
    op.add_column("account", sa.Column("color", sa.String(16)))
    {more}
"""


def upgraded(make_app: Callable[..., Flask], data: Path, revision: str) -> schemas.Rows:
    """Bring a database of that revision up to date, and read it."""
    schemas.load(revision, data)
    with make_app().app_context():
        newest = database.revisions()[0]
        assert database.upgrade() == (revision, newest)
        database.db.engine.dispose()
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return schemas.rows(connection)


@pytest.fixture
def add_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that adds a migration to those of the portal."""

    def add(more: str = "pass") -> None:
        newest = database.revisions()[0]
        folder = tmp_path / "migrations"
        shutil.copytree(database._MIGRATIONS, folder)
        (folder / "versions" / "next.py").write_text(NEXT.format(newest=newest, more=more))
        monkeypatch.setattr(database, "_MIGRATIONS", folder)
        database.revisions.cache_clear()

    yield add
    database.revisions.cache_clear()


def test_each_revision_has_a_database_to_test_with() -> None:
    assert sorted(database.revisions()) == schemas.REVISIONS, schemas.__doc__


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_database_to_test_with_has_rows_in_every_table_and_its_schema(
    revision: str, make_app: Callable[..., Flask], data: Path
) -> None:
    def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
        return [(name, sql.replace('"', "")) for name, sql in connection.execute(query)]

    with make_app().app_context():
        database.upgrade(revision)
        database.db.engine.dispose()
    with (
        schemas.in_memory(revision) as dumped,
        closing(sqlite3.connect(data / "portal.db")) as migrated,
    ):
        assert schema(dumped) == schema(migrated)
        assert [table for table, rows in schemas.rows(dumped).items() if not rows] == []


def test_data_folder_of_an_early_0006_gets_what_that_was_given_later(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    """Such folders are in use: the revision changed once it had landed."""
    indexes = ("ix_entry_trash", "ix_entry_parent_id", "ix_upload_unfinished")
    early = f"""
        DROP TABLE fact;
        {"".join(f"DROP INDEX {name};" for name in indexes)}
        DROP INDEX ix_entry_by_size;
        CREATE INDEX ix_entry_by_size ON entry (parent_id, trash_id, is_file, size, id);
    """

    def upgraded_schema(folder: Path, before: str) -> list[list[str]]:
        schemas.load("0006", folder)
        with closing(sqlite3.connect(folder / "portal.db")) as connection:
            connection.executescript(before)
        with make_app(DATA=str(folder)).app_context():
            database.upgrade()
        with closing(sqlite3.connect(folder / "portal.db")) as connection:
            assert connection.execute("SELECT count(*) FROM fact").fetchone() != (0,)
            query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
            texts = [sql.replace('"', "") for (sql,) in connection.execute(query)]
        return [re.findall(r"\w+|\S", text) for text in texts]

    assert upgraded_schema(tmp_path / "early", early) == upgraded_schema(tmp_path / "late", "")


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_upgrade_keeps_every_row(revision: str, make_app: Callable[..., Flask], data: Path) -> None:
    with schemas.in_memory(revision) as connection:
        before = schemas.rows(connection)
    after = upgraded(make_app, data, revision)
    for table, rows in before.items():
        columns = set(rows[0]) & set(after[table][0]) - REWRITTEN.get(table, set())
        assert [{name: row[name] for name in columns} for row in after[table]] == [
            {name: row[name] for name in columns} for row in rows
        ], table


@pytest.mark.parametrize("revision", schemas.REVISIONS)
def test_portal_works_with_an_upgraded_data_folder(
    revision: str, run: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    schemas.load(revision, data)
    assert run("upgrade")[0] == 0
    assert run("check", "--content") == (0, "", "")
    client = client_of(make_app)
    assert sign_in(client, "alice", PASSWORD).status_code == REDIRECT
    with client.get(links(client)["Kept.txt"]) as response:
        assert response.data in schemas.FILES.values()
    upload(client, "b.txt")
    assert set(links(client)) == {"Kept.txt", "b.txt"}


def test_names_get_the_keys_that_new_ones_have(make_app: Callable[..., Flask], data: Path) -> None:
    schemas.load("0005", data)
    name, too_long = "Übung 10.txt", "\ufdfa" * 85
    with closing(sqlite3.connect(data / "portal.db")) as connection, connection:
        connection.execute(
            "UPDATE entry SET name = ?, name_key = 'übung 10.txt' WHERE id = 4", [name]
        )
        key = unicodedata.normalize("NFKC", too_long)
        connection.execute("UPDATE entry SET name = ?, name_key = ? WHERE id = 5", [too_long, key])
    with make_app().app_context():
        database.upgrade()
        for entry_id, stored in ((4, name), (5, too_long)):
            entry = database.db.session.get_one(Entry, entry_id)
            new = Folder(name=stored)
            assert entry.name == stored
            assert entry.search_key == new.search_key
            assert entry.sort_key == new.sort_key
            assert entry.name_key == new.name_key
        names = [(row.name_key, row.actor_key) for row in database.db.session.query(Activity)]
        assert names == [("kept.txt", ""), ("grosser 日本.txt", "gone")]
        with pytest.raises(IntegrityError, match="only added to"):
            database.db.session.execute(update(Activity).values(name=""))
        database.db.session.rollback()
        database.db.engine.dispose()


def test_migration_is_tested_with_data_from_the_one_before(
    make_app: Callable[..., Flask], data: Path, add_migration: Callable[..., None]
) -> None:
    newest = database.revisions()[0]
    add_migration()
    with schemas.in_memory(newest) as connection:
        before = schemas.rows(connection)
    after = upgraded(make_app, data, newest)
    for row in before["account"]:
        row["color"] = None
    assert after == before


def test_migration_that_loses_rows_is_noticed(
    make_app: Callable[..., Flask], data: Path, add_migration: Callable[..., None]
) -> None:
    newest = database.revisions()[0]
    add_migration('op.execute("DELETE FROM share_download")')
    with pytest.raises((AssertionError, IndexError)):
        test_upgrade_keeps_every_row(newest, make_app, data)


def test_upgrade_says_from_which_schema_to_which(
    run: Run, data: Path, add_migration: Callable[..., None]
) -> None:
    newest = database.revisions()[0]
    schemas.load(newest, data)
    add_migration()
    assert run("upgrade") == (0, f"Upgraded the database from schema {newest} to 9998.\n", "")
    assert run("upgrade") == (0, "", "")


@pytest.mark.parametrize("revision", ["9999", "0004"])
def test_schema_that_this_version_does_not_know_is_refused(
    revision: str, make_app: Callable[..., Flask], data: Path
) -> None:
    schemas.load(schemas.REVISIONS[-1], data)
    with closing(sqlite3.connect(data / "portal.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.execute("UPDATE fact SET value = ?", (revision,))
        before = schemas.rows(connection)
    with make_app().app_context():
        with pytest.raises(ClickException, match=f"schema {revision}, which .* not know: a newer"):
            database.upgrade()
        assert not database.schema_fits()
        assert database.revision() == revision
        database.db.engine.dispose()
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        assert schemas.rows(connection) == before


def test_two_revisions_at_once_are_refused(run: Run, data: Path) -> None:
    newest = schemas.REVISIONS[-1]
    schemas.load(newest, data)
    with closing(sqlite3.connect(data / "portal.db")) as connection, connection:
        connection.execute("INSERT INTO alembic_version VALUES ('0005')")
        before = schemas.rows(connection)
    code, out, err = run("upgrade")
    assert (code, out) == (1, "")
    assert f"has the schema 0005, {newest}, which this version" in err
    assert f"has the schema 0005, {newest}, which this version" in run("accounts")[2]
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        assert schemas.rows(connection) == before
