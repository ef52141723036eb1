"""How many passwords are hashed at once: each takes 64 MiB."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.identity import passwords


def test_one_password_is_hashed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock, running, most = threading.Lock(), [0], [0]

    class Hasher:
        def _work(self, *_: str) -> str:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.02)
            with lock:
                running[0] -= 1
            return "hash"

        hash = _work

        def verify(self, *words: str) -> str:
            return self._work(*words)

    monkeypatch.setattr(passwords, "hasher", Hasher())
    with ThreadPoolExecutor(12) as pool:
        checked = pool.map(lambda _: passwords.verify("hash", "password"), range(12))
        made = pool.map(lambda _: passwords.hash_password("password"), range(12))
        assert [*checked, *made] == [True] * 12 + ["hash"] * 12
    assert most == [1]
