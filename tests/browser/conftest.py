"""A real browser in front of the portal behind the real Apache, started by ``scripts/run``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import cluster
from tests.support.browser.portal import Portal, chromium, opened
from tests.support.portal_process import Run, shared_folder, started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="package")
def run() -> Iterator[Run]:
    with shared_folder() as folder, started(folder / "data", "--demo") as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def hosts() -> Iterator[Run]:
    with cluster.started() as running:
        yield running


@pytest.fixture
def portal(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Portal]:
    """Open the portal behind Apache, or where a test says so behind several hosts."""
    running = request.getfixturevalue(getattr(request, "param", "run"))
    with opened(running, browser) as portal:
        yield portal
