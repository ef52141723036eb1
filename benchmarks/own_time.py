"""What the extension itself costs in a request, beside an empty view: no server, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter_ns
from typing import Any

from flask import Flask
from werkzeug.test import create_environ

from flask_delegate import Delegate, delegated
from flask_delegate.servers.handshake import environ_key
from tests.support.extension import SECRET
from tests.support.sites import new_site

from .results import Table
from .servers import SMALL, fill


def own_time(*, rounds: int, requests: int) -> Iterator[Table]:
    """Measure how long the application takes for each, one request after the other in turn."""
    table = Table(
        "own time",
        "Microseconds in the application for one request: an empty Flask view, one that hands a"
        " file off, and what that takes more.",
        "µs",
        baseline="an empty Flask view",
        ours="handed off",
        less_is_better=True,
    )
    with new_site() as site:
        fill(site, 0)
        app = _application(str(site.root))
        environ = _as_under_apache(app)
        _check(app, environ)
        for _ in range(rounds):
            empty, handed_off = [], []
            for _ in range(requests):
                empty.append(_time(app, environ | create_environ("/empty")))
                handed_off.append(_time(app, environ | create_environ(f"/handoff/{SMALL}")))
            table.add("an empty Flask view", median(empty) / 1000)
            table.add("handed off", median(handed_off) / 1000)
            table.add("the extension's own", (median(handed_off) - median(empty)) / 1000)
    own = median(table.rows["the extension's own"])
    said = "met" if own <= 50 else "NOT MET"
    table.notes.append(f"{said}: the extension's own time is {own:.0f} µs, the target ≤ 50 µs")
    yield table


def _application(root: str) -> Flask:
    app = Flask("own_time", static_folder=None)
    app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=root)
    Delegate(app)
    app.add_url_rule("/empty", "empty", lambda: "")
    decorate: Callable[..., Any] = delegated(lambda name: True)  # noqa: ARG005
    app.add_url_rule("/handoff/<name>", "handoff", decorate(lambda name: name))
    return app


def _as_under_apache(app: Flask) -> dict[str, Any]:
    state = app.extensions["delegate"]
    fingerprint = state.keys["default"][0].fingerprint
    return {"mod_wsgi.process_group": "bench", environ_key(fingerprint): "/private/"}


def _check(app: Flask, environ: dict[str, Any]) -> None:
    """Make sure that it is a hand-off that is measured."""
    answer = app.test_client().get(f"/handoff/{SMALL}", environ_overrides=environ)
    assert answer.headers["Location"].startswith("/private/")


def _time(app: Flask, environ: dict[str, Any]) -> int:
    start = perf_counter_ns()
    body = app(environ, lambda *_: lambda _: None)
    b"".join(body)
    getattr(body, "close", lambda: None)()
    return perf_counter_ns() - start
