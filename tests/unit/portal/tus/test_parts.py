"""Unfinished uploads of several hosts consist of what was acknowledged, and of nothing else."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from portal.storage import parts
from portal.storage.base import StoreAwayError
from portal.storage.parts import Parts, Piece

LENGTH = 10**6


class InMemory:
    """A mirror that may fail, and knows no older host."""

    def __init__(self) -> None:
        self.pieces: dict[Piece, bytes] = {}
        self.fails_at = LENGTH
        self._numbers = count()

    def put(self, key: str, descriptor: int, start: int, end: int) -> Iterator[Piece]:
        del key
        while start < end:
            content = os.pread(descriptor, min(64, end - start), start)
            piece = Piece(start, start + len(content), str(next(self._numbers)))
            self._try()
            self.pieces[piece] = content
            start = piece.end
            yield piece

    def listed(self, key: str, acknowledged: int) -> Sequence[Piece]:
        del key, acknowledged
        return []

    def fetch(self, key: str, piece: Piece) -> bytes:
        del key
        self._try()
        return self.pieces[piece]

    def forget(self, key: str) -> None:
        del key
        self.pieces.clear()

    def all_uploads(self) -> Iterator[str]:
        return iter(())

    def _try(self) -> None:
        self.fails_at -= 1
        if not self.fails_at:
            raise StoreAwayError("not now")


@pytest.mark.parametrize("seed", range(20))
def test_what_was_acknowledged_stays_whatever_fails(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, mirror = random.Random(seed), InMemory()  # noqa: S311
    monkeypatch.setattr(parts, "_MOST_JOINED", rules.choice([8, 64, 256]))
    monkeypatch.setattr(parts, "_TRUSTED_EVERY", rules.choice([1, 100]))
    hosts = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        hosts.append(Parts(tmp_path / str(number), 0, mirror))
    key = hosts[0].create(LENGTH)
    content, recorded = b"", list[Piece]()
    for _ in range(100):
        mirror.fails_at = rules.choice([LENGTH, 1, 2, 3])
        with hosts[rules.randrange(3)].resume(key, LENGTH) as part:
            try:
                part.settle(len(content), recorded)
                for _ in range(rules.randrange(3)):
                    part.write(rules.randbytes(rules.choice([1, 2, 30, 200])))
                    size = part.sync()
                    if rules.random() < 0.3:  # another host was faster, or there is no room
                        part.cut(part.acknowledged)
                        continue
                    more = part.unrecorded
                    recorded = [piece for piece in recorded if piece.start < more[0].start]
                    recorded += more
                    content = part.path.read_bytes()[:size]
                    if rules.random() < 0.2:  # killed before it trusts what it holds
                        break
                    part.acknowledge()
            except StoreAwayError:
                pass
        assert b"".join(mirror.pieces[piece] for piece in recorded) == content
    mirror.fails_at = LENGTH
    for host in hosts:
        with host.resume(key, LENGTH) as part:
            part.settle(len(content), recorded)
            assert part.path.read_bytes() == content
    assert content


def test_hash_is_not_that_of_bytes_which_another_process_replaced(tmp_path: Path) -> None:
    """A process had written as many bytes, and nobody acknowledged them."""
    (tmp_path / "incoming").mkdir()
    kept = Parts(tmp_path / "incoming", 0)
    key = kept.create(8)
    with kept.open(key, 8) as part:
        part.write(b"XXXX")
        _ = part.sha256
    path = tmp_path / "incoming" / "parts" / key
    path.write_bytes(b"YYYY")  # by another process
    with kept.open(key, 8) as part:
        part.settle(4)
        part.write(b"ZZZZ")
        assert part.sha256 == hashlib.sha256(b"YYYYZZZZ").hexdigest()


def test_what_another_host_acknowledged_is_not_taken_from_here(tmp_path: Path) -> None:
    """There was a mirror before, and what this host wrote was refused."""
    (tmp_path / "incoming").mkdir()
    before, now = (Parts(tmp_path / "incoming", 0, mirror) for mirror in (InMemory(), None))
    key = before.create(8)
    with before.open(key, 8) as part:
        part.write(b"AB")
        part.sync()
        part.acknowledge()
        part.write(b"XX")  # another host had acknowledged other bytes here
    with now.open(key, 8) as part:
        part.settle(4)
        assert part.size == 2
        part.write(b"CD")
        part.sync()
    with now.open(key, 8) as part:
        part.settle(4)
        assert part.path.read_bytes() == b"ABCD"
