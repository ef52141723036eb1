"""What the extension promises of a private file stands, whatever hooks the application has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask, Response, abort

from flask_delegate import delegated
from tests.support.extension import Factory


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
