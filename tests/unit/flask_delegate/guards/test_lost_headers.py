"""What a hand-off would lose."""

from __future__ import annotations

import logging

import pytest
from flask import Flask, Response, make_response, session

from flask_delegate import (
    DelegateError,
    LostCookies,
    delegated,
    send_via_apache,
)
from tests.support.extension import Factory, behind_apache, serve


def test_changed_cookies_are_an_error_in_tests_and_a_warning_in_production(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    def application(*, testing: bool) -> Flask:
        app = make_app(TESTING=testing)

        @app.get("/session")
        @delegated(lambda: True)
        def changing() -> str:
            session["n"] = 1
            return "report.txt"

        @app.get("/cookie")
        def cookie() -> Response:
            response = send_via_apache("report.txt")
            response.set_cookie("seen", "1")
            return response

        return app

    for path, name in (("/session", "session"), ("/cookie", "seen")):
        message = f"sets {name}, which will not reach the client"
        app = application(testing=True)
        for client in (behind_apache(app), app.test_client()):
            with pytest.raises(DelegateError, match=message):
                client.get(path)
        caplog.clear()
        assert behind_apache(application(testing=False)).get(path).status_code == 200
        assert message in caplog.text


def test_a_mere_refresh_of_the_session_is_no_loss(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(TESTING=True)

    @app.get("/sign-in")
    def sign_in() -> str:
        session.permanent = True
        session["who"] = "alice"
        return "in"

    serve(app, "report.txt")
    client = behind_apache(app)
    client.get("/sign-in")
    response = client.get("/file")
    assert "Location" in response.headers
    assert "Set-Cookie" not in response.headers or "session=" in response.headers["Set-Cookie"]
    assert "lost" not in caplog.text


def test_other_headers_that_will_be_lost_are_named_once(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DELEGATE_HEADERS={"X-Frame-Options": "DENY"})

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Request-Id"] = "17"
        response.headers["Vary"] = "Cookie"
        return response

    serve(app, "report.txt")
    client = behind_apache(app)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            client.get("/file")
    assert caplog.text.count("the header X-Request-Id") == 1
    assert "X-Frame-Options" not in caplog.text
    assert "Vary" not in caplog.text


@pytest.mark.parametrize("backend", ["auto", "nginx", "caddy", "lighttpd", "xsendfile", "stream"])
def test_a_coding_of_the_views_own_is_lost_where_it_is_handed_off(
    make_app: Factory, caplog: pytest.LogCaptureFixture, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Range"] = "bytes 0-1/2"
        return response

    response = behind_apache(app).get("/file")
    is_streamed = backend == "stream"
    assert response.status_code == 200
    assert response.headers.get("Content-Encoding") == ("gzip" if is_streamed else None)
    assert ("Content-Range" in response.headers) is is_streamed
    assert caplog.text.count("the header Content-Encoding") == (not is_streamed)


def test_a_policy_that_will_not_survive_is_named(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        response.set_etag("mine")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    for client in (behind_apache(app), app.test_client()):
        client.get("/file")
    for name in ("Cache-Control", "Content-Security-Policy", "ETag"):
        assert caplog.text.count(f"the header {name},") == 1
    assert "X-Content-Type-Options" not in caplog.text
    assert caplog.text.count("is lost") == 3


@pytest.mark.parametrize(
    "cookie", ["user@x=1", 'a={"x": 1}', "session=x; Partitioned; Priority=High"]
)
def test_cookies_of_any_spelling_are_seen(make_app: Factory, cookie: str) -> None:
    app = make_app(TESTING=True)

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.headers.add("Set-Cookie", cookie)
        session.modified = True
        return response

    with pytest.raises(LostCookies) as caught:
        behind_apache(app).get("/file")
    assert cookie.partition("=")[0] in caught.value.names
    assert "Priority" not in caught.value.names


def test_other_pages_may_set_what_they_like(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(TESTING=True)

    @app.get("/page")
    def page() -> Response:
        send_via_apache("report.txt").close()
        response = make_response("a page after all")
        response.set_cookie("seen", "1")
        response.headers["X-Other"] = "1"
        return response

    assert app.test_client().get("/page").data == b"a page after all"
    assert "X-Other" not in caplog.text


def test_a_cookie_that_nginx_keeps_is_not_lost(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DELEGATE_BACKEND="nginx", TESTING=True)

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.set_cookie("seen", "1")
        response.headers["X-Other"] = "1"
        return response

    shown = {"X-Flask-Delegate": app.extensions["delegate"].keys["default"][0].fingerprint}
    response = app.test_client().get("/file", headers=shown)
    assert "seen=1" in response.headers["Set-Cookie"]
    assert "X-Other" in caplog.text
    assert "seen" not in caplog.text


@pytest.mark.parametrize("backend", ["caddy", "lighttpd", "xsendfile", "stream"])
def test_a_server_that_keeps_all_headers_loses_none(
    make_app: Factory, caplog: pytest.LogCaptureFixture, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend, TESTING=True)

    @app.get("/file")
    def file() -> Response:
        response = send_via_apache("report.txt")
        response.headers["X-Other"] = "1"
        return response

    shown = {"X-Flask-Delegate": app.extensions["delegate"].keys["default"][0].fingerprint}
    with app.test_client().get("/file", headers=shown) as response:
        assert response.headers["X-Other"] == "1"
    assert "X-Other" not in caplog.text
