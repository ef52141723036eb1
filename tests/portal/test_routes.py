"""Every route, for everybody: who gets what."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, update

from portal import accounts
from portal.database import db
from portal.models import Account, Role, SignIn

from .conftest import PASSWORD, links, signed_in, token, upload

SIGN_IN = "-> /sign-in"
Answer = int | str


class Answers(NamedTuple):
    """What each gets; the owner is the one that the rule's object belongs to.

    Who is deactivated, or whose session was ended, gets what an anonymous visitor gets.
    """

    anonymous: Answer
    owner: Answer
    other: Answer
    administrator: Answer


# An administrator is nobody special to other people's files.
EXPECTED: dict[tuple[str, str], Answers] = {
    ("GET", "/static/<path:filename>"): Answers(200, 200, 200, 200),
    ("GET", "/healthz"): Answers(200, 200, 200, 200),
    ("GET", "/sign-in"): Answers(200, 302, 302, 302),
    ("POST", "/sign-in"): Answers(422, 302, 302, 302),
    ("POST", "/sign-out"): Answers(SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    ("GET", "/"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/files"): Answers(SIGN_IN, 302, 302, 302),
    ("GET", "/files/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/files/<public_id>/delete"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/files/<public_id>/delete"): Answers(SIGN_IN, 302, 404, 404),
}
POSTS = [rule for method, rule in EXPECTED if method == "POST"]
OWNED = [key for key, answers in EXPECTED.items() if answers.other == 404]


class People:
    """Somebody of each kind; alice owns what the rules' parameters name."""

    def __init__(self, app: Flask) -> None:
        with app.app_context():
            accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        self.app = app
        self.anonymous = app.test_client()
        self.owner = signed_in(app, "alice")
        self.other = signed_in(app, "bob")
        self.administrator = signed_in(app, "root")
        upload(self.owner, "a.txt")

    @property
    def deactivated(self) -> FlaskClient:
        """The owner's browser, after the account was deactivated."""
        with self.app.app_context():
            db.session.execute(
                update(Account).where(Account.name == "alice").values(is_active=False)
            )
            db.session.commit()
        return self.owner

    @property
    def revoked(self) -> FlaskClient:
        """The owner's browser, after its session was ended."""
        with self.app.app_context():
            alice = accounts.find("alice")
            assert alice
            db.session.execute(delete(SignIn).where(SignIn.account_id == alice.id))
            db.session.commit()
        return self.owner


def file_id(people: People) -> str:
    return links(people.owner)["a.txt"].rpartition("/")[2]


# What stands for a parameter, by the rule's beginning; the longest that fits counts.
PARAMETERS: dict[str, Callable[[People], str]] = {
    "/static/": lambda _people: "portal.css",
    "/files/": file_id,
}


def url_of(rule: str, people: People) -> str:
    if "<" not in rule:
        return rule
    beginning = max((one for one in PARAMETERS if rule.startswith(one)), key=len)
    return re.sub("<[^>]+>", PARAMETERS[beginning](people), rule)


@pytest.fixture
def people(app: Flask) -> People:
    return People(app)


def test_every_route_has_an_entry(app: Flask) -> None:
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(EXPECTED)


@pytest.mark.parametrize("person", [*Answers._fields, "deactivated", "revoked"])
@pytest.mark.parametrize(("method", "rule"), EXPECTED)
def test_route_answers_whoever_asks(method: str, rule: str, person: str, people: People) -> None:
    url = url_of(rule, people)
    client: FlaskClient = getattr(people, person)
    form = {"csrf_token": token(client)} if method == "POST" else {}

    response = client.open(url, method=method, data=form)

    expected = getattr(EXPECTED[method, rule], person, EXPECTED[method, rule].anonymous)
    if expected == SIGN_IN:
        assert response.status_code == 302
        assert response.location.partition("?")[0] == "/sign-in"
    else:
        assert response.status_code == expected
    response.close()
    if person in {"other", "administrator"}:
        assert "a.txt" in links(people.owner)


@pytest.mark.parametrize("person", ["other", "administrator"])
@pytest.mark.parametrize(("method", "rule"), OWNED)
def test_another_persons_thing_looks_like_a_missing_one(
    method: str, rule: str, person: str, people: People
) -> None:
    client: FlaskClient = getattr(people, person)
    form = {"csrf_token": token(client)} if method == "POST" else {}
    theirs = client.open(url_of(rule, people), method=method, data=form)
    missing = client.open(re.sub("<[^>]+>", "x" * 32, rule), method=method, data=form)

    assert theirs.status_code == missing.status_code == 404
    assert _without_token(theirs.text) == _without_token(missing.text)
    assert _constant(theirs.headers) == _constant(missing.headers)


@pytest.mark.parametrize("rule", POSTS)
@pytest.mark.parametrize("form", [{}, {"csrf_token": "wrong"}])
def test_form_without_its_token_is_refused(rule: str, form: dict[str, str], people: People) -> None:
    # An administrator's forms are the administrator's, all else is the owner's.
    client = people.administrator if EXPECTED["POST", rule].owner == 403 else people.owner
    response = client.post(url_of(rule, people), data=form)
    assert response.status_code == 400
    assert "The form has expired" in response.text
    assert "a.txt" in links(people.owner)


def test_sign_in_without_token_is_refused_for_anonymous(anonymous: FlaskClient) -> None:
    form = {"username": "alice", "password": PASSWORD}
    assert anonymous.post("/sign-in", data=form).status_code == 400


def test_wrong_method_is_405_with_allow(alice: FlaskClient) -> None:
    response = alice.get("/sign-out")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert "<h1>Not possible here</h1>" in response.text


def _without_token(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "csrf_token" not in line)


def _constant(headers: object) -> list[tuple[str, str]]:
    pairs = list(headers)  # type: ignore[call-overload]
    return [(name, value) for name, value in pairs if name not in {"Set-Cookie", "Content-Length"}]
