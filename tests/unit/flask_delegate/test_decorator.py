"""What a view can return, and who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort
from werkzeug.wrappers import Response as WerkzeugResponse

from flask_delegate import (
    Handoff,
    delegated,
)
from tests.support.extension import CONTENT, behind_apache, serve


def test_a_handoff_has_options_and_the_decorator_defaults(app: Flask) -> None:
    serve(app, Handoff("report.txt", download_name="Report.txt"), as_attachment=True, max_age=5)
    headers = app.test_client().get("/file").headers
    assert headers["Content-Disposition"] == 'attachment; filename="Report.txt"'
    assert headers["Cache-Control"] == "private, max-age=5"


def test_a_response_passes_through(app: Flask) -> None:
    serve(app, Response("not a file", status=203))
    response = app.test_client().get("/file")
    assert (response.status_code, response.data) == (203, b"not a file")


@pytest.mark.parametrize("returned", [None, ("report.txt", 200), b"report.txt", 7])
def test_anything_else_is_a_programming_error(app: Flask, returned: Any) -> None:
    app.testing = True
    serve(app, returned)
    with pytest.raises(TypeError, match="a path, a Handoff or a Response"):
        app.test_client().get("/file")


def test_an_unknown_option_is_found_when_the_view_is_decorated() -> None:
    with pytest.raises(TypeError, match="filename"):
        delegated(lambda: True, filename="x")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="max_age"):
        delegated(lambda: True, max_age=-1)


def test_the_view_runs_only_when_authorised(app: Flask) -> None:
    ran = []

    @app.get("/file/<int:number>")
    @delegated(lambda number: number == 1)
    def file(number: int) -> str:
        ran.append(number)
        return "report.txt"

    client = app.test_client()
    assert client.get("/file/2").status_code == 403
    assert ran == []
    assert client.get("/file/1").data == CONTENT
    assert ran == [1]


class AsyncCallable:
    async def __call__(self) -> bool:
        return False


@pytest.mark.parametrize("answer", [lambda: Response("no"), lambda: ("no", 403), AsyncCallable()])
def test_authorize_that_answers_with_no_answer_lets_nobody_in(
    app: Flask, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.route("/file")
    @delegated(answer)
    def file() -> Any:
        return "report.txt"

    response = behind_apache(app).get("/file")
    assert response.status_code == 500
    assert "Location" not in response.headers
    assert "authorize returns true, false or the object that it found" in caplog.text


@pytest.mark.parametrize("allowed", [True, False])
def test_coroutine_functions_are_run_by_flask(
    app: Flask, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    async def may_read() -> bool:
        return allowed

    async def file() -> str:
        return "report.txt"

    monkeypatch.setattr(app, "async_to_sync", lambda function: lambda: asyncio.run(function()))
    app.add_url_rule("/file", view_func=delegated(may_read)(file))
    response = behind_apache(app).get("/file")
    assert response.status_code == (200 if allowed else 403)
    assert ("Location" in response.headers) == allowed


class Invoice:
    """What an authorize function may find."""

    path = "report.txt"

    def __init__(self, number: int) -> None:
        self.number = number


def test_what_authorize_found_reaches_the_view_before_its_own_arguments(app: Flask) -> None:
    def find(number: int) -> Invoice | None:
        return Invoice(number) if number == 1 else None

    seen = []

    @app.get("/invoice/<int:number>")
    @delegated(find, as_attachment=True)
    def file(invoice: Invoice, number: int) -> str:
        seen.append((invoice.number, number))
        return invoice.path

    client = app.test_client()
    response = client.get("/invoice/1")
    assert (response.status_code, response.data) == (200, CONTENT)
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert client.get("/invoice/2").status_code == 403
    assert seen == [(1, 1)]


@pytest.mark.parametrize("answer", [True, 1, "yes", [0], {"a": 1}, object()])
def test_only_true_is_no_object(app: Flask, answer: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def file(*found: Any) -> str:
        seen.append(found)
        return "report.txt"

    decorate: Any = delegated(lambda: answer)
    app.add_url_rule("/file", view_func=decorate(file))
    assert app.test_client().get("/file").data == CONTENT
    assert seen == [() if answer is True else (answer,)]


class Empty:
    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("answer", [False, None, 0, 0.0, "", b"", [], {}, set(), Empty()])
def test_whatever_is_false_lets_nobody_in(app: Flask, answer: Any) -> None:
    def file(*_found: Any) -> str:
        raise AssertionError

    decorate: Any = delegated(lambda: answer)
    app.add_url_rule("/file", view_func=decorate(file))
    assert app.test_client().get("/file").status_code == 403


def test_an_object_that_cannot_say_whether_it_is_true_lets_nobody_in(app: Flask) -> None:
    class Undecided:
        def __bool__(self) -> bool:
            raise ValueError

    def file(*_found: Any) -> str:
        raise AssertionError

    app.add_url_rule("/file", view_func=delegated(Undecided)(file))
    assert app.test_client().get("/file").status_code == 500


@pytest.mark.parametrize(("number", "status"), [(1, 200), (2, 403)])
def test_a_coroutine_function_may_find_an_object(
    app: Flask, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    async def find() -> Invoice | None:
        return Invoice(number) if number == 1 else None

    async def file(invoice: Invoice) -> str:
        return invoice.path

    def to_sync(function: Any) -> Any:
        return lambda *args, **kwargs: asyncio.run(function(*args, **kwargs))

    monkeypatch.setattr(app, "async_to_sync", to_sync)
    app.add_url_rule("/file", view_func=delegated(find)(file))
    assert app.test_client().get("/file").status_code == status


def test_authorize_may_abort_by_itself(app: Flask) -> None:
    @app.get("/file")
    @delegated(lambda: abort(401))
    def file() -> str:
        raise AssertionError

    assert app.test_client().get("/file").status_code == 401


def test_a_type_checker_knows_what_the_view_gets() -> None:
    """Mypy reports an ``ignore`` that is not needed: each stands for an error that it found."""

    def find(number: int) -> Invoice | None:
        return Invoice(number)

    async def find_later(number: int) -> Invoice | None:
        return Invoice(number)

    def may(number: int) -> bool:
        return bool(number)

    @delegated(find)  # type: ignore[arg-type]
    def without_the_object(number: int) -> str:
        return str(number)

    @delegated(find_later)  # type: ignore[arg-type]
    def with_another_object(path: Path, number: int) -> Path:
        return path / str(number)

    @delegated(may)  # type: ignore[arg-type]
    def that_returns_no_file(number: int) -> int:
        return number

    @delegated(find_later, max_age=60)
    async def right(invoice: Invoice, number: int) -> Handoff:
        return Handoff(invoice.path, area=str(number))

    view: Callable[[int], Response] = right
    assert view is right


@pytest.mark.parametrize(("conceal", "status"), [({}, 403), ({"conceal": True}, 404)])
def test_a_refusal_is_a_403_unless_it_is_concealed(
    app: Flask, conceal: dict[str, Any], status: int
) -> None:
    serve(app, "report.txt", allowed=False, **conceal)
    assert app.test_client().get("/file").status_code == status


@pytest.mark.parametrize(
    ("answer", "name"), [(Response("no"), "Response"), (("no", 403), "tuple"), (None, "coroutine")]
)
def test_an_answer_that_is_none_is_named(app: Flask, answer: Any, name: str) -> None:
    app.testing = True
    decorate: Any = delegated(AsyncCallable() if answer is None else lambda: answer)
    app.add_url_rule("/file", view_func=decorate(lambda: "report.txt"))
    with pytest.raises(TypeError, match=f"it must not return {name}$"):
        app.test_client().get("/file")


def test_what_a_view_returned_instead_of_a_path_is_named(app: Flask) -> None:
    app.testing = True
    serve(app, 7)
    with pytest.raises(TypeError, match=r"returns a path, a Handoff or a Response, not int$"):
        app.test_client().get("/file")


def test_a_response_of_another_class_becomes_the_applications(app: Flask) -> None:
    serve(app, WerkzeugResponse("other", status=201))
    response = app.test_client().get("/file")
    assert (response.status_code, response.data) == (201, b"other")


def test_a_view_keeps_its_name_and_its_docstring() -> None:
    @delegated(lambda: True)
    def invoice() -> str:
        """Deliver an invoice."""
        return "report.txt"

    assert (invoice.__name__, invoice.__doc__) == ("invoice", "Deliver an invoice.")


def test_coroutine_functions_get_the_arguments_of_the_url(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def may_read(folder: str, number: int) -> bool:
        seen.append((folder, number))
        return True

    async def file(folder: str, number: int) -> str:
        seen.append((folder, number))
        return "report.txt"

    def to_sync(function: Any) -> Any:
        return lambda *args, **kwargs: asyncio.run(function(*args, **kwargs))

    monkeypatch.setattr(app, "async_to_sync", to_sync)
    app.add_url_rule("/<folder>/<int:number>", view_func=delegated(may_read)(file))
    assert app.test_client().get("/a/7").data == CONTENT
    assert seen == [("a", 7), ("a", 7)]
