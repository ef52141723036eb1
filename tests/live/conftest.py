"""Fixtures that start real servers; they fail, and do not skip, where one cannot start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .apache import Server, Site, express, new_site
from .application import APPLICATION


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "live" in item.path.parts:
            item.add_marker(pytest.mark.live)


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as made:
        yield made


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with new_site() as made:
        made.write("report.txt")
        yield made


@pytest.fixture(scope="module")
def server(shared_site: Site) -> Iterator[Server]:
    """Give the test application with its generated configuration, HTTP/2 included."""
    with express(
        shared_site, APPLICATION, "--http2", include=shared_site.apache_config()
    ) as running:
        yield running
