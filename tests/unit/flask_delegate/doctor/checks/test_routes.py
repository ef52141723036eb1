"""The doctor finds the routes that call Flask's send_file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask, send_file
from flask.views import MethodView

from flask_delegate.doctor.checks.routes import _findings, calls_send_file
from flask_delegate.doctor.finding import Level
from tests.support.doctor import run
from tests.support.extension import Factory


def direct() -> Any:
    return send_file("x")


def by_module() -> Any:
    return flask.send_from_directory("x", "y")


def by_helper() -> Any:
    return direct()


def nested() -> Any:
    return [send_file(name) for name in "ab"]


def decorated(view: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(view)
    def wrapped() -> Any:
        return view()

    return wrapped


def badly_decorated(view: Callable[[], Any]) -> Callable[[], Any]:
    def wrapped() -> Any:
        return view()

    return wrapped


class Class(MethodView):
    def get(self) -> Any:
        return by_helper()


def other() -> Any:
    return flask.render_template("send_file")


def endless() -> Any:
    return endless()


@pytest.mark.parametrize(
    "view",
    [
        *(direct, by_module, by_helper, nested, decorated(direct), badly_decorated(by_helper)),
        Class.as_view("class"),
    ],
)
def test_calls_are_found(view: Callable[[], Any]) -> None:
    assert calls_send_file(view)


@pytest.mark.parametrize("view", [other, endless, decorated(other), object(), print])
def test_nothing_else_is(view: object) -> None:
    assert not calls_send_file(view)


def _app(make_app: Factory, **settings: Any) -> Flask:
    app = make_app(**settings)
    app.add_url_rule("/a/<name>", "sending", direct)
    app.add_url_rule("/other", "other", other)
    return app


def test_routes_are_named_without_a_server(make_app: Factory) -> None:
    _, output = run(_app(make_app, DELEGATE_SEND_FILE=True))
    assert "skipped send-file: /a/<name> (sending) calls send_file" in output
    assert "/other" not in output
    assert "send-file" not in run(_app(make_app))[1]


def test_what_was_seen_is_said() -> None:
    (found,) = _findings("/a", {"handed-off": (2, "")}, ("", ""))
    assert found.level == Level.OK
    reasons = {"handed-off": (2, ""), "cookie": (1, "a cookie."), "odd": (3, "b.")}
    cookie, odd = _findings("/a", {**reasons}, ("", ""))
    assert cookie.level == odd.level == Level.WARNING
    assert cookie.seen == "/a: handed off 2 times; streamed once: a cookie."
    assert cookie.fix == "Set the cookie in another request."
    assert odd.seen == "/a: handed off 2 times; streamed 3 times: b."
    assert odd.fix.startswith("Nothing to do")
