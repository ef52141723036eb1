"""Unit tests use no web server, not even one that is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def without_servers() -> Iterator[None]:
    """Hide the system's programs, such as apache2 and nginx: the next machine may have none."""
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if not folder.rstrip("/").endswith("sbin")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join(kept))
        yield
