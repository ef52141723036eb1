from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import bindparam, select
from sqlalchemy.exc import DatabaseError, MultipleResultsFound, StatementError

from portal.core.database import db
from portal.core.models import Account, now
from portal.core.prepared import Prepared

_NAMES = select(Account.name, Account.quota).order_by(Account.id)
_ALICE = Prepared(_NAMES.where(Account.name_key == bindparam("key")))
_OLDER = _NAMES.where(Account.created_at <= bindparam("latest"), Account.name_key != "bob")


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(("key", "found"), [("alice", True), ("nobody", False), ("' OR 1", False)])
def test_row_is_what_sqlalchemy_finds(key: str, found: bool) -> None:
    statement = _NAMES.where(Account.name_key == key)
    expected = db.session.execute(statement).one_or_none()
    assert _ALICE.one_or_none({"key": key}) == (tuple(expected) if expected else None)
    assert (expected is not None) == found


@pytest.mark.usefixtures("context")
def test_times_are_compared_and_constants_kept() -> None:
    created = db.session.scalars(select(Account.created_at).where(Account.name == "alice")).one()
    older = Prepared(_OLDER)
    assert older.one_or_none({"latest": created}) is not None
    assert older.one_or_none({"latest": created.replace(year=2000)}) is None
    assert older.one_or_none({"latest": now()}) == ("alice", None)


@pytest.mark.usefixtures("context")
def test_several_rows_are_an_error() -> None:
    both = Prepared(_NAMES.where(Account.created_at <= bindparam("latest")))
    with pytest.raises(MultipleResultsFound):
        both.one_or_none({"latest": now()})


@pytest.mark.usefixtures("context")
def test_parameter_that_is_missing_is_an_error() -> None:
    with pytest.raises((KeyError, StatementError), match="latest"):
        Prepared(_OLDER).one_or_none({})


@pytest.mark.sqlite("its file")
def test_error_is_sqlalchemys_and_the_connection_goes_back(app: Flask, data: Path) -> None:
    with app.app_context():
        db.engine.dispose()
        (data / "portal.db").write_bytes(b"no database" * 1000)
        for _ in range(3):
            with pytest.raises(DatabaseError):
                _ALICE.one_or_none({"key": "alice"})
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
