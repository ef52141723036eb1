"""Hosts are upgraded one after the other: older code goes on with what a newer one has added."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.core import database
from portal.core.database import db
from tests.support.portal import Run, links, upload

NEXT = """
import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "9998"
down_revision = "{newest}"


def upgrade():
    op.add_column("account", sa.Column("color", schema.text(16)))
    op.create_table("later", sa.Column("id", schema.NUMBER, primary_key=True))
    {more}
"""


@pytest.fixture
def upgrade_elsewhere(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Return a function by which another host, with newer code, upgrades the database."""

    def upgrade(more: str) -> None:
        newest = database.revisions()[0]
        folder = tmp_path / "migrations"
        shutil.copytree(database._MIGRATIONS, folder)
        (folder / "versions" / "next.py").write_text(NEXT.format(newest=newest, more=more))
        with monkeypatch.context() as patch, app.app_context():
            patch.setattr(database, "_MIGRATIONS", folder)
            database.revisions.cache_clear()
            assert database.upgrade() == (newest, "9998")
        database.revisions.cache_clear()

    return upgrade


def test_code_goes_on_with_a_schema_to_which_something_was_added(
    upgrade_elsewhere: Callable[[str], None], app: Flask, alice: FlaskClient, run: Run
) -> None:
    upload(alice, "before.txt")
    upgrade_elsewhere("pass")
    upload(alice, "after.txt")
    assert set(links(alice)) == {"before.txt", "after.txt"}
    assert alice.get("/healthz").json == {"status": "ok"}
    assert run("upgrade") == (0, "", "")
    assert run("accounts")[0] == 0
    with app.app_context():
        assert database.revision() == "9998"


def test_code_that_is_too_old_is_refused_in_words(
    upgrade_elsewhere: Callable[[str], None], alice: FlaskClient, run: Run
) -> None:
    upgrade_elsewhere("schema.note_oldest_code(revision)")
    assert alice.get("/healthz").json == {"status": "failing", "failing": ["schema"]}
    for command in ("upgrade", "accounts"):
        code, out, err = run(command)
        assert (code, out) == (1, "")
        assert "has the schema 9998, which this version of the portal does not know: a newer" in err


def test_schema_that_is_too_old_is_refused_in_words(run: Run) -> None:
    assert run("accounts") == (
        *(1, ""),
        "Error: The database is not up to date. Run: flask --app portal portal upgrade\n",
    )


@pytest.mark.parametrize("revision", ["other", "10000", "0006, 9998"])
def test_what_is_no_later_revision_does_not_fit(revision: str, app: Flask) -> None:
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM alembic_version")
            for one in revision.split(", "):
                connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{one}')")  # noqa: S608
        assert not database.schema_fits()
