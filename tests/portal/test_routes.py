"""Every route, for everybody: who gets what."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from .conftest import links, token, upload

SIGN_IN = "-> /sign-in"
# (method, rule): what an anonymous, the owner and another person get.
EXPECTED: dict[tuple[str, str], tuple[int | str, int | str, int | str]] = {
    ("GET", "/static/<path:filename>"): (200, 200, 200),
    ("GET", "/healthz"): (200, 200, 200),
    ("GET", "/sign-in"): (200, 302, 302),
    ("POST", "/sign-in"): (422, 302, 302),
    ("POST", "/sign-out"): (SIGN_IN, SIGN_IN, SIGN_IN),
    ("GET", "/"): (SIGN_IN, 200, 200),
    ("POST", "/files"): (SIGN_IN, 302, 302),
    ("GET", "/files/<public_id>"): (SIGN_IN, 200, 404),
    ("GET", "/files/<public_id>/delete"): (SIGN_IN, 200, 404),
    ("POST", "/files/<public_id>/delete"): (SIGN_IN, 302, 404),
}
POSTS = [rule for method, rule in EXPECTED if method == "POST"]


def test_every_route_has_an_entry(app: Flask) -> None:
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(EXPECTED)


@pytest.mark.parametrize("person", ["anonymous", "owner", "other"])
@pytest.mark.parametrize(("method", "rule"), EXPECTED)
def test_route_answers_whoever_asks(
    method: str,
    rule: str,
    person: str,
    anonymous: FlaskClient,
    alice: FlaskClient,
    bob: FlaskClient,
) -> None:
    upload(alice, "a.txt")
    client = {"anonymous": anonymous, "owner": alice, "other": bob}[person]
    form = {"csrf_token": token(client)} if method == "POST" else {}

    response = client.open(_url(rule, alice), method=method, data=form)

    expected = EXPECTED[method, rule][["anonymous", "owner", "other"].index(person)]
    if expected == SIGN_IN:
        assert response.status_code == 302
        assert response.location.partition("?")[0] == "/sign-in"
    else:
        assert response.status_code == expected
    response.close()
    if person != "owner":
        assert "a.txt" in links(alice) or rule == "/sign-out"


@pytest.mark.parametrize(("method", "rule"), [key for key in EXPECTED if "<public_id>" in key[1]])
def test_another_persons_file_looks_like_a_missing_one(
    method: str, rule: str, alice: FlaskClient, bob: FlaskClient
) -> None:
    upload(alice, "a.txt")
    form = {"csrf_token": token(bob)} if method == "POST" else {}
    theirs = bob.open(_url(rule, alice), method=method, data=form)
    missing = bob.open(rule.replace("<public_id>", "x" * 32), method=method, data=form)

    assert theirs.status_code == missing.status_code == 404
    assert _without_token(theirs.text) == _without_token(missing.text)
    assert _constant(theirs.headers) == _constant(missing.headers)


@pytest.mark.parametrize("rule", POSTS)
@pytest.mark.parametrize("form", [{}, {"csrf_token": "wrong"}])
def test_form_without_its_token_is_refused(
    rule: str, form: dict[str, str], alice: FlaskClient
) -> None:
    upload(alice, "a.txt")
    response = alice.post(_url(rule, alice), data=form)
    assert response.status_code == 400
    assert "The form has expired" in response.text
    assert "a.txt" in links(alice)


def test_sign_in_without_token_is_refused_for_anonymous(anonymous: FlaskClient) -> None:
    form = {"username": "alice", "password": "correct horse"}
    assert anonymous.post("/sign-in", data=form).status_code == 400


def test_wrong_method_is_405_with_allow(alice: FlaskClient) -> None:
    response = alice.get("/sign-out")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert "<h1>Not possible here</h1>" in response.text


def _url(rule: str, owner: FlaskClient) -> str:
    # Asked for only where it matters, as signing out ends the owner's session.
    if "<public_id>" in rule:
        return rule.replace("<public_id>", links(owner)["a.txt"].rpartition("/")[2])
    return rule.replace("<path:filename>", "portal.css")


def _without_token(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "csrf_token" not in line)


def _constant(headers: object) -> list[tuple[str, str]]:
    pairs = list(headers)  # type: ignore[call-overload]
    return [(name, value) for name, value in pairs if name not in {"Set-Cookie", "Content-Length"}]
