from __future__ import annotations

import pytest

from tests.support import bucket, postgresql
from tests.support.portal_fixtures import *  # noqa: F403


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about another database, or another place of files, than the tests use."""
    others = {"sqlite" if postgresql.SERVER else "postgresql"}
    others |= {"disk"} if bucket.found() else set()
    left_out = [item for item in items if any(map(item.get_closest_marker, others))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
