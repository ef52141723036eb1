"""A backup's schema may be spelled in another way, but not be another one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from portal.cli import portal
from portal.core import database
from portal.maintenance import backup, restored_database, restored_schema
from portal.maintenance.backup import BackupError
from portal.storage.content import current_storage
from tests.support import schemas
from tests.support.stored import contents

pytestmark = pytest.mark.sqlite("elsewhere, backups are the server's")

NEWEST = schemas.REVISIONS[-1]


def respelled(table: re.Match[str]) -> str:
    """Quote names, drop those of constraints, and turn the constraints' order."""
    name, body = table.groups()
    parts = [part.strip() for part in body.split(", \n")]
    columns = [part for part in parts if not part.startswith("CONSTRAINT")]
    constraints = [part for part in parts if part.startswith("CONSTRAINT")]
    columns = [
        re.sub(r"^(\w+) ", r'"\1"   ', one).replace(
            "NOT NULL PRIMARY KEY AUTOINCREMENT", "primary key autoincrement not null"
        )
        for one in columns
    ]
    plain = [re.sub(r"^CONSTRAINT \w+ ", "", one).lower() for one in reversed(constraints)]
    return f'CREATE TABLE "{name}"({",".join([*columns, *plain])});'


def spelled_otherwise(dump: str) -> str:
    tables = re.sub(r"CREATE TABLE (\w+) \(\n(.*?)\n\);", respelled, dump, flags=re.DOTALL)
    again = re.sub(r"CREATE (UNIQUE )?INDEX (\w+)", r"create \1index  [\2]", tables)
    return again.replace("WHERE trash_id IS NULL", 'where ("trash_id" is null)')


def invisible(dump: str) -> str:
    """Change what SQLite does not tell of a table: none of it applies to what is restored."""
    changed = dump.replace(
        "UNIQUE (name_key)", "UNIQUE (name_key) ON CONFLICT REPLACE, CHECK (used < 1000)"
    )
    changed = changed.replace("REFERENCES account (id),", "REFERENCES account (id) DEFERRABLE,")
    return changed.replace(
        "note VARCHAR(255) NOT NULL", "note VARCHAR(255) COLLATE NOCASE NOT NULL"
    )


def schema_of(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize(
    ("revision", "change"),
    [(NEWEST, spelled_otherwise), (NEWEST, invisible), (schemas.REVISIONS[0], spelled_otherwise)],
)
def test_restored_schema_is_the_portals_own(
    revision: str,
    change: Callable[[str], str],
    make_app: Callable[..., Flask],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dump = schemas.dump_of(revision)
    assert change(dump) != dump
    monkeypatch.setattr(schemas, "dump_of", lambda _revision: change(dump))
    schemas.load(revision, data)
    target = tmp_path / "portal.tar"
    with make_app().app_context():
        backup.create(target, data, current_storage(), revision, lambda _size: None)
    new = make_app(DATA=str(tmp_path / "new"))
    result = new.test_cli_runner().invoke(portal, ["restore", str(target)])
    assert (result.exit_code, result.stderr) == (0, "")
    other = make_app(DATA=str(tmp_path / "other"))
    with other.app_context():
        database.upgrade(revision)
        database.upgrade()
        database.db.engine.dispose()
    with new.app_context():
        assert sorted(contents().values()) == sorted(schemas.FILES.values())
        database.db.engine.dispose()
    assert schema_of(tmp_path / "new" / "portal.db") == schema_of(tmp_path / "other" / "portal.db")
    # Ids go on where they stopped: the newest account was deleted.
    with closing(sqlite3.connect(tmp_path / "new" / "portal.db")) as connection:
        sequences = dict(connection.execute("SELECT * FROM sqlite_sequence").fetchall())
    assert sequences["account"] == 4


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP INDEX ix_entry_by_name", "lacks the index 'ix_entry_by_name'"),
        ("CREATE INDEX more ON entry (size)", "the index 'more'"),
        (
            "DROP INDEX ix_activity_at; CREATE INDEX ix_activity_at ON activity (id)",
            "ix_activity_at",
        ),
        (
            "DROP INDEX ix_activity_at; CREATE INDEX ix_activity_at ON activity (at DESC)",
            "ix_activity_at",
        ),
        (
            "DROP INDEX ix_activity_at; CREATE UNIQUE INDEX ix_activity_at ON activity (at)",
            "ix_activity_at",
        ),
        (
            "DROP INDEX uq_entry_owner_id_root; CREATE UNIQUE INDEX uq_entry_owner_id_root"
            " ON entry (owner_id) WHERE parent_id IS NULL AND id",
            "uq_entry_owner_id_root",
        ),
        ("CREATE TABLE more (a)", "the table 'more'"),
        ("ALTER TABLE account ADD COLUMN more", "the table 'account'"),
        ("ALTER TABLE account DROP COLUMN quota", "the table 'account'"),
        ("ALTER TABLE account ADD COLUMN more AS (used + 1)", "the table 'account'"),
        ("ALTER TABLE account RENAME COLUMN quota TO used_quota", "the table 'account'"),
        *(
            (
                f"DROP TABLE seen_day; CREATE TABLE seen_day ({definition})",
                "the table 'seen_day'",
            )
            for definition in (
                "day TEXT NOT NULL PRIMARY KEY",
                "day DATE PRIMARY KEY",
                "day DATE NOT NULL DEFAULT '2026-01-01' PRIMARY KEY",
                "day DATE NOT NULL",
                "day DATE NOT NULL PRIMARY KEY COLLATE NOCASE",
                "day DATE NOT NULL PRIMARY KEY, UNIQUE (day, day)",
                "day DATE NOT NULL PRIMARY KEY REFERENCES account (id)",
                "day DATE NOT NULL PRIMARY KEY) WITHOUT ROWID; SELECT (1",
            )
        ),
    ],
)
def test_other_schema_is_refused(statement: str, what: str, tmp_path: Path) -> None:
    path, new = tmp_path / "portal.db", tmp_path / "new.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schemas.dump_of(NEWEST))
        connection.executescript(statement)
    with pytest.raises(BackupError) as raised:
        restored_database.prepare(path)
    assert what in raised.value.message
    with closing(sqlite3.connect(new)) as connection:  # nothing was copied
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (0,)


def test_each_reference_of_a_table_is_read() -> None:
    with schemas.in_memory(NEWEST) as connection:
        before = restored_schema.read(connection)
    changed = schemas.dump_of(NEWEST).replace("ON DELETE CASCADE", "ON DELETE SET NULL", 1)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(changed)
        after = restored_schema.read(connection)
    assert len([key for key in before if before[key] != after[key]]) == 1
