"""What ``scripts/cluster`` takes for the first database server when it is started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.commands.cluster.postgresql import Databases

NOTHING: Any = None


def first_of(data: Path, *, standby: bool = True) -> str:
    return Databases(NOTHING, NOTHING, data, standby=standby).url.partition("host=")[2]


def take_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    ran: list[tuple[object, ...]] = []
    monkeypatch.setattr(Databases, "_run", lambda _, *words: ran.append(words))
    Databases(NOTHING, NOTHING, data, standby=True)._take_over()
    return ran


def test_server_that_took_over_is_the_first_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [f"{tmp_path}/postgresql", f"{tmp_path}/standby"]
    for first, other in (servers, servers[::-1], servers):
        assert first_of(tmp_path) == f"{first},{other}&target_session_attrs=read-write"
        assert first_of(tmp_path, standby=False) == first
        assert take_over(tmp_path, monkeypatch) == [
            ("pg_ctl", "promote", "-D", Path(other) / "data")
        ]
