from __future__ import annotations

import pytest

from tests.support import postgresql
from tests.support.portal_fixtures import *  # noqa: F403


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about SQLite itself where the tests use another database."""
    left_out = [item for item in items if item.get_closest_marker("sqlite")]
    if postgresql.SERVER and left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
