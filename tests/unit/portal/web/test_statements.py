"""Each page asks the database as often for a hundred rows as for ten, and only a few times."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.identity import passwords
from tests.support.portal import cheap_hasher, links, upload
from tests.support.statements import statements, statements_of_pages

MOST = 6
FEW, MANY = 10, 100


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", cheap_hasher())
        few, many = (
            statements_of_pages(tmp_path_factory.mktemp(f"{rows}").resolve() / "data", rows)
            for rows in (FEW, MANY)
        )
    return {name: [few[name], many[name]] for name in few}


PAGES = (
    *("list", "search", "trash", "links", "activity", "everybody's activity", "accounts"),
    *("invitations", "account", "move", "seen", "details", "details of a folder", "unfinished"),
    *("activity of a link", "share"),
    *("shared", "asked for"),
)


@pytest.mark.parametrize("page", PAGES)
def test_page_asks_as_often_for_many_rows_as_for_a_few(
    page: str, numbers: dict[str, list[list[str]]]
) -> None:
    few, many = numbers[page]
    assert many == few
    assert len(many) <= MOST, many


def test_all_pages_are_counted(numbers: dict[str, list[list[str]]]) -> None:
    assert set(numbers) == set(PAGES)


def test_download_asks_once(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    address = links(alice)["a.txt"]
    with statements(app) as noted, alice.get(address) as response:
        assert response.status_code == 200
    assert len(noted) == 1, noted
