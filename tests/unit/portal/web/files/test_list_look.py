"""How a browser shows lists: what it remembers, and what it is asked for."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.support.portal import listed_names, make_folder, signed_in, token, upload


@pytest.fixture
def page(alice: FlaskClient) -> str:
    address = make_folder(alice, "Inner")
    for name, content in (("a.txt", b"22"), ("b.txt", b"333"), ("c.txt", b"1")):
        upload(alice, name, content, page=address)
    return address


def test_order_is_that_of_the_list_before(alice: FlaskClient, page: str) -> None:
    by_name, by_size = ["a.txt", "b.txt", "c.txt"], ["b.txt", "a.txt", "c.txt"]
    assert listed_names(alice.get(page).text) == by_name
    assert alice.get_cookie("sort") is None
    alice.get(f"{page}?sort=size&order=descending")
    kept = alice.get_cookie("sort")
    assert kept
    assert (kept.value, kept.max_age, kept.same_site) == ("size-descending", 31536000, "Lax")
    text = alice.get(page).text
    assert listed_names(text) == by_size
    # The way back to the usual order says so.
    assert f'href="{page}?sort=name"' in text
    assert listed_names(alice.get(f"{page}?sort=name").text) == by_name
    assert listed_names(alice.get(page).text) == by_name
    text = alice.get(page).text
    assert f'href="{page}?select=all"' in text


@pytest.mark.parametrize(
    "written", ["x", "-descending", "size-", "id", "name-descending-descending"]
)
def test_order_that_is_none_is_by_name(written: str, alice: FlaskClient, page: str) -> None:
    alice.set_cookie("sort", written)
    assert listed_names(alice.get(page).text) == ["a.txt", "b.txt", "c.txt"]


def test_page_shows_a_file_in_the_order_that_is_remembered(alice: FlaskClient, page: str) -> None:
    alice.get(f"{page}?sort=size")
    (first,) = re.findall(r'href="/files/([^"/]+)/view[^"]*"[^>]*><bdi>a.txt', alice.get(page).text)
    target = alice.get(f"/entries/{first}/folder").location
    assert "a.txt" in listed_names(alice.get(target).text)
    assert "The list has changed" not in alice.get(target).text


def test_view_is_remembered_beside_other_accounts(alice: FlaskClient, page: str) -> None:
    assert 'id="entries" data-view="list"' in alice.get(page).text
    form = {"csrf_token": token(alice), "view": "grid", "next": page}
    assert alice.post("/view", data=form).location == page
    text = alice.get(page).text
    assert 'id="entries" data-view="grid"' in text
    assert re.search(r'value="grid" aria-pressed="true"', text)
    alice.post("/view", data=form | {"view": "<script>"})
    assert 'id="entries" data-view="grid"' in alice.get(page).text
    alice.set_cookie("view", "table")
    assert 'id="entries" data-view="list"' in alice.get(page).text
    other = signed_in(alice.application, "bob")
    assert 'data-view="grid"' not in other.get("/").text
