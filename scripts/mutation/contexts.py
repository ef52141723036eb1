"""A plugin of pytest under coverage.py: which test, its fixtures included, reached a line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coverage import Coverage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name the test that runs."""
    measuring = Coverage.current()
    assert measuring is not None  # noqa: S101 -- this is for a run under coverage.py
    measuring.switch_context(item.nodeid.partition("[")[0])
    return (yield)
