"""What the extension promises of a private file stands, whatever hooks the application has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, Response, abort, request
from flask.testing import FlaskClient

from flask_delegate import Delegate, delegated, send_via_apache
from tests.support.extension import CONTENT, Factory, behind_apache


def application(make_app: Factory, **settings: object) -> Flask:
    app = make_app(DELEGATE_BACKEND="stream", **settings)

    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        return "report.txt"

    @app.get("/refused")
    @delegated(lambda: False)
    def refused() -> str:
        return "report.txt"

    @app.get("/concealed")
    @delegated(lambda: False, conceal=True)
    def concealed() -> str:
        return "report.txt"

    @app.get("/missing")
    @delegated(lambda: True)
    def missing() -> str:
        return "no-such-file"

    @app.get("/aborted")
    @delegated(lambda: abort(401))
    def aborted() -> str:
        return "report.txt"

    @app.get("/broken")
    @delegated(lambda: True)
    def broken() -> str:
        raise RuntimeError("broken")

    @app.get("/page")
    @delegated(lambda: True)
    def page() -> Response:
        return Response("a page", headers={"Cache-Control": "max-age=60", "Vary": "Accept"})

    @app.get("/uncached")
    @delegated(lambda: True)
    def uncached() -> Response:
        return Response("a page", headers={"Cache-Control": "no-store"})

    @app.get("/else")
    def something_else() -> str:
        return "public"

    return app


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/file", 200), ("/refused", 403), ("/concealed", 404), ("/missing", 404)),
        *(("/aborted", 401), ("/broken", 500), ("/page", 200)),
    ],
)
def test_no_answer_of_a_delegated_view_is_for_shared_caches(
    make_app: Factory, path: str, status: int
) -> None:
    app = application(make_app, PROPAGATE_EXCEPTIONS=False)
    with app.test_client().get(path) as response:
        assert response.status_code == status
        assert response.headers.getlist("Cache-Control") == ["private, no-cache"]
        assert "Cookie" in response.vary


@pytest.mark.parametrize(
    ("policy", "vary"),
    [
        ("public", "X-Cookie"),
        ('private="Set-Cookie", max-age=9', "Accept"),
        ("private, public", "Set-Cookie"),
        ("x-private, max-age=9", ""),
    ],
)
def test_what_only_looks_private_is_made_so(make_app: Factory, policy: str, vary: str) -> None:
    app = make_app()

    @app.get("/page")
    @delegated(lambda: True)
    def page() -> Response:
        return Response("a page", headers={"Cache-Control": policy, "Vary": vary})

    response = app.test_client().get("/page")
    assert response.headers.getlist("Cache-Control") == ["private, no-cache"]
    assert "Cookie" in [word.strip() for word in response.headers["Vary"].split(",")]


def test_a_stricter_policy_stays(make_app: Factory) -> None:
    response = application(make_app).test_client().get("/uncached")
    assert response.headers.getlist("Cache-Control") == ["no-store"]


def test_other_views_keep_what_they_say(make_app: Factory) -> None:
    response = application(make_app).test_client().get("/else")
    assert "Cache-Control" not in response.headers
    assert "Vary" not in response.headers


def public(response: Response) -> None:
    response.headers["Cache-Control"] = "public, max-age=0"
    response.headers["cache-control"] = "public"


def talisman(response: Response) -> None:
    response.headers["Content-Security-Policy"] = "default-src 'self'"


def another_type(response: Response) -> None:
    response.headers["Content-Type"] = "text/html"
    response.headers["Content-Disposition"] = "attachment"


def less(response: Response) -> None:
    for name in ("X-Content-Type-Options", "Vary", "Cache-Control", "Content-Security-Policy"):
        response.headers.pop(name, None)


HOOKS: list[Callable[[Response], None]] = [public, talisman, another_type, less]


@pytest.mark.parametrize("backend", ["stream", "nginx", "xsendfile"])
@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_do_not_change_what_is_delivered(
    make_app: Factory,
    caplog: pytest.LogCaptureFixture,
    hook: Callable[[Response], None],
    backend: str,
) -> None:
    def seen(*hooks: Callable[[Response], None]) -> list[tuple[str, str]]:
        app = make_app(DELEGATE_BACKEND=backend)
        keys = app.extensions["delegate"].keys["default"][0]

        @app.get("/file")
        @delegated(lambda: True, csp="sandbox", max_age=60)
        def file() -> str:
            return "report.txt"

        @app.after_request
        def change(response: Response) -> Response:
            for hook in hooks:
                hook(response)
            return response

        shown = {"X-Flask-Delegate": keys.fingerprint}
        for _ in range(2):
            with app.test_client().get("/file", headers=shown) as response:
                assert response.status_code == 200
                made = ("x-accel-redirect", "date")  # another id each time
                found = sorted(one for one in response.headers if one[0].lower() not in made)
        return found

    usual = seen()
    assert "restored" not in caplog.text
    assert seen(hook) == usual
    lines = [record.getMessage() for record in caplog.records]
    restored = [line for line in lines if "restored" in line]
    assert restored
    assert len(restored) == len(set(restored))


def test_a_header_is_reported_once_whatever_the_file(
    make_app: Factory, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DELEGATE_BACKEND="stream")

    @app.after_request
    def change(response: Response) -> Response:
        public(response)
        return response

    @app.get("/<name>")
    @delegated(lambda **_: True)
    def file(name: str) -> str:
        return name

    (root / "other.txt").touch()
    for name in ("report.txt", "other.txt"):
        with app.test_client().get(f"/{name}") as response:
            assert response.status_code == 200
    (line,) = [message for message in caplog.messages if "restored" in message]
    assert "Cache-Control" in line
    assert "'report.txt'" in line


HANDOFFS = {"mod_wsgi": "Location", "nginx": "X-Accel-Redirect", "xsendfile": "X-Sendfile"}


def handing_off(
    make_app: Factory, backend: str, change: Callable[[Response], object]
) -> FlaskClient:
    """Return a client of an application that changes what hands a file off."""
    app = make_app(DELEGATE_BACKEND=backend)

    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        return "report.txt"

    @app.after_request
    def after(response: Response) -> Response:
        change(response)
        return response

    if backend == "mod_wsgi":
        return behind_apache(app)
    client = app.test_client()
    keys = app.extensions["delegate"].keys["default"][0]
    client.environ_base["HTTP_X_FLASK_DELEGATE"] = keys.fingerprint
    return client


def make_conditional(response: Response) -> None:
    response.add_etag()
    response.make_conditional(request)


@pytest.mark.parametrize("backend", HANDOFFS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("If-None-Match", "*"), ("If-None-Match", "ETAG"), ("If-Match", '"another"')],
)
def test_conditions_are_left_to_the_server_that_sends_the_file(
    make_app: Factory, caplog: pytest.LogCaptureFixture, backend: str, name: str, value: str
) -> None:
    met: list[tuple[int, str]] = []

    def change(response: Response) -> None:
        make_conditional(response)
        met.append((response.status_code, response.headers["ETag"]))

    client = handing_off(make_app, backend, change)
    usual = client.get("/file")
    response = client.get("/file", headers={name: value.replace("ETAG", met[0][1])})
    assert met[1][0] in {304, 412}
    assert response.status == "200 OK"
    assert HANDOFFS[backend] in response.headers
    for header in ("Content-Type", "Cache-Control", "Content-Disposition", "Vary"):
        assert response.headers.get(header) == usual.headers.get(header)
    assert "restored" not in caplog.text


@pytest.mark.parametrize("backend", HANDOFFS)
@pytest.mark.parametrize("status", [304, 412])
def test_an_altered_hand_off_does_not_leave_with_them(
    make_app: Factory, backend: str, status: int
) -> None:
    def change(response: Response) -> None:
        response.status_code = status
        response.headers[HANDOFFS[backend]] += "x"

    response = handing_off(make_app, backend, change).get("/file")
    assert response.status_code == 500
    assert HANDOFFS[backend] not in response.headers


@pytest.mark.parametrize("backend", HANDOFFS)
def test_a_hand_off_with_another_status_does_not_leave(make_app: Factory, backend: str) -> None:
    def change(response: Response) -> None:
        response.status_code = 206

    response = handing_off(make_app, backend, change).get("/file")
    assert response.status_code == 500
    assert HANDOFFS[backend] not in response.headers


def test_a_304_does_not_replace_the_sandbox(make_app: Factory, root: Path) -> None:
    (root / "report.txt").rename(root / "page.html")
    app = make_app(DELEGATE_BACKEND="stream")

    @app.get("/file")
    @delegated(lambda: True)
    def file() -> str:
        return "page.html"

    @app.after_request
    def change(response: Response) -> Response:
        public(response)
        talisman(response)
        return response

    client = app.test_client()
    first = client.get("/file")
    second = client.get("/file", headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 304
    for header in ("Content-Security-Policy", "Cache-Control"):
        assert second.headers.getlist(header) == first.headers.getlist(header)
    assert "Content-Type" not in second.headers


@pytest.mark.parametrize("backend", ["stream", *HANDOFFS])
def test_a_body_that_hooks_must_not_compress_says_so(make_app: Factory, backend: str) -> None:
    def compress(response: Response) -> None:
        if "Content-Encoding" not in response.headers:
            response.direct_passthrough = False
            response.set_data(b"compressed")
            response.headers["Content-Encoding"] = "gzip"

    response = handing_off(make_app, backend, compress).get("/file")
    assert "Content-Encoding" not in response.headers
    assert response.data == (CONTENT if backend == "stream" else b"")


def test_middleware_that_copies_the_environ_changes_no_promise(make_app: Factory) -> None:
    app = Flask("copied", static_folder=None)
    app.config.update({**make_app().config, "DELEGATE_BACKEND": "stream"})
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(dict(environ), start)  # type: ignore[assignment]
    Delegate(app)

    @app.get("/file")
    @delegated(lambda: request.args.get("who") != "bob")
    def file() -> str:
        return "report.txt"

    @app.after_request
    def change(response: Response) -> Response:
        public(response)
        return response

    for query in ("", "?who=bob"):
        with app.test_client().get(f"/file{query}") as response:
            assert response.headers["Cache-Control"] == "private, no-cache"


def signed_in(view: Callable[..., Response]) -> Callable[..., Response]:
    @functools.wraps(view)
    def wrapped() -> Response:
        abort(404)

    return wrapped


def test_what_is_answered_in_the_place_of_a_view_is_private(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="stream")

    @app.before_request
    def stop() -> None:
        if "stop" in request.args:
            abort(410)

    @app.get("/file")
    @signed_in
    @delegated(lambda: True)
    def file() -> str:
        return "report.txt"

    @app.get("/missing")
    def missing() -> Response:
        return send_via_apache("missing.txt")

    client = app.test_client()
    for target, status in (("/file", 404), ("/file?stop", 410), ("/missing", 404)):
        response = client.get(target)
        assert response.status_code == status
        assert response.headers.getlist("Cache-Control") == ["private, no-cache"]
        assert response.headers["Vary"] == "Cookie"
    for target in ("/?stop", "/nowhere"):
        assert "Cache-Control" not in client.get(target).headers
