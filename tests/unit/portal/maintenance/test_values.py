"""No column takes a value that the portal could not work with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from portal.cli import portal
from portal.core.models import Base
from portal.core.models.values import LARGEST, Limit
from portal.maintenance.check_values import unusable
from tests.support import schemas
from tests.support.stored import store

pytestmark = pytest.mark.sqlite("elsewhere, columns refuse such values")

NUMBERS = ["'x'", "''", "-1", "9e99", "x'31'"]
TEXTS = [
    *("'a' || char(0) || 'b'", "char(27) || '[2J'", "char(127)", "char(133)"),
    *("CAST(x'eda080' AS TEXT)", "CAST(x'c3' AS TEXT)", "printf('%.*c', 100000, 'x')"),
]
MOMENTS = [
    *("5", "'soon'", "'0000-01-01 10:00:00.000000'", "'0001-01-01 10:00:00.000000'"),
    *("'2026-02-31 10:00:00.000000'", "'9999-12-31 23:59:59.999999'", "'2026-01-01 10:00:00.x'"),
    *("'2026-01-01T10:00:00.000000'", "'2026-01-01 10:00'"),
]
BY_NAME = {
    "name": ["'/'", "'a/b'", "'..'", "'.'", "'a\\b'", "char(10)"],
    "public_id": ["''", "'/'", "'a b'", "'ä'", "printf('%.*c', 65, 'x')"],
    "totp_secret": ["'!!!'", "''", "'A'", "'abcdefghijklmnop'"],
    "password_hash": ["''", "'x'", "'$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA'"],
    "mimetype": ["''", "'text'", "'text/plain' || char(10) || 'X: y'"],
    "client_metadata": ["char(13) || char(10)", "'ä'"],
    "role": ["'KING'", "''"],
    "position": ["'{'", "'[]'", '\'{"a": "b"}\'', "'{\"a\": -1}'"],
    **{name: ["''", "'x'"] for name in ("token_hash", "key_hash", "code_hash", "sha256")},
    **{name: ["''", "'../../etc/passwd'"] for name in ("storage_key", "part_key")},
}
COLUMNS = [column for table in Base.metadata.sorted_tables for column in table.columns]


def hostile(column: sa.Column[object]) -> Iterator[str]:
    kind = column.type
    if isinstance(kind, sa.Integer | sa.Boolean):
        yield from NUMBERS
        yield from [] if isinstance(kind, Limit) else [str(LARGEST)]
        yield from ["2"] if isinstance(kind, sa.Boolean) else []
    elif isinstance(kind, sa.String):
        yield from TEXTS
    elif not isinstance(kind, sa.JSON):
        yield from MOMENTS
    is_of_file = column.name != "name" or column.table.name in {"entry", "upload"}
    yield from BY_NAME.get(column.name, []) if is_of_file else []
    yield from ["x'00ff'"]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_column_takes_no_hostile_value(column: sa.Column[object]) -> None:
    table, name = column.table.name, column.name
    with schemas.in_memory(schemas.REVISIONS[-1]) as connection:
        connection.executescript("DROP TRIGGER activity_is_only_added_to")
        assert list(unusable(connection)) == []
        for value in hostile(column):
            connection.execute("SAVEPOINT one")
            row = f"rowid = (SELECT max(rowid) FROM {table})"  # noqa: S608
            # An id is a number, by SQLite's own rule.
            with suppress(sqlite3.IntegrityError):
                connection.execute(f"UPDATE {table} SET {name} = {value} WHERE {row}")  # noqa: S608
                found = {(one.table, one.column) for one in unusable(connection)}
                assert (table, name) in found, value
            connection.execute("ROLLBACK TO one")


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("name = '' WHERE is_file", "name"),
        ("name = 'x' WHERE parent_id IS NULL", "name"),
        ("size = 5 WHERE NOT is_file", "size"),
        ("sha256 = NULL WHERE is_file", "sha256"),
        ("storage_key = NULL WHERE is_file", "storage_key"),
        ("mimetype = 'text/plain' WHERE id = 4", "mimetype"),
        (f"size = {2**52}", "size"),
    ],
)
def test_value_that_does_not_fit_its_row_is_found(change: str, column: str) -> None:
    with schemas.in_memory(schemas.REVISIONS[-1]) as connection:
        connection.execute(f"UPDATE entry SET {change}")  # noqa: S608
        assert column in {one.column for one in unusable(connection)}


def test_check_names_unusable_values_and_repairs_nothing(app: Flask, data: Path) -> None:
    with app.app_context():
        row = store("alice", "a.txt").id
    with sqlite3.connect(data / "portal.db") as connection:
        connection.execute("UPDATE entry SET name = CAST(x'ff41' AS TEXT) WHERE id = ?", [row])
        connection.execute("UPDATE account SET used = -1, totp_secret = '!!!' WHERE name = 'alice'")
    result = app.test_cli_runner().invoke(portal, ["check", "--repair"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split(", ")[0] for line in lines] == [
        "value: account.used",
        "value: account.totp_secret",
        "value: entry.name",
    ]
    assert lines[-1] == f"value: entry.name, row {row}: is nothing that the portal writes"
    with sqlite3.connect(data / "portal.db") as connection:
        assert connection.execute("SELECT used FROM account WHERE name = 'alice'").fetchone() == (
            -1,
        )
