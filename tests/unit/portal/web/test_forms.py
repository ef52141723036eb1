"""What a form takes, and what it does not take for one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.exceptions import NotFound

from portal.core.database import db
from portal.core.models import Entry, Share
from portal.web.forms import Form, Query
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    folders,
    links,
    make_folder,
    public_id,
    token,
    upload,
)


@pytest.mark.parametrize(
    "body", [{"username": "alice", "password": PASSWORD}, {"username": 1}, [1], 5, "\ud800"]
)
def test_json_is_no_form(anonymous: FlaskClient, body: object) -> None:
    headers = {"X-CSRFToken": token(anonymous)}
    assert anonymous.post("/sign-in", json=body, headers=headers).status_code == 422
    assert anonymous.get("/").status_code == REDIRECT  # not signed in


@pytest.mark.parametrize("folder", ["x" * 65, "   "])
def test_a_folder_that_cannot_be_moves_nothing(app: Flask, alice: FlaskClient, folder: str) -> None:
    inner = make_folder(alice, "Work")
    upload(alice, "a.txt", page=inner)
    form = {
        "csrf_token": token(alice),
        "entry": public_id(links(alice, inner)["a.txt"]),
        "folder": folder,
    }
    assert alice.post("/move", data=form).status_code == 404
    with app.app_context():
        moved = db.session.scalars(select(Entry).where(Entry.name == "a.txt")).one()
        home = db.session.scalars(select(Entry).where(Entry.name == "Work")).one()
        assert moved.parent_id == home.id
    assert list(folders(alice)) == ["Work"]


@pytest.mark.parametrize("query", ["action=bogus", f"actor={'x' * 65}", f"name={'x' * 256}"])
def test_a_filter_that_cannot_match_shows_nothing(alice: FlaskClient, query: str) -> None:
    upload(alice, "a.txt")
    assert "a.txt" in alice.get("/activity").text  # also what was said of the upload
    assert "a.txt" in alice.get("/activity.csv").text
    refused = alice.get(f"/activity.csv?{query}")
    assert refused.status_code == 422
    assert "a.txt" not in refused.text


def test_a_new_share_has_the_password_that_was_entered(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    form = {"csrf_token": token(alice), "password": "correct horse", "no_password": "1"}
    page = f"/entries/{public_id(links(alice)['a.txt'])}/share"
    assert alice.post(page, data=form).status_code == REDIRECT
    with app.app_context():
        assert db.session.scalars(select(Share)).one().password_hash


WORDS_OF_WTFORMS = re.compile(
    "Not a valid|This field|Invalid|Field must|Number must|Unrecog|Choice"
)


def _forms() -> Iterator[type[Form]]:
    waiting = [Form]
    while waiting:
        waiting += (found := waiting.pop()).__subclasses__()
        if found not in {Form, Query}:
            yield found


@pytest.mark.parametrize("form", list(_forms()), ids=lambda form: form.__name__)
def test_each_error_is_in_the_portals_words(
    form: type[Form], app: Flask, alice: FlaskClient
) -> None:
    del alice
    with app.test_request_context("/"):
        names = [field.name for field in form()]
    for value in ("", "x", "-1", "9" * 30, "x" * 5000, "2027-02-30", "1e5", " "):
        if issubclass(form, Query):
            context = app.test_request_context("/", query_string=dict.fromkeys(names, value))
        else:
            data = dict.fromkeys(names, value)
            context = app.test_request_context("/", method="POST", data=data)
        with context:
            try:
                made = form()
            except NotFound:
                continue
            if not isinstance(made, Query):  # which is by now
                made.validate()
            for name, errors in made.errors.items():
                for error in errors if name != "csrf_token" else ():
                    assert not WORDS_OF_WTFORMS.match(str(error)), (name, value, error)
                    assert error.endswith("."), (name, value, error)
