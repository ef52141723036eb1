"""How much of the suite runs: a part of it, or all with ``FAULTS=all``, as scripts/test sets it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SEED = os.environ.get("FAULTS_SEED", "1")
WHOLE = os.environ.get("FAULTS") == "all"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what makes calls to the disk fail, to be preloaded."""
    library = tmp_path_factory.mktemp("library") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", library, source, "-ldl"],
        check=True,
    )
    return library
