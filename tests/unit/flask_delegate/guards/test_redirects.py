from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from flask import Flask, Response

from flask_delegate import Delegate, UnmintedRedirect, delegated, send_via_apache
from flask_delegate.guards.redirects import (
    MINTED,
    guarded,
    stop_unminted,
    stop_unminted_header,
)
from tests.support.extension import Factory, behind_apache

DAEMON: dict[str, Any] = {"mod_wsgi.process_group": "localhost:8000"}
LOCATION = "/private/x?k=t"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("Location", "/admin")]),
        ("200 OK", [("location", "  /admin")]),
        ("200 OK", [("LOCATION ", "\t/admin")]),
        ("200 OK", [("Location", "//private/x")]),
        ("200", [("Location", "/admin")]),
        (" 0200 Whatever", [("Location", "/admin")]),
        ("302 Found", [("Location", "/admin"), ("Status", "200 OK")]),
        ("302 Found", [("Location", "/admin"), ("status", " 200")]),
        ("200 OK", [("Location", "https://example.org/"), ("Location", "/admin")]),
        ("200 OK", [("Location", "/admin"), ("Location", "https://example.org/")]),
        ("200 OK", [("Location", LOCATION + "&more")]),
        ("200 OK", [("Location", LOCATION), ("Location", LOCATION)]),
        ("200 OK", [("Location", LOCATION), ("Status", "200 OK")]),
        ("302 Found", [("Location", "/admin"), ("Status", "4294967496")]),
        ("302 Found", [("Location", "/admin"), ("Status", "302 Found")]),
        ("200 OK", [("Location\0", "/admin")]),
        ("206 Partial Content", [("Location", LOCATION)]),
        ("304 Not Modified", [("Location", LOCATION)]),
        ("302 Found", [("Location", "https://example.org" + LOCATION)]),
    ],
)
@pytest.mark.parametrize("server", [DAEMON, {"SCGI": "1"}], ids=["mod_wsgi", "scgi"])
def test_what_was_not_minted_is_stopped(
    server: dict[str, Any], status: str, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(UnmintedRedirect) as caught:
        stop_unminted((), {**server, MINTED: [LOCATION]}, status, headers)
    assert caught.value.status == status
    found = [value for name, value in headers if "tatus" not in name]
    assert caught.value.location == found[-1].strip()


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("Location", LOCATION)]),
        ("200 OK", [("Content-Location", "/x")]),
        ("302 Found", [("Location", "/next")]),
        ("201 Created", [("Location", "/made")]),
        ("2000 Odd", [("Location", "/odd")]),
        ("200 OK", [("Location", "https://example.org/")]),
        ("404 Not Found", []),
    ],
)
def test_everything_else_passes(status: str, headers: list[tuple[str, str]]) -> None:
    stop_unminted((), {**DAEMON, MINTED: [LOCATION]}, status, headers)


def test_other_servers_do_not_follow_a_location() -> None:
    for environ in ({}, {"mod_wsgi.process_group": ""}):
        stop_unminted((), environ, "200 OK", [("Location", "/admin")])


def test_a_stopped_redirect_is_a_500_that_is_reported() -> None:
    reported: list[UnmintedRedirect] = []

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        del environ
        start_response("200 OK", [("Location", "/admin")])
        return [b"body"]

    started: list[tuple[str, list[tuple[str, str]]]] = []
    guard = guarded(application, [partial(stop_unminted, ())], reported.append)
    body = guard(dict(DAEMON), lambda status, headers: started.append((status, headers)))  # type: ignore[arg-type]
    assert list(body) == [b"Internal Server Error\n"]
    assert [status for status, _ in started] == ["500 Internal Server Error"]
    assert reported[0].location == "/admin"


def test_a_handoff_that_was_changed_on_its_way_does_not_leave(app: Flask) -> None:
    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        return "report.txt"

    @app.after_request
    def tamper(response: Response) -> Response:
        response.status_code = 206
        return response

    response = behind_apache(app).get("/file")
    assert response.status_code == 500
    assert "Location" not in response.headers


def test_a_handoff_is_good_for_its_own_request_only(app: Flask) -> None:
    minted: list[str] = []

    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        return "report.txt"

    @app.get("/replay")
    def replay() -> Response:
        return Response(headers={"Location": minted[0]})

    client = behind_apache(app)
    minted.append(client.get("/file").headers["Location"])
    assert client.get("/replay").status_code == 500


def test_middleware_that_copies_the_environ_changes_nothing(make_app: Factory) -> None:
    app = Flask("copied", static_folder=None)
    app.config.update(make_app().config)
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(dict(environ), start)  # type: ignore[assignment]
    Delegate(app)
    status = 200

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.status_code = status
        return response

    assert behind_apache(app).get("/file").headers["Location"].startswith("/private/")
    status = 201
    changed = behind_apache(app).get("/file")
    assert (changed.status_code, "Location" in changed.headers) == (500, False)


def test_the_first_of_two_handoffs_may_be_returned(app: Flask) -> None:
    @app.get("/two")
    def two() -> Response:
        first = send_via_apache("report.txt")
        send_via_apache("report.txt", as_attachment=True)
        return first

    assert "inline" in behind_apache(app).get("/two").headers["Location"]


@pytest.mark.parametrize("name", ["X-Accel-Redirect", "X-Sendfile"])
def test_a_hand_off_header_passes_with_its_own_value_and_200_only(name: str) -> None:
    check = partial(stop_unminted_header, name, ())
    environ: dict[str, Any] = {MINTED: ["/private/x"]}
    check(environ, "200 OK", [("Content-Type", "text/html")])
    check(environ, "200 OK", [(name.lower(), "/private/x")])
    for status, headers in (
        ("206 Partial Content", [(name, "/private/x")]),
        ("304 Not Modified", [(name, "/private/x")]),
        ("200 OK", [(name, "/private/y")]),
        ("200 OK", [(name, "/private/x"), (name, "/private/x")]),
    ):
        with pytest.raises(UnmintedRedirect) as caught:
            check(environ, status, headers)
        assert caught.value.header == name


@pytest.mark.parametrize("backend", ["nginx", "caddy", "lighttpd", "xsendfile"])
def test_a_hand_off_with_another_status_is_a_500(make_app: Factory, backend: str) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    fingerprint = app.extensions["delegate"].keys["default"][0].fingerprint
    statuses = iter([200, 206])

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.status_code = next(statuses)
        return response

    client = app.test_client()
    shown = {"X-Flask-Delegate": fingerprint}
    assert [client.get("/file", headers=shown).status_code for _ in range(2)] == [200, 500]


@pytest.mark.parametrize("status", [200, 304])
@pytest.mark.parametrize("backend", ["mod_wsgi", "nginx", "caddy", "lighttpd", "xsendfile"])
def test_a_hand_off_from_a_cache_is_stopped_and_called_so(
    make_app: Factory, caplog: pytest.LogCaptureFixture, backend: str, status: int
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    kept: list[Response] = []

    @app.get("/file")
    def file() -> Response:
        if not kept:
            kept.append(send_via_apache("report.txt"))
            return kept[0]
        return Response(headers=kept[0].headers, status=status)

    client = behind_apache(app)
    client.environ_base["HTTP_X_FLASK_DELEGATE"] = (
        app.extensions["delegate"].keys["default"][0].fingerprint
    )
    assert client.get("/file").status_code == 200
    response = client.get("/file")
    assert response.status_code == 500
    assert not {"Location", "X-Accel-Redirect", "X-Sendfile"} & {*response.headers.keys()}
    assert "from a cache of responses. Put @delegated above the cache" in caplog.text
    assert "3xx" not in caplog.text
