"""Lists that grow with the organisation: each page has a part, and costs the same."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from itertools import chain

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, OneTimeLink, Role, now
from tests.support.portal import PASSWORD, signed_in

MANY = 250
NAME = re.compile(r'<th scope="row">(?:<a [^>]*>)?<bdi>([^<]*)</bdi>')
NEXT = re.compile(r'rel="next" href="([^"]+)"')


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def add_accounts(app: Flask, numbers: range) -> None:
    with app.app_context():
        for number in numbers:
            key = f"user {number}"
            db.session.add(
                Account(
                    name=key, name_key=key, skeleton=key, password_hash="none", role=Role.MEMBER
                )
            )
        db.session.commit()


def add_invitations(app: Flask, numbers: range) -> None:
    with app.app_context():
        for number in numbers:
            expires_at = now() + timedelta(days=1)
            token_hash, note = f"hash {number}", f"guest {number}"
            db.session.add(
                OneTimeLink(
                    token_hash=token_hash, role=Role.MEMBER, note=note, expires_at=expires_at
                )
            )
        db.session.commit()


def pages(client: FlaskClient, path: str) -> list[str]:
    """Return the pages of a list, from the first to the last."""
    found = [client.get(path).text]
    while more := NEXT.search(found[-1]):
        found.append(client.get(html.unescape(more[1])).text)
    return found


def statements(app: Flask, client: FlaskClient, path: str) -> int:
    counted = []

    def note(*_words: object) -> None:
        counted.append(1)

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
        assert client.get(path).status_code == 200
        event.remove(db.engine, "before_cursor_execute", note)
    return len(counted)


def test_each_account_is_on_one_page_in_the_order_of_names(app: Flask, root: FlaskClient) -> None:
    add_accounts(app, range(MANY))
    found = pages(root, "/accounts")
    names = [NAME.findall(page) for page in found]
    with app.app_context():
        every = [account.name for account, _ in accounts.list_with_last_use()]
    assert [len(some) for some in names] == [100, 100, len(every) - 200]
    assert list(chain.from_iterable(names)) == every
    assert every.index("user 9") < every.index("user 10")
    assert all(f"{len(every)} accounts." in page for page in found)
    assert ["← First" in page for page in found] == [False, True, True]


def test_each_invitation_is_on_one_page_the_latest_first(app: Flask, root: FlaskClient) -> None:
    add_invitations(app, range(MANY))
    found = pages(root, "/invitations")
    names = [NAME.findall(page) for page in found]
    assert [len(some) for some in names] == [100, 100, 50]
    assert list(chain.from_iterable(names)) == [
        f"guest {number}" for number in reversed(range(MANY))
    ]
    assert ["← Latest" in page for page in found] == [False, True, True]


@pytest.mark.parametrize(
    ("path", "add"), [("/accounts", add_accounts), ("/invitations", add_invitations)]
)
def test_page_needs_as_many_statements_for_many_as_for_few(
    path: str, add: object, app: Flask, root: FlaskClient
) -> None:
    assert callable(add)
    add(app, range(10))
    few = statements(app, root, path)
    add(app, range(10, MANY))
    assert statements(app, root, path) == few


@pytest.mark.parametrize("mark", ["x", "-1", "0", "999999", "9" * 30])
def test_page_that_is_none_is_the_first(mark: str, app: Flask, root: FlaskClient) -> None:
    add_accounts(app, range(3))
    assert "user 2" in root.get(f"/accounts?after={mark}").text
    assert root.get(f"/invitations?before={mark}").status_code == 200
