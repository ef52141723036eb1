"""What a hand-off of an object consists of. That servers follow it is for the live tests."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_delegate import Handoff
from flask_delegate.servers.stored import query
from flask_delegate.servers.stored.nginx import TARGET, WHOLE
from tests.support.extension import Factory, behind_apache, serve
from tests.support.store_settings import stored

SIGNED = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires"]
SIGNED += ["X-Amz-SignedHeaders"]
NAME = 'Bär; "50%".txt'


def app_with(make_app: Factory, handoff: Handoff, **area: Any) -> Flask:
    app = make_app(**stored(**area))
    serve(app, handoff, area="media")
    return app


def behind_nginx(app: Flask) -> FlaskClient:
    client = app.test_client()
    keys = app.extensions["delegate"].keys["media"][0]
    client.environ_base["HTTP_X_FLASK_DELEGATE"] = keys.fingerprint
    return client


def location(response: TestResponse) -> tuple[str, dict[str, str]]:
    assert (response.status_code, response.data) == (200, b"")
    parts = urlsplit(response.headers["Location"])
    assert not parts.netloc
    return parts.path, dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))


def test_apache_gets_the_stores_query_with_a_description(make_app: Factory) -> None:
    options = {"download_name": NAME, "max_age": 60, "csp": "sandbox", "rate_limit": 5000}
    app = app_with(make_app, Handoff("a b/ü?", **options))  # type: ignore[arg-type]
    response = behind_apache(app, "media").get("/file")
    path, values = location(response)
    assert path == "/inside/media/a%20b/%C3%BC%3F"
    described = ["x-cd", "x-csp", "x-ct", "x-id", "x-k", "x-ma", "x-rl"]
    assert list(values) == [*SIGNED, *described, "X-Amz-Signature"]
    assert values["x-ct"] == "text/plain; charset=utf-8"
    assert unquote(values["x-cd"]).startswith("inline; filename=")
    assert (values["x-csp"], values["x-ma"], values["x-rl"]) == ("sandbox", "60", "4")
    assert (values["X-Amz-Expires"], values["X-Amz-SignedHeaders"]) == ("60", "host")
    assert "%2F" not in response.headers["Location"]


def test_no_secret_is_handed_to_the_store(make_app: Factory) -> None:
    app = app_with(make_app, Handoff("a"))
    keys = app.extensions["delegate"].keys["media"][0]
    asked = [behind_apache(app, "media").get("/file").headers["Location"] for _ in range(2)]
    client = behind_nginx(app_with(make_app, Handoff("a"), backend="nginx"))
    asked.append(client.get("/file").headers[TARGET])
    for url in asked:
        assert keys.token not in url
        assert "s3cret" not in url
    proofs = {re.search("x-k=([0-9a-f]{40})&", url)[1] for url in asked[:2]}  # type: ignore[index]
    assert len(proofs) == 2


def test_the_guards_pattern_is_that_of_what_is_made(make_app: Factory) -> None:
    token = "0123456789abcdef" * 2
    pattern = re.search(r"m#(.*?)# && \$2", query.condition(token))[1]  # type: ignore[index]
    options: list[dict[str, Any]] = [
        {},
        {"max_age": 0},
        {"csp": "a", "rate_limit": 1, "max_age": 1},
    ]
    for chosen in options:
        app = app_with(make_app, Handoff("a", etag="x", **chosen))
        several = {"Range": "bytes=1-2,4-5"}
        for headers in ({}, {"Range": "bytes=1-", "If-Range": '"x"'}, several):
            response = behind_apache(app, "media").get("/file", headers=headers)
            made = urlsplit(response.headers["Location"]).query
            found = re.fullmatch(pattern, made)
            assert found, made
            assert len(found.groups()) == 2
            for altered in (made + "0", "x=1&" + made, made.replace("&x-id", "&x=1&x-id")):
                assert not re.fullmatch(pattern, altered)


@pytest.mark.parametrize(
    ("etag", "wanted", "whole"),
    [
        (None, None, False),
        (None, '"x"', False),
        (None, 'W/"x"', True),
        (None, f'"{"x" * 201}"', True),
        ("x", '"x"', False),
        ('"x"', '"x"', False),
        ("x", '"y"', True),
        ("x", 'W/"x"', True),
        ("x", "Sat, 28 Nov 2026 10:00:00 GMT", True),
    ],
)
def test_a_part_is_sent_where_the_view_knows_that_nothing_has_changed(
    make_app: Factory, etag: str | None, wanted: str | None, whole: bool
) -> None:
    headers = {"Range": "bytes=0-1", **({"If-Range": wanted} if wanted else {})}
    handoff = Handoff("a", etag=etag)
    _, values = location(
        behind_apache(app_with(make_app, handoff), "media").get("/file", headers=headers)
    )
    assert ("x-nr" in values) is whole
    client = behind_nginx(app_with(make_app, handoff, backend="nginx"))
    response = client.get("/file", headers=headers)
    assert (WHOLE in response.headers) is whole
    # What the view knows may be out of date: the store compares it, too.
    is_compared = wanted is not None and not whole
    assert values.get("x-im") == (wanted if is_compared else None)
    assert response.headers.get("X-Flask-Delegate-If-Match") == values.get("x-im")


def test_nginx_gets_the_request_in_a_header(make_app: Factory) -> None:
    app = app_with(make_app, Handoff("a b?", download_name=NAME, csp="x"), backend="nginx")
    response = behind_nginx(app).get("/file")
    keys = app.extensions["delegate"].keys["media"][0]
    internal = response.headers["X-Accel-Redirect"]
    assert re.fullmatch(rf"/inside/media/\?k={keys.token}&id=[\w-]{{16}}", internal)
    assert response.headers[TARGET] == "/files/a%20b%3F"
    signed = response.headers["X-Flask-Delegate-Authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=key-id/")
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in signed
    assert response.headers["X-Flask-Delegate-X-Amz-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Content-Disposition" not in response.headers
    assert "B%C3%A4r" in response.headers["X-Flask-Delegate-Content-Disposition"]
    assert "Cache-Control" not in response.headers
    assert response.headers["X-Flask-Delegate-Cache-Control"] == "private, no-cache"


def test_a_request_is_signed_for_its_method(make_app: Factory) -> None:
    app = app_with(make_app, Handoff("a"), backend="nginx")
    client = behind_nginx(app)
    store = app.extensions["delegate"].settings.areas["media"].store
    for method, signed in (("GET", "GET"), ("HEAD", "HEAD"), ("POST", "GET")):
        while True:  # until both are made in one second
            before = store.headers(signed, "a")[1]["Authorization"]
            made = client.open("/file", method=method).headers["X-Flask-Delegate-Authorization"]
            if store.headers(signed, "a")[1]["Authorization"] == before:
                break
        assert made == before
    assert store.headers("GET", "a") != store.headers("HEAD", "a")


@pytest.mark.parametrize("server", ["mod_wsgi", "nginx", "stream"])
def test_head_is_answered_by_what_the_view_knows(make_app: Factory, server: str) -> None:
    handoff = Handoff("a.txt", size=12, etag="x")
    app = app_with(make_app, handoff, backend="stream" if server == "stream" else "auto")
    client = behind_apache(app, "media") if server == "mod_wsgi" else app.test_client()
    response = client.head("/file")
    assert (response.status_code, response.headers["Content-Length"]) == (200, "12")
    assert (response.headers["ETag"], response.headers["Accept-Ranges"]) == ('"x"', "bytes")
    assert response.headers["Content-Disposition"] == 'inline; filename="a.txt"'
    assert "Location" not in response.headers
    unchanged = client.head("/file", headers={"If-None-Match": '"y", "x"'})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert client.head("/file", headers={"If-Match": '"y"'}).status_code == 412


@pytest.mark.parametrize(
    ("handoff", "status"),
    [(Handoff(""), 404), (Handoff("../a"), 404), (Handoff("x" * 1025), 404)],
)
def test_what_is_no_key_is_missing(make_app: Factory, handoff: Handoff, status: int) -> None:
    assert behind_apache(app_with(make_app, handoff), "media").get("/file").status_code == status


def test_a_hook_cannot_change_what_the_store_is_asked_for(make_app: Factory) -> None:
    app = app_with(make_app, Handoff("a"), backend="nginx")

    @app.after_request
    def change(response: Response) -> Response:
        response.headers[TARGET] = "/other/bucket"
        response.headers["Content-Disposition"] = "attachment"
        return response

    response = behind_nginx(app).get("/file")
    assert response.headers[TARGET] == "/files/a"
    assert "Content-Disposition" not in response.headers


def test_options_of_an_object_are_checked() -> None:
    for wrong in ({"size": -1}, {"size": "1"}, {"etag": ""}, {"etag": 'a"b'}, {"etag": "a\nb"}):
        with pytest.raises(ValueError, match=r"(size|etag) must be"):
            Handoff("a", **wrong)
