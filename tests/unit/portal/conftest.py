from __future__ import annotations

import pytest

from tests.support import bucket
from tests.support.portal_fixtures import *  # noqa: F403


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about files on disk, where they are kept in a bucket."""
    if bucket.found():
        left_out = [item for item in items if item.get_closest_marker("disk")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
