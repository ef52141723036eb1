"""An installed portal for each server, each in a container of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import authority
from tests.support.containers import booted
from tests.support.installed import SERVERS, Installed, installed_with


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "deploy" in item.path.parts:
            item.add_marker(pytest.mark.root)


@pytest.fixture(scope="module", params=SERVERS)
def installed(request: pytest.FixtureRequest) -> Iterator[Installed]:
    with booted() as container:
        authority.start(container)
        yield installed_with(container, request.param, *authority.OPTIONS)
