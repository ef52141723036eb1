"""Refusals: pages, exceptions and signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.exceptions import InternalServerError

from flask_delegate import (
    AccessDenied,
    DelegateError,
    FileMissing,
    HandoffUnavailable,
    UnknownArea,
    delegated,
    file_delegated,
    file_refused,
    send_via_apache,
)
from tests.support.extension import behind_apache, serve


def test_denied_and_missing_look_alike_where_asked_for(app: Flask) -> None:
    @app.get("/<name>")
    @delegated(lambda name: name != "report.txt", conceal=True)
    def file(name: str) -> str:
        return name

    client = app.test_client()
    denied, missing = client.get("/report.txt"), client.get("/missing.txt")
    assert denied.status_code == missing.status_code == 404
    assert denied.data == missing.data
    assert denied.headers == missing.headers


def test_the_applications_own_error_page_is_used(app: Flask) -> None:
    app.register_error_handler(404, lambda _: ("our page", 404))
    serve(app, "missing.txt")
    assert app.test_client().get("/file").data == b"our page"


def test_a_view_may_deal_with_a_missing_file_itself(app: Flask) -> None:
    @app.get("/file")
    def file() -> Response:
        try:
            return send_via_apache("missing.txt")
        except FileMissing as error:
            return Response(f"{error.path} is being made", status=202)

    assert app.test_client().get("/file").data == b"missing.txt is being made"


def test_an_unknown_area_is_a_500(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    serve(app, "report.txt", area="reports")
    assert app.test_client().get("/file").status_code == 500
    assert "no area named 'reports'" in caplog.text


def test_signals_tell_of_both_ends(app: Flask) -> None:
    heard: list[tuple[str, Any]] = []

    def on_delegated(sender: Flask, delivery: Any, backend: str) -> None:
        assert sender is app
        heard.append((backend, delivery.file.relative))

    def on_refused(sender: Flask, error: DelegateError) -> None:
        assert sender is app
        heard.append(("refused", type(error)))

    serve(app, "report.txt")

    @app.get("/missing")
    @delegated(lambda: True)
    def missing() -> str:
        return "missing.txt"

    @app.get("/denied")
    @delegated(lambda: False)
    def denied() -> str:
        return "report.txt"

    with file_delegated.connected_to(on_delegated), file_refused.connected_to(on_refused):
        app.test_client().get("/file")
        behind_apache(app).get("/file")
        app.test_client().get("/missing")
        app.test_client().get("/denied")
    assert heard == [
        ("stream", "report.txt"),
        ("mod_wsgi", "report.txt"),
        ("refused", FileMissing),
        ("refused", AccessDenied),
    ]


def test_exceptions_carry_their_evidence(app: Flask) -> None:
    with app.test_request_context():
        with pytest.raises(FileMissing) as missing:
            send_via_apache("missing.txt")
        with pytest.raises(UnknownArea) as unknown:
            send_via_apache("report.txt", area="x")
    assert missing.value.path == "missing.txt"
    assert missing.value.reason == "No such file or directory."
    assert (unknown.value.name, unknown.value.known) == ("x", ("default",))
    unavailable = HandoffUnavailable("default", "why.", "what to do.")
    assert str(unavailable) == "area 'default' cannot be handed off: why. what to do."


@pytest.mark.parametrize(
    ("returned", "allowed", "status", "level"),
    [
        ("missing.txt", True, 404, "WARNING"),
        ("../report.txt", True, 404, "WARNING"),
        ("report.txt", False, 403, "WARNING"),
        ("unreadable.txt", True, 500, "ERROR"),
    ],
)
def test_what_is_the_operators_to_mend_is_logged_as_an_error(
    app: Flask,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    returned: str,
    allowed: bool,
    status: int,
    level: str,
) -> None:
    (root / "unreadable.txt").touch()
    monkeypatch.setattr("os.access", lambda path, _: not path.endswith("unreadable.txt"))
    serve(app, returned, allowed=allowed)
    assert app.test_client().get("/file").status_code == status
    record = next(one for one in caplog.records if "file refused: " in one.getMessage())
    assert record.levelname == level
    assert record.args


def test_an_error_page_of_the_application_gets_the_reason(app: Flask) -> None:
    caught: list[object] = []

    def page(error: InternalServerError) -> tuple[str, int]:
        caught.append(error.original_exception)
        return "our page", 500

    app.register_error_handler(InternalServerError, page)
    serve(app, "report.txt", area="reports")
    assert app.test_client().get("/file").data == b"our page"
    assert [type(one) for one in caught] == [UnknownArea]


def test_a_refusal_names_the_endpoint_and_whether_it_is_concealed(app: Flask) -> None:
    errors: list[Any] = []
    serve(app, "report.txt", allowed=False, conceal=True)
    with file_refused.connected_to(lambda _, error: errors.append(error)):
        app.test_client().get("/file")
    assert (errors[0].endpoint, errors[0].conceal) == ("file", True)
    assert str(errors[0]) == "access denied by the authorize function of file."
