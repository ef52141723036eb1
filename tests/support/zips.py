"""A ZIP that the portal streams, beyond what 32 bits can count."""

from __future__ import annotations

import io
import os
import zlib
from datetime import UTC
from pathlib import Path

import pytest
import zipstream  # type: ignore[import-untyped]

from portal.core.models import now
from portal.files import zips
from portal.files.zips import Member
from portal.storage.disk import Disk

LARGE = 4 * 1024**3 + 4096
BEHIND = b"behind 4 GiB"


class Zeros(io.BytesIO):
    """What stands for a large file: a real one would take its time to read."""

    piece = bytes(zips._CHUNK)

    def read(self, size: int | None = -1, /) -> bytes:
        return self.piece if size == len(self.piece) else self.piece[:size]


def large_zip(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a ZIP with ``large.bin`` of :data:`LARGE` bytes, and ``after.txt`` behind it."""

    def quick_crc32(piece: bytes, value: int = 0) -> int:
        return value if piece is Zeros.piece else zlib.crc32(piece, value)

    def open_fake(_self: Disk, key: str) -> io.BytesIO:
        return Zeros() if key == "large" else io.BytesIO(BEHIND)

    monkeypatch.setattr(zipstream.ng, "crc32", quick_crc32)
    monkeypatch.setattr(Disk, "open", open_fake)
    listed = [
        Member("large.bin", now(), "large", LARGE),
        Member("after.txt", now(), "small", len(BEHIND)),
    ]
    length, pieces = zips.stream(listed, Disk(folder, folder), UTC)
    # A hole instead of zeros, so that this needs no room.
    with (path := folder / "a.zip").open("wb") as file:
        for piece in pieces:
            if piece is Zeros.piece:
                file.seek(len(piece), os.SEEK_CUR)
            else:
                file.write(piece)
    assert path.stat().st_size == length > LARGE
    return path
