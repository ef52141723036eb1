"""The doctor's file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flask_delegate.doctor import probe


def test_the_probe_file_is_taken_away(root: Path) -> None:
    with probe.probe_file(str(root)) as made:
        path = root / made.name
        assert path.read_bytes() == made.content
        assert path.stat().st_mode & 0o777 == 0o644
        assert time.time() - path.stat().st_mtime > 3000
        assert made.content.count(made.marker) > 100
        assert made.marker.decode() not in made.name
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), probe.probe_file(str(root)):
        raise ZeroDivisionError
    assert [path.name for path in root.iterdir()] == ["report.txt"]
