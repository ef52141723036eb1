"""What reverse proxies say of the client."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.portal import prepare, token


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:5007", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7:5007 ", "198.51.100.7"),
        ("[2001:db8::7]:5007", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("_hidden", "unknown"),
        ("198.51.100.7:x", "unknown"),
    ],
)
def test_address_is_read_in_each_form(
    said: str, seen: str, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROXIES=1)
    prepare(app)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = said
    form = {"csrf_token": token(client), "username": "alice", "password": "wrong password"}
    client.post("/sign-in", data=form)
    assert f"sign-in failed from {seen}: 'alice'" in caplog.text


@pytest.mark.parametrize(("hops", "said"), [(1, None), (1, ""), (2, "198.51.100.7"), (1, ",")])
def test_request_that_does_not_say_where_it_comes_from_is_refused(
    hops: int, said: str | None, make_app: Callable[..., Flask]
) -> None:
    headers = {} if said is None else {"X-Forwarded-For": said}
    answer = make_app(PROXIES=hops).test_client().get("/sign-in", headers=headers)
    assert answer.status_code == 400
    assert "X-Forwarded-For is missing, or too short for PORTAL_PROXIES" in answer.text
