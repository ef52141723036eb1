"""No row contradicts another: a restore refuses those that do, and a check names them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from portal.cli import portal
from portal.core.database import revisions
from portal.maintenance import backup
from portal.maintenance.check_rows import RULES, contradictions
from portal.storage.content import current_storage
from tests.support import schemas
from tests.support.checks import check

pytestmark = pytest.mark.sqlite("its rows are written past the portal, and restored")

Make = Callable[..., Flask]

MORE = """
    UPDATE upload SET finished_at = used_at, arrived = size, recorded = NULL;
    INSERT INTO entry SELECT 7, 'folder-07', 1, 4, 0, 'Inner', 'inner', 0, created_at, NULL, NULL,
        NULL, NULL, NULL, 'inner', 'inner' || char(9) || 'inner', NULL FROM entry WHERE id = 4;
    UPDATE entry SET version_of = NULL, parent_id = 4 WHERE id = 6;
    UPDATE sqlite_sequence SET seq = 7 WHERE name = 'entry';
"""
"""A folder in alice's folder 4, beside the file 6 in the trash; all uploads are finished."""
DEEP = """
    WITH RECURSIVE deeper(id) AS (SELECT 8 UNION ALL SELECT id + 1 FROM deeper WHERE id < 56)
    INSERT INTO entry SELECT id, 'folder-' || id, 1, id - 1, 0, 'f', 'f', 0, created_at, NULL, NULL,
        NULL, NULL, NULL, 'f', 'f' || char(9) || 'f', NULL FROM deeper JOIN (SELECT created_at FROM
        entry WHERE id = 4)
"""
CASES = {
    "UPDATE entry SET trashed_at = NULL WHERE id = 6": "entry, row 6, is in the trash without",
    "UPDATE entry SET trashed_at = created_at WHERE id = 5": "entry, row 5, is in the trash with",
    "UPDATE entry SET trash_id = 4 WHERE id = 6": "entry, row 6, is in the trash, but cannot be",
    "UPDATE entry SET trash_id = 6, trashed_at = created_at WHERE id = 7": (
        "entry, row 7, is in the trash, but cannot be found there"
    ),
    "UPDATE entry SET trash_id = 4, trashed_at = created_at WHERE id = 4": (
        "entry, row 7, is in a folder in the trash, but not in the trash itself"
    ),
    "UPDATE entry SET parent_id = 5 WHERE id = 7": "entry, row 7, is in a file",
    "UPDATE entry SET parent_id = 2 WHERE id = 7": "entry, row 7, is in another account's folder",
    "UPDATE entry SET parent_id = 7 WHERE id = 4": "entry, row 4, is in folders that contain each",
    "UPDATE entry SET trash_id = 4, trashed_at = created_at WHERE id IN (4, 7);"
    "UPDATE entry SET parent_id = 7 WHERE id = 4": "entry, row 4, is in folders that contain each",
    "UPDATE entry SET version_of = 4 WHERE id = 6": "entry, row 6, is a version of what is no file",
    "UPDATE entry SET version_of = 5, trash_id = 5 WHERE id = 6": (
        "entry, row 6, is a version of what is no file of its owner, or not in the trash by itself"
    ),
    DEEP: "entry, row 56, is in more than 50 folders",
    "DELETE FROM entry WHERE id = 3": "account, row 3, has no root folder",
    "UPDATE account SET used = 35 WHERE id = 1": "account, row 1, counts other bytes than",
    "UPDATE account SET used = 1 WHERE id = 2": "account, row 2, counts other bytes than",
    "UPDATE share SET owner_id = 2": "share, row 1, shares what another account has",
    "UPDATE file_request SET owner_id = 2": "file_request, row 1, leads to another account's",
    "UPDATE file_request SET folder_id = 5": "file_request, row 1, leads to a file",
    "UPDATE upload SET owner_id = 2 WHERE id = 1": "upload, row 1, goes to another account's",
    "UPDATE upload SET folder_id = 5 WHERE id = 1": "upload, row 1, goes into a file",
    "UPDATE upload SET folder_id = 7 WHERE id = 2": "upload, row 2, comes by a link that is",
    "UPDATE upload SET request_id = 9 WHERE id = 2": (
        "upload, row 2, comes by a link that is missing, or leads to another folder"
    ),
    "UPDATE upload SET visitor = NULL WHERE id = 2": "upload, row 2, comes by a link without a vis",
    "UPDATE upload SET request_id = NULL WHERE id = 2": (
        "upload, row 2, comes by a link without a visitor, or from a visitor without a link"
    ),
    "UPDATE upload SET client_metadata = 'filename !' WHERE id = 2": (
        "upload, row 2, has metadata that nobody can read"
    ),
    "UPDATE upload SET arrived = 1001 WHERE id = 2": "upload, row 2, has more than its size",
    "UPDATE upload SET arrived = 999 WHERE id = 2": "upload, row 2, is finished and not complete",
    "UPDATE upload SET part_key = (SELECT storage_key FROM entry WHERE id = 5) WHERE id = 1": (
        "upload, row 1, has the key of a stored file's content"
    ),
}
"""What contradicts the rows of ``schemas`` and ``MORE``, and how the first such row is named."""


@pytest.fixture
def new(tmp_path: Path, make_app: Make) -> Flask:
    """Create a portal that nothing was done with."""
    return make_app(DATA=str(tmp_path.resolve() / "new"))


@pytest.fixture
def load(data: Path, make_app: Make) -> Callable[[str], Flask]:
    """Return a function that creates a portal with the rows that a statement changed."""

    def create(statement: str) -> Flask:
        schemas.load(revisions()[0], data)
        with closing(sqlite3.connect(data / "portal.db")) as connection:
            connection.executescript(MORE + statement)
        return make_app()

    return create


def restore(app: Flask, new: Flask, tmp_path: Path) -> tuple[int, str]:
    """Restore a backup of one portal into the other."""
    target, data = tmp_path / "portal.tar", Path(app.config["DATA"])
    with app.app_context():
        backup.create(target, data, current_storage(), revisions()[0], lambda _size: None)
    result = new.test_cli_runner().invoke(portal, ["restore", str(target)])
    return result.exit_code, result.stderr


def everything(folder: Path) -> dict[Path, bytes | None]:
    """Return what the folder has: files with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_each_rule_has_a_case() -> None:
    named = "\n".join(CASES.values())
    assert [rule for rule in RULES if rule.kind != "key" and rule.words[:20] not in named] == []


@pytest.mark.parametrize(("statement", "named"), CASES.items(), ids=CASES.values())
def test_contradiction_is_refused_by_a_restore_and_named_by_a_check(
    statement: str, named: str, load: Callable[[str], Flask], new: Flask, tmp_path: Path
) -> None:
    app = load(statement)
    before = everything(Path(new.config["DATA"]))
    code, err = restore(app, new, tmp_path)
    assert code == 1
    assert f"Error: The backup's database contradicts itself: {named}" in err
    assert everything(Path(new.config["DATA"])) == before
    table, _, words = named.split(", ", 2)
    found = json.loads(app.test_cli_runner().invoke(portal, ["check", "--json"]).stdout)
    assert any(one["detail"].startswith(words) for one in found)
    check(app, "--repair")
    left = check(app)
    assert (left == []) == (table in {"account", "entry"})
    assert {kind for kind, _ in left} <= {"row"}


def test_portal_contradicts_itself_nowhere(load: Callable[[str], Flask], data: Path) -> None:
    load("")
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        assert list(contradictions(connection)) == []


WRONG_KEYS = """
    UPDATE account SET name_key = 'x', skeleton = 'y' WHERE id = 1;
    UPDATE entry SET name_key = 'x', search_key = 'y', sort_key = 'z' WHERE id = 4;
    UPDATE entry SET search_key = 'y' WHERE id = 6;
    DROP TRIGGER activity_is_only_added_to;
    UPDATE activity SET actor_key = 'x', name_key = 'y' WHERE id = 2;
    CREATE TRIGGER activity_is_only_added_to BEFORE UPDATE ON activity
        BEGIN SELECT raise(ABORT, 'activity is only added to'); END;
"""


def rows(app: Flask) -> schemas.Rows:
    """Return what a backup brings."""
    with closing(sqlite3.connect(Path(app.config["DATA"]) / "portal.db")) as connection:
        found = schemas.rows(connection)
    return {name: found[name] for name in ("account", "activity", "entry", "share", "upload")}


def test_keys_that_another_version_computed_are_computed_by_a_restore(
    load: Callable[[str], Flask], new: Flask, tmp_path: Path
) -> None:
    right = rows(load(""))
    (tmp_path / "data" / "portal.db").unlink()
    app = load(WRONG_KEYS)
    assert rows(app) != right
    assert restore(app, new, tmp_path) == (0, "")
    assert rows(new) == right
    with (
        closing(sqlite3.connect(Path(new.config["DATA"]) / "portal.db")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="activity is only added to"),
    ):
        connection.execute("UPDATE activity SET name_key = ''")


def test_check_names_wrong_keys_and_repairs_them_but_those_of_the_record(
    load: Callable[[str], Flask],
) -> None:
    app = load(WRONG_KEYS)
    assert check(app) == [("key", None)] * 4
    assert sorted(check(app, "--repair"), key=str) == [
        *[("key", "computed again")] * 3,
        ("key", None),
    ]
    assert check(app) == [("key", None)]


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("UPDATE account SET name = 'alice' WHERE id = 2", "account."),
        ("UPDATE account SET name = 'аlice' WHERE id = 2", "account."),  # noqa: RUF001
        ("UPDATE entry SET name = 'PROJECTS' WHERE id = 5", "entry.parent_id, entry.name_key"),
    ],
)
def test_two_of_one_name_are_refused_by_a_restore_whatever_their_keys(
    statement: str, column: str, load: Callable[[str], Flask], new: Flask, tmp_path: Path
) -> None:
    app = load(statement)
    before = everything(Path(new.config["DATA"]))
    code, err = restore(app, new, tmp_path)
    assert code == 1
    assert f"UNIQUE constraint failed: {column}" in err
    assert everything(Path(new.config["DATA"])) == before
    check(app, "--repair")
    assert check(app) == ([] if "entry" in statement else [("key", None)])


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("used = 35", "account, row 1, counts other bytes than its files have"),
        ("quota = -1", "account.quota, row 1 is nothing that the portal writes"),
        ("id = 9, used = 0", "a row of "),
    ],
)
def test_backup_that_no_restore_takes_says_so(
    statement: str, named: str, load: Callable[[str], Flask], tmp_path: Path
) -> None:
    app = load(f"UPDATE account SET {statement} WHERE id = 1")  # noqa: S608
    result = app.test_cli_runner().invoke(portal, ["backup", str(tmp_path / "portal.tar")])
    assert result.exit_code == 1
    assert f"Damaged: the database, and no restore takes it: {named}" in result.stderr


def test_check_survives_an_owner_that_is_missing(load: Callable[[str], Flask]) -> None:
    app = load("UPDATE entry SET owner_id = 9 WHERE id = 7")
    assert check(app) == [("database", None), ("folder", None)]
