from __future__ import annotations

import pytest

from tests.support import postgresql
from tests.support.portal_fixtures import *  # noqa: F403


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other database than the one that the tests use."""
    other = "sqlite" if postgresql.SERVER else "postgresql"
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
