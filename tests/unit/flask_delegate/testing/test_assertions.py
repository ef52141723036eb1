"""The assertions hold where the file came, and fail, saying what came, everywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort, redirect
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from flask_delegate import Handoff, delegated, send_via_apache
from flask_delegate.testing import assert_delegated, assert_refused
from tests.support.extension import Factory, behind_apache
from tests.support.paths import PROJECT

OPTIONS: dict[str, Any] = {
    "download_name": "Größe/1.pdf",
    "mimetype": "text/css",
    "as_attachment": True,
    "max_age": 60,
    "csp": "default-src 'none'",
    "rate_limit": 2048,
}


def serve(app: Flask, returned: Any, *, allowed: bool = True, **options: Any) -> None:
    @app.route("/file")
    @delegated(lambda: allowed, **options)
    def file() -> Any:
        return returned


def streamed(app: Flask) -> FlaskClient:
    """Return Flask's own client, which leaves a response unread."""
    app.test_client_class = FlaskClient
    return app.test_client()


def failure(response: TestResponse, path: str = "report.txt", **expected: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_delegated(response, path, **expected)
    return str(caught.value)


@pytest.mark.parametrize("client", [streamed, behind_apache])
def test_a_delivered_file_is_recognised_with_its_options(app: Flask, client: Any) -> None:
    serve(app, Handoff("report.txt", **OPTIONS))
    response = client(app).get("/file")
    assert_delegated(response, "report.txt")
    assert_delegated(response, "report.txt", area="default", **OPTIONS)
    assert_delegated(response, Path("./report.txt"), download_name="Größe_1.pdf")


@pytest.mark.parametrize("client", [streamed, behind_apache])
@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"path": "other.txt"}, "path: expected 'other.txt', delivered 'report.txt'"),
        ({"path": "/report.txt/.."}, "path: expected '/report.txt/..', delivered 'report.txt'"),
        ({"area": "photos"}, "area: expected 'photos', delivered 'default'"),
        ({"download_name": "a.pdf"}, "expected 'a.pdf', delivered 'Größe_1.pdf'"),
        ({"mimetype": "text/html"}, "'text/html; charset=utf-8', delivered 'text/css; ch"),
        ({"as_attachment": False}, "as_attachment: expected False, delivered True"),
        ({"max_age": 0}, "max_age: expected 0, delivered 60"),
        ({"csp": ""}, "csp: expected '', delivered \"default-src 'none'\""),
        ({"rate_limit": 1}, "rate_limit: expected 1, delivered 2048"),
    ],
)
def test_each_difference_is_said(
    app: Flask, client: Any, expected: dict[str, Any], words: str
) -> None:
    serve(app, Handoff("report.txt", **OPTIONS))
    said = failure(client(app).get("/file"), **expected)
    assert said.startswith("'report.txt' of area 'default' was delivered, but not as expected:\n")
    assert words in said
    assert said.count("\n") == 1


def test_defaults_can_be_asserted(app: Flask) -> None:
    serve(app, "report.txt")
    response = streamed(app).get("/file")
    assert_delegated(
        response,
        "report.txt",
        download_name="report.txt",
        mimetype="text/plain",
        as_attachment=False,
        csp="",
    )
    assert "max_age: expected 1, delivered None" in failure(response, max_age=1)


@pytest.mark.parametrize("backend", ["nginx", "caddy", "lighttpd", "xsendfile", "stream"])
def test_every_backend_is_recognised(make_app: Factory, backend: str) -> None:
    app = make_app(DELEGATE_BACKEND=backend, TESTING=True)
    serve(app, Handoff("report.txt", max_age=7))
    keys = app.extensions["delegate"].keys.values()
    shown = ",".join(one.fingerprint for (one,) in keys)
    response = streamed(app).get("/file", headers={"X-Flask-Delegate": shown})
    assert_delegated(response, "report.txt", max_age=7)


def test_an_areas_files_are_told_apart(make_app: Factory, tmp_path: Path) -> None:
    photos = tmp_path.resolve() / "photos"
    photos.mkdir()
    (photos / "report.txt").write_bytes(b"a photo\n")
    app = make_app(DELEGATE_AREAS={"photos": {"root": photos, "url": "/photos/"}})
    serve(app, Handoff("report.txt", area="photos"))
    response = streamed(app).get("/file")
    assert_delegated(response, "report.txt", area="photos")
    assert "area: expected 'default', delivered 'photos'" in failure(response, area="default")


def test_a_link_is_the_file_that_it_leads_to(app: Flask, root: Path) -> None:
    (root / "link.txt").symlink_to("report.txt")
    serve(app, "link.txt")
    response = streamed(app).get("/file")
    assert_delegated(response, "link.txt")
    assert_delegated(response, "report.txt")


@pytest.mark.parametrize(
    ("headers", "status"), [({"Range": "bytes=8-"}, 206), ({"If-None-Match": "*"}, 304)]
)
def test_a_part_and_an_unchanged_file_are_deliveries(
    app: Flask, headers: dict[str, str], status: int
) -> None:
    serve(app, "report.txt")
    response = streamed(app).get("/file", headers=headers)
    assert response.status_code == status
    assert_delegated(response, "report.txt")


def test_the_content_can_be_read_after_the_assertion(app: Flask) -> None:
    serve(app, "report.txt")
    response = streamed(app).get("/file")
    assert_delegated(response, "report.txt")
    assert response.data == b"private content\n"


def test_the_target_of_a_redirect_is_a_delivery(app: Flask) -> None:
    serve(app, "report.txt")
    app.add_url_rule("/old", view_func=lambda: redirect("/file", 307))
    response = streamed(app).get("/old", follow_redirects=True)
    assert_delegated(response, "report.txt")
    assert "not delivered: 307 TEMPORARY REDIRECT" in failure(response.history[0])


def test_a_refusal_is_not_a_delivery_and_says_why(app: Flask) -> None:
    serve(app, "nothing.txt")
    response = streamed(app).get("/file")
    assert_refused(response)
    assert_refused(response, status=404)
    said = failure(response, "nothing.txt")
    assert said.startswith("expected 'nothing.txt', but not delivered: 404 NOT FOUND ('nothing.txt")
    assert said.endswith(": No such file or directory.)")
    with pytest.raises(AssertionError, match=r"^expected 403, but came 404 NOT FOUND \("):
        assert_refused(response, status=403)


def test_a_denial_is_a_refusal(app: Flask) -> None:
    serve(app, "report.txt", allowed=False)
    response = streamed(app).get("/file")
    assert_refused(response, 403)
    assert "not delivered: 403 FORBIDDEN (access denied by" in failure(response)


def test_a_delivery_is_not_a_refusal(app: Flask) -> None:
    serve(app, "report.txt")
    for client in (streamed(app), behind_apache(app)):
        with pytest.raises(AssertionError, match=r"'report\.txt' .* was delivered: 200 OK$"):
            assert_refused(client.get("/file"))


@pytest.mark.parametrize("status", [200, 302, 500])
def test_other_answers_are_neither(app: Flask, status: int) -> None:
    app.add_url_rule("/file", view_func=lambda: ("a page", status))
    response = streamed(app).get("/file")
    said = failure(response)
    assert f"not delivered: {response.status}" in said
    assert ("not by the extension" in said) == (status == 200)
    with pytest.raises(AssertionError, match=f"a status from 400 to 499, but came {status} "):
        assert_refused(response)
    if status != 200:
        assert_refused(response, status=status)


@pytest.mark.parametrize("client", [streamed, behind_apache])
def test_what_the_view_made_and_did_not_answer_with_is_not_a_delivery(
    app: Flask, client: Any
) -> None:
    @app.route("/page")
    def page() -> str:
        send_via_apache("report.txt").close()
        return "a page"

    @app.route("/denied")
    def denied() -> Response:
        send_via_apache("report.txt").close()
        abort(403)

    made = client(app)
    assert "200 OK, instead of the response that the extension made" in failure(made.get("/page"))
    response = made.get("/denied")
    assert "not delivered: 403 FORBIDDEN" in failure(response)
    assert_refused(response, 403)


def test_the_same_headers_without_the_extension_are_not_a_delivery(app: Flask) -> None:
    app.add_url_rule(
        "/file",
        view_func=lambda: Response(
            "x", headers={"Content-Disposition": 'inline; filename="report.txt"'}
        ),
    )
    assert "200 OK, not by the extension" in failure(streamed(app).get("/file"))


def test_a_status_changed_afterwards_is_not_a_delivery(app: Flask) -> None:
    serve(app, "report.txt")

    @app.after_request
    def spoil(response: Response) -> Any:
        response.status_code = 503
        return response

    assert "not delivered: 503 " in failure(streamed(app).get("/file"))


def test_requests_are_kept_apart(app: Flask, root: Path) -> None:
    (root / "other.txt").write_bytes(b"other\n")
    serve(app, "report.txt")

    @app.route("/other")
    def other() -> Response:
        return send_via_apache("other.txt")

    client = streamed(app)
    responses = [client.get("/file"), client.get("/other"), client.get("/file")]
    for response, name in zip(responses, ["report.txt", "other.txt", "report.txt"], strict=True):
        assert_delegated(response, name)


def test_another_librarys_response_is_an_error() -> None:
    with pytest.raises(TypeError, match="not a response of Flask's test client, but Response"):
        assert_delegated(Response(), "report.txt")  # type: ignore[arg-type]


def test_the_assertions_do_not_need_pytest() -> None:
    source = (
        "import sys; sys.modules['pytest'] = None\n"
        "from flask_delegate.testing import assert_delegated, assert_refused\n"
        "try:\n    from flask_delegate.testing import serve_with_apache\n"
        "except ImportError:\n    print('needed here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("needed here\n", "")


@pytest.mark.parametrize("status", [199, 400, 499, 500])
def test_a_refusal_has_a_status_of_a_clients_fault(app: Flask, status: int) -> None:
    app.add_url_rule("/file", view_func=lambda: ("a page", status))
    response = streamed(app).get("/file")
    if 400 <= status < 500:
        assert_refused(response)
        return
    with pytest.raises(AssertionError, match=r"^expected a status from 400 to 499, but came "):
        assert_refused(response)


@pytest.mark.parametrize("status", [200, 206, 304])
def test_a_page_with_the_status_of_a_delivery_is_none(app: Flask, status: int) -> None:
    app.add_url_rule("/file", view_func=lambda: ("", status))
    said = failure(streamed(app).get("/file"))
    assert said.endswith(", not by the extension (import this module before requests)")


def test_a_path_that_leads_elsewhere_is_compared_as_it_is(app: Flask, root: Path) -> None:
    root.with_name("files-2").mkdir()
    (root.with_name("files-2") / "report.txt").touch()
    serve(app, "report.txt")
    response = streamed(app).get("/file")
    for path in ("../files-2/report.txt", "/report.txt/..", ".."):
        said = failure(response, path)
        assert f"path: expected {path!r}, delivered 'report.txt'" in said
    assert_delegated(response, "./folder/../report.txt")
