"""What a view can return, who gets it, and what the answer looks like from outside."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort, make_response, session

from flask_delegate import (
    AccessDenied,
    DelegateError,
    FileMissing,
    Handoff,
    HandoffUnavailable,
    LostCookies,
    UnknownArea,
    delegated,
    file_delegated,
    file_refused,
    send_via_apache,
)
from tests.support.extension import Factory, behind_apache

CONTENT = b"private content\n"


def serve(app: Flask, returned: Any, *, allowed: bool = True, **options: Any) -> None:
    """Add the route /file, whose view returns something."""

    @app.route("/file", methods=["GET", "POST"])
    @delegated(lambda: allowed, **options)
    def file() -> Any:
        return returned


def test_a_path_is_handed_off(app: Flask) -> None:
    serve(app, "report.txt")
    response = behind_apache(app).get("/file")
    token = app.extensions["delegate"].keys["default"][0].token
    assert response.status == "200 OK"
    assert response.data == b""
    assert re.sub("&id=[A-Za-z0-9_-]{16}&", "&id=&", response.headers["Location"]) == (
        f"/private/report.txt?k={token}&id=&ct=text/plain%3B%20charset%3Dutf-8"
        "&cd=inline%3B%20filename%3D%22report.txt%22"
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_path_is_streamed_elsewhere(app: Flask) -> None:
    serve(app, Path("report.txt"))
    response = app.test_client().get("/file")
    assert (response.status_code, response.data) == (200, CONTENT)
    assert "Location" not in response.headers
    assert response.headers["Content-Disposition"] == 'inline; filename="report.txt"'
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Accept-Ranges"] == "bytes"


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


def test_send_via_apache_makes_the_response(app: Flask) -> None:
    @app.get("/file")
    def file() -> Response:
        return send_via_apache("report.txt", as_attachment=True, mimetype="text/csv")

    headers = app.test_client().get("/file").headers
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == 'attachment; filename="report.txt"'


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


def test_areas_have_their_own_folder_url_and_token(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"png")
    app = make_app(DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/in/photos/"}})
    serve(app, "a.png", area="photos")
    token = app.extensions["delegate"].keys["photos"][0].token
    response = behind_apache(app, "photos").get("/file")
    assert response.headers["Location"].startswith(f"/in/photos/a.png?k={token}&")
    # Only the default area's guard is there: this one's file is streamed.
    assert behind_apache(app, "default").get("/file").data == b"png"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a b.txt", "a%20b.txt"),
        ("a%20b.txt", "a%2520b.txt"),
        ("a?b#c;d&e=f+g.txt", "a%3Fb%23c%3Bd%26e%3Df%2Bg.txt"),
        ("é/日.txt", "%C3%A9/%E6%97%A5.txt"),
        ("a\\b.txt", "a%5Cb.txt"),
        ("raw\udcff.txt", "raw%FF.txt"),
    ],
)
def test_the_internal_url_is_quoted_exactly_once(
    app: Flask, root: Path, name: str, quoted: str
) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"x")
    serve(app, name)
    location = behind_apache(app).get("/file").headers["Location"]
    assert location.partition("?")[0] == f"/private/{quoted}"


def test_the_location_stays_local_under_a_response_class_that_completes_it(app: Flask) -> None:
    class Completing(Response):
        autocorrect_location_header = True

    app.response_class = Completing
    serve(app, "report.txt")
    assert behind_apache(app).get("/file").headers["Location"].startswith("/private/")


def test_the_handshake_decides_for_each_request(app: Flask) -> None:
    serve(app, "report.txt")
    good = behind_apache(app)
    assert "Location" in good.get("/file").headers
    for missing in list(good.environ_base):
        client = behind_apache(app)
        if missing in ("REMOTE_ADDR", "HTTP_USER_AGENT"):
            continue
        del client.environ_base[missing]
        assert "Location" not in client.get("/file").headers


def test_why_it_streams_is_logged_once(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    serve(app, "report.txt")
    for _ in range(3):
        app.test_client().get("/file")
    assert caplog.text.count("this server is not Apache with mod_wsgi") == 1


def test_it_refuses_where_streaming_is_ruled_out(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DELEGATE_BACKEND="mod_wsgi")
    serve(app, "report.txt")
    assert app.test_client().get("/file").status_code == 500
    assert "cannot be handed off" in caplog.text
    assert "Location" in behind_apache(app).get("/file").headers


def test_stream_never_hands_off(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="stream")
    serve(app, "report.txt")
    client = app.test_client()
    client.environ_base["mod_wsgi.process_group"] = "x"
    assert client.get("/file").data == CONTENT


def test_two_applications_in_one_process(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.txt").write_bytes(b"other")
    one, two = make_app(), make_app(DELEGATE_ROOT=tmp_path / "other")
    for app in (one, two):
        serve(app, "report.txt")
    assert one.test_client().get("/file").data == CONTENT
    assert two.test_client().get("/file").data == b"other"


def test_without_set_up_the_error_says_so() -> None:
    app = Flask("bare")
    with app.test_request_context(), pytest.raises(RuntimeError, match="init_app"):
        send_via_apache("report.txt")


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
    ("header", "status", "body"),
    [
        ("bytes=8-", 206, b"content\n"),
        ("bytes=-4", 206, b"ent\n"),
        ("bytes=0-0", 206, b"p"),
        ("bytes=99-", 416, None),
        ("bytes=0-1,4-5", 200, CONTENT),
        ("lines=0-1", 200, CONTENT),
        ("nonsense", 200, CONTENT),
    ],
)
def test_streamed_ranges(app: Flask, header: str, status: int, body: bytes | None) -> None:
    serve(app, "report.txt")
    response = app.test_client().get("/file", headers={"Range": header})
    assert response.status_code == status
    if body is not None:
        assert response.data == body
        assert response.headers["Content-Length"] == str(len(body))


def test_streamed_conditions(app: Flask) -> None:
    serve(app, "report.txt")
    client = app.test_client()
    first = client.get("/file")
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert client.get("/file", headers={"If-None-Match": etag}).status_code == 304
    assert client.get("/file", headers={"If-Modified-Since": modified}).status_code == 304
    stale = {"Range": "bytes=8-", "If-Range": '"other"'}
    assert client.get("/file", headers=stale).data == CONTENT
    assert client.head("/file").headers["Content-Length"] == "16"


def test_a_failed_precondition_has_no_body(app: Flask) -> None:
    serve(app, "report.txt")
    response = app.test_client().get("/file", headers={"If-Match": '"other"'})
    assert (response.status_code, response.data) == (412, b"")


def test_two_configurations_for_one_url_are_told_apart(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    client.environ_base["flask_delegate." + "0" * 32] = "/private/"
    assert client.get("/file").data == CONTENT
    assert "two configurations on this server claim /private/" in caplog.text


def test_another_process_group_than_the_one_named_streams(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    key = next(key for key in client.environ_base if key.startswith("flask_delegate."))
    client.environ_base[key] = "/private/ localhost:8000"
    assert "Location" in client.get("/file").headers
    client.environ_base[key] = "/private/ another"
    assert client.get("/file").data == CONTENT
    assert "only the process group 'another' may hand off" in caplog.text


def test_an_old_key_works_until_the_configuration_is_written_anew(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    old = make_app(SECRET_KEY="old")
    behind_old = dict(behind_apache(old).environ_base)
    app = make_app(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"])
    serve(app, "report.txt")
    client = app.test_client()
    client.environ_base.update(behind_old)
    location = client.get("/file").headers["Location"]
    assert f"k={old.extensions['delegate'].keys['default'][0].token}&" in location
    assert "made with a key that is now in SECRET_KEY_FALLBACKS" in caplog.text
    location = behind_apache(app).get("/file").headers["Location"]
    assert f"k={app.extensions['delegate'].keys['default'][0].token}&" in location


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
