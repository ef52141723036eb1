"""Fixtures that start real servers; they fail, and do not skip, where one cannot start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_delegate.testing import Apache, ServeWithApache, serve_with_apache
from tests.support.application import APPLICATION
from tests.support.sites import Site, new_site

__all__ = ["serve_with_apache"]


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
def server(shared_site: Site, serve_with_apache: ServeWithApache) -> Iterator[Apache]:
    """Return the test application with its generated configuration, HTTP/2 included."""
    (shared_site.app / "served.py").write_text(shared_site.source(APPLICATION))
    with serve_with_apache("served:app", folder=shared_site.app, options=["--http2"]) as apache:
        yield apache
