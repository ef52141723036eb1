"""Pages that show a secret once: reloading one creates nothing, and no second look shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import FileRequest, OneTimeLink, RecoveryCode, Role, Share
from portal.identity import second_factor
from portal.web import shown_once
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    links,
    make_folder,
    public_id,
    signed_in,
    token,
    upload,
)

SECRET = re.compile(r"<textarea[^>]*>([^<]+)</textarea>|<li><code>([^<]+)</code>")


def share(client: FlaskClient) -> str:
    upload(client, "a.txt")
    return f"/entries/{public_id(links(client)['a.txt'])}/share"


def ask(client: FlaskClient) -> str:
    return f"{make_folder(client, 'Inbox')}/request"


def invite(_: FlaskClient) -> str:
    return "/invitations"


def reset(_: FlaskClient) -> str:
    alice = accounts.find("alice")
    assert alice
    return f"/accounts/{alice.id}/reset-link"


def renew(_: FlaskClient) -> str:
    root = accounts.find("root")
    assert root
    second_factor.begin(root)
    assert second_factor.confirm(root, pyotp.TOTP(root.totp_secret or "").now())
    return "/account/second-factor/recovery-codes"


FORMS: dict[Callable[[FlaskClient], str], type] = {
    share: Share,
    ask: FileRequest,
    invite: OneTimeLink,
    reset: OneTimeLink,
    renew: RecoveryCode,
}
"""What returns the address of a form, and the rows that sending it creates."""


@pytest.fixture
def root(app: Flask) -> Iterator[FlaskClient]:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    client = signed_in(app, "root")
    with app.app_context():
        yield client


def count(kind: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(kind)) or 0


@pytest.mark.parametrize(("form", "kind"), FORMS.items(), ids=lambda one: one.__name__)
def test_secret_is_shown_once_and_a_reload_creates_nothing(
    form: Callable[[FlaskClient], str], kind: type, root: FlaskClient
) -> None:
    address = form(root)
    answer = root.post(address, data={"csrf_token": token(root), "password": PASSWORD})
    assert answer.status_code == REDIRECT, answer.text
    created = count(kind)
    assert created in {1, second_factor.RECOVERY_CODES}

    page = root.get(answer.location)
    found = SECRET.search(page.text)
    assert found, page.text
    secret = (found[1] or found[2]).rpartition("/")[2]
    assert page.headers["Cache-Control"] == "no-store"  # nor does the back button show it
    assert page.headers["Content-Encoding"] == "identity"  # nor does its length tell anything of it
    assert "Accept-Encoding" not in page.vary
    assert secret not in answer.location

    again = root.get(answer.location)  # what a reload sends, and the back button
    assert again.status_code == REDIRECT
    after = root.get(again.location).text
    assert "shown only once" in after
    assert secret not in after
    assert count(kind) == created


def test_secret_that_no_page_asks_for_is_forgotten(
    root: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = root.post("/invitations", data={"csrf_token": token(root)})
    later = time.time() + shown_once._PATIENCE + 1
    monkeypatch.setattr("portal.web.shown_once.time.time", lambda: later)
    assert root.get(answer.location).status_code == REDIRECT


def test_another_page_leaves_the_secret_to_its_own(root: FlaskClient) -> None:
    answer = root.post("/invitations", data={"csrf_token": token(root)})
    assert root.get("/account/second-factor/recovery-codes").status_code == REDIRECT
    assert SECRET.search(root.get(answer.location).text)


def test_two_forms_sent_before_their_pages_are_shown_both(root: FlaskClient) -> None:
    addresses = [share(root), invite(root)]
    answers = [root.post(one, data={"csrf_token": token(root)}) for one in addresses]
    pages = [root.get(answer.location).text for answer in answers]
    assert len({shown[0] for page in pages if (shown := SECRET.search(page))}) == 2


def test_of_two_secrets_for_one_page_the_later_is_shown(root: FlaskClient) -> None:
    """The earlier recovery codes are not valid any more, and no page says whose link it is."""
    address = renew(root)
    form = {"csrf_token": token(root), "password": PASSWORD}
    answers = [root.post(address, data=form) for _ in range(2)]
    codes = re.findall(r"<li><code>([^<]+)</code>", root.get(answers[0].location).text)
    me = accounts.find("root")
    assert me
    assert len(codes) == 10
    assert second_factor.use_recovery_code(me, codes[0])
    assert root.get(answers[1].location).status_code == REDIRECT


def test_asking_for_a_page_with_head_uses_nothing_up(root: FlaskClient) -> None:
    answer = root.post("/invitations", data={"csrf_token": token(root)})
    assert root.head(answer.location).status_code == 200
    assert SECRET.search(root.get(answer.location).text)


def test_link_that_was_revoked_before_its_page_came_is_not_shown(root: FlaskClient) -> None:
    answer = root.post("/invitations", data={"csrf_token": token(root)})
    db.session.delete(db.session.scalars(select(OneTimeLink)).one())
    db.session.commit()
    assert root.get(answer.location).status_code == 404


def test_secret_does_not_outlive_the_session(root: FlaskClient) -> None:
    answer = root.post("/invitations", data={"csrf_token": token(root)})
    root.post("/sign-out", data={"csrf_token": token(root)})
    with root.session_transaction() as kept:
        assert not [value for value in kept.values() if "secret" in str(value)]
    assert root.get(answer.location).location.startswith("/sign-in")
