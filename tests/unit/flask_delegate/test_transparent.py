"""What Flask's own send_file sends is handed off where nothing is lost by it, and streamed else."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import werkzeug.utils
from flask import (
    Flask,
    Response,
    after_this_request,
    make_response,
    request,
    send_file,
    send_from_directory,
    session,
)
from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wsgi import ClosingIterator, FileWrapper

from flask_delegate import file_delegated, file_streamed, transparent
from tests.support.extension import CONTENT, Factory, behind_apache, refused

View = Callable[[], Any]


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transparent, "FRESH", 0)


@pytest.fixture
def make_transparent(make_app: Factory) -> Factory:
    def make(**settings: Any) -> Flask:
        return make_app(DELEGATE_SEND_FILE=True, **settings)

    return make


@pytest.fixture
def app(make_transparent: Factory) -> Flask:
    return make_transparent()


@pytest.fixture
def reasons(app: Flask) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_: Flask, kind: str, reason: str) -> None:
        assert reason.endswith(".")
        found.append(kind)

    with file_streamed.connected_to(note, app):
        yield found


def ask(app: Flask, view: View, **request: Any) -> TestResponse:
    app.add_url_rule("/file", "file", view, methods=["GET", "POST"])
    return behind_apache(app).open("/file", **request)


def is_handed_off(response: TestResponse) -> bool:
    location = response.headers.get("Location", "")
    assert location.startswith("/private/") == (response.data == b"")
    return location.startswith("/private/")


def test_a_call_is_handed_off_as_it_says(app: Flask, root: Path) -> None:
    def view() -> Response:
        return send_file(
            root / "report.txt",
            as_attachment=True,
            download_name="Größe 1.txt",
            mimetype="text/x-odd",
            max_age=60,
        )

    response = ask(app, view)
    assert is_handed_off(response)
    assert response.status_code == 200
    query = unquote(response.headers["Location"])
    assert "&ct=text/x-odd; charset=utf-8&" in query
    name = "filename=\"Groe 1.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.txt"
    assert query.endswith(f"&cd=attachment; {name}&ma=60")


@pytest.mark.parametrize(
    "send",
    [
        lambda root: send_file(str(root / "report.txt")),
        lambda root: send_from_directory(root, "report.txt"),
        lambda root: send_from_directory(f"{root}/../{root.name}", "report.txt"),
        lambda root: send_file((root / "report.txt").open("rb"), mimetype="text/plain"),
        lambda root: werkzeug.utils.send_file(root / "report.txt", request.environ),
        lambda root: make_response(send_file(root / "report.txt")),
        lambda root: (send_file(root / "report.txt"), {"X-Content-Type-Options": "nosniff"}),
    ],
)
def test_each_way_to_call_is_handed_off(
    app: Flask, root: Path, send: Callable[[Path], Any]
) -> None:
    assert is_handed_off(ask(app, lambda: send(root)))


def _with(**headers: str) -> Callable[[Path], Response]:
    def send(root: Path) -> Response:
        response = send_file(root / "report.txt")
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    return send


def _with_cookie(root: Path) -> Response:
    response = send_file(root / "report.txt")
    response.set_cookie("seen", "1")
    return response


def _with_session(root: Path) -> Response:
    session["n"] = 1
    return send_file(root / "report.txt")


def _by_hook(root: Path) -> Response:
    @after_this_request
    def add(response: Response) -> Response:
        response.headers["X-Extra"] = "1"
        return response

    return send_file(root / "report.txt")


def _cleaned_up(root: Path) -> Response:
    response = send_file(root / "report.txt")
    response.call_on_close(lambda: None)
    return response


def _deleted(root: Path) -> Response:
    (root / "temporary").write_bytes(CONTENT)
    response = send_file(root / "temporary")
    (root / "temporary").unlink()
    return response


def _swapped(root: Path) -> Response:
    (root / "temporary").write_bytes(CONTENT)
    response = send_file(root / "temporary", mimetype="text/plain")
    (root / "other").write_bytes(b"another one's")
    (root / "other").replace(root / "temporary")
    return response


def _unlinked(root: Path) -> Response:
    file = tempfile.TemporaryFile(dir=root)  # noqa: SIM115
    file.write(CONTENT)
    file.seek(0)
    return send_file(file, mimetype="text/plain")


def _behind_the_beginning(root: Path) -> Response:
    (root / "longer").write_bytes(b"secret" + CONTENT)
    file = (root / "longer").open("rb")
    file.seek(6)
    return send_file(file, mimetype="text/plain")


def _compressed(root: Path) -> Response:
    with gzip.open(root / "a", "wb") as file:
        file.write(CONTENT)
    unpacking: Any = gzip.open(root / "a")  # noqa: SIM115
    return send_file(unpacking, mimetype="text/plain")


def _by_descriptor(root: Path) -> Response:
    return send_file(os.fdopen(os.open(root / "report.txt", os.O_RDONLY), "rb"), "text/plain")


def _outside(root: Path) -> Response:
    (root.parent / "files-2").mkdir()
    (root.parent / "files-2/x.txt").write_bytes(CONTENT)
    return send_from_directory(root.parent, "files-2/x.txt")


def _through_a_link(root: Path) -> Response:
    (root.parent / "x.txt").write_bytes(CONTENT)
    (root / "link").symlink_to(root.parent / "x.txt")
    return send_from_directory(root, "link", mimetype="text/plain")


def _shortened(root: Path) -> Response:
    (root / "longer").write_bytes(CONTENT + b"secret")
    response = send_file(root / "longer", mimetype="text/plain", conditional=False)
    response.content_length = len(CONTENT)
    return response


def _rewritten(root: Path) -> Response:
    response = send_file(root / "report.txt")
    body: Any = response.response
    response.response = ClosingIterator(body, body.close)
    return response


class _OwnResponse(Response):
    def get_app_iter(self, environ: Any) -> Any:
        return super().get_app_iter(environ)


def _own_class(root: Path) -> Response:
    return werkzeug.utils.send_file(  # type: ignore[return-value]
        root / "report.txt", request.environ, response_class=_OwnResponse
    )


STREAMED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another header": (_with(X_Extra="1"), "header"),
    "a hook's header": (_by_hook, "header"),
    "a header of the area with another value": (_with(X_Frame_Options="SAMEORIGIN"), "header"),
    "a coding": (_with(Content_Encoding="gzip"), "header"),
    "another Vary": (_with(Vary="Accept"), "header"),
    "a policy that is too long": (_with(Content_Security_Policy="x" * 3000), "header"),
    "no-store": (_with(Cache_Control="no-store"), "cache-control"),
    "immutable": (_with(Cache_Control="max-age=9, immutable"), "cache-control"),
    "private for a header": (_with(Cache_Control='private="X", max-age=9'), "cache-control"),
    "years": (_with(Cache_Control="max-age=99999999999"), "cache-control"),
    "a cookie": (_with_cookie, "cookie"),
    "a changed session": (_with_session, "cookie"),
    "an error page": (lambda root: (send_file(root / "report.txt"), 404), "status"),
    "something to clean up": (_cleaned_up, "on-close"),
    "a file that is deleted": (_deleted, "replaced"),
    "a file without a name": (_unlinked, "no-file"),
    "a file that is swapped": (_swapped, "replaced"),
    "the rest of a file": (_behind_the_beginning, "part"),
    "a file of another kind": (_compressed, "no-file"),
    "a descriptor": (_by_descriptor, "no-file"),
    "a file in no area": (_outside, "outside"),
    "a file behind a link": (_through_a_link, "outside"),
    "another length": (_shortened, "part"),
    "another body": (_rewritten, "changed"),
    "a response class": (_own_class, "response-class"),
}


@pytest.mark.parametrize("case", STREAMED)
def test_what_would_be_lost_is_streamed(
    app: Flask, root: Path, reasons: list[str], case: str
) -> None:
    send, reason = STREAMED[case]
    response = ask(app, lambda: send(root))
    assert response.data.removesuffix(b"secret") == CONTENT
    assert (reasons, "Location" in response.headers) == ([reason], False)


def test_what_has_just_changed_is_streamed(
    app: Flask, root: Path, reasons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one member would get what the next one's request has written under the same name."""
    export = root / "export.txt"
    app.add_url_rule("/old", "old", lambda: send_file(export))

    def view() -> Response:
        written = root / "written"
        written.write_bytes(CONTENT)
        os.utime(written, (0, 0))  # no date that a program may set counts
        written.replace(export)
        return send_file(export)

    monkeypatch.setattr(transparent, "FRESH", 0.2)
    response = ask(app, view)
    export.write_bytes(b"another's")
    assert response.data == CONTENT
    assert reasons == ["fresh"]
    client = behind_apache(app)
    assert not is_handed_off(client.get("/old"))
    time.sleep(0.25)
    assert is_handed_off(client.get("/old"))


def test_a_header_that_the_server_adds_is_not_lost(make_transparent: Factory, root: Path) -> None:
    app = make_transparent(DELEGATE_HEADERS={"X-Frame-Options": "DENY"})
    assert is_handed_off(ask(app, lambda: _with(X_Frame_Options="DENY")(root)))


def test_a_refreshed_session_is_not_lost(app: Flask, root: Path) -> None:
    def view() -> Response:
        session.permanent = True
        session.modified = False
        return send_file(root / "report.txt")

    assert is_handed_off(ask(app, view))


@pytest.mark.parametrize("policy", ["default-src 'self'", None])
def test_a_content_policy_passes_and_none_is_added(
    app: Flask, root: Path, policy: str | None
) -> None:
    (root / "page.html").write_bytes(CONTENT)

    def view() -> Response:
        response = send_file(root / "page.html")
        if policy:
            response.content_security_policy = policy
        return response

    location = unquote(ask(app, view).headers["Location"])
    assert ("&csp=" in location) == (policy is not None)
    assert not policy or location.endswith(f"&csp={policy}")


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        ("public, max-age=60", "&ma=60"),
        ("private, max-age=60", "&ma=60"),
        ("no-cache, max-age=60", ""),
        ("public, max-age=0", ""),
        ("public", ""),
    ],
)
def test_the_cache_policy_is_private(app: Flask, root: Path, policy: str, found: str) -> None:
    location = ask(app, lambda: _with(Cache_Control=policy)(root)).headers["Location"]
    assert location.partition("&ma=")[2] == found.removeprefix("&ma=")


CONDITIONS = {
    "a part": {"Range": "bytes=8-"},
    "a part of the server's version": {"Range": "bytes=8-", "If-Range": '"other"'},
    "the server's version, unchanged": {"If-None-Match": '"other"'},
    "the server's version and no other": {"If-Match": '"other"'},
    "a date": {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    "the end": {"Range": "bytes=-1"},
}


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_server_evaluates_conditions_and_parts(
    app: Flask, root: Path, name: str, method: str
) -> None:
    view = lambda: send_file(root / "report.txt")  # noqa: E731
    response = ask(app, view, headers=CONDITIONS[name], method=method)
    assert response.status_code == 200
    assert response.headers["Location"].startswith("/private/")


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_server_does_not_where_the_view_does_not(
    app: Flask, root: Path, reasons: list[str], name: str
) -> None:
    view = lambda: send_file(root / "report.txt", conditional=False)  # noqa: E731
    response = ask(app, view, headers=CONDITIONS[name])
    assert (response.status_code, response.data, reasons) == (200, CONTENT, ["conditional"])


def test_a_post_is_handed_off_but_for_conditions(app: Flask, root: Path) -> None:
    view = lambda: send_file(root / "report.txt")  # noqa: E731
    assert is_handed_off(ask(app, view, method="POST"))
    response = behind_apache(app).post("/file", headers={"Range": "bytes=1-"})
    assert (response.status_code, response.data) == (200, CONTENT)


def test_another_part_than_the_one_asked_for_is_streamed(
    app: Flask, root: Path, reasons: list[str]
) -> None:
    def view() -> Any:
        response = send_file(root / "report.txt", conditional=False)
        return response.make_conditional(request, accept_ranges=True, complete_length=7)

    response = ask(app, view, headers={"Range": "bytes=0-99"})
    assert (response.status_code, response.data, reasons) == (206, CONTENT[:7], ["part"])


def test_a_part_behind_the_end_is_refused_as_before(
    app: Flask, root: Path, reasons: list[str]
) -> None:
    response = ask(app, lambda: send_file(root / "report.txt"), headers={"Range": "bytes=99-"})
    assert (response.status_code, reasons) == (416, [])
    assert app.extensions["delegate"].routes == {}


def test_what_has_not_changed_is_not_streamed(app: Flask, root: Path, reasons: list[str]) -> None:
    date = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    response = ask(app, lambda: _with_cookie(root), headers=date)
    assert (response.status_code, response.data, reasons) == (304, b"", [])


def test_an_unready_server_gets_the_response_as_it_was(
    make_app: Factory, make_transparent: Factory, root: Path
) -> None:
    for backend in ("auto", "mod_wsgi", "nginx", "xsendfile", "stream"):
        answers = []
        for make in (make_app, make_transparent):
            app = make(DELEGATE_BACKEND=backend)
            app.add_url_rule("/file", view_func=lambda: send_file(root / "report.txt", max_age=9))
            response = app.test_client().get("/file", headers={"Range": "bytes=0-3"})
            response.headers.pop("Date")
            response.headers.pop("Expires")
            answers.append((response.status, response.headers.to_wsgi_list(), response.data))
        assert answers[0] == answers[1]
        assert answers[0][2] == b"priv"


class _ServersOwn(FileWrapper):
    pass


@pytest.mark.parametrize("backend", ["stream", "mod_wsgi"])
def test_a_server_streams_by_its_own_wrapper(
    make_transparent: Factory, root: Path, backend: str
) -> None:
    app = make_transparent(DELEGATE_BACKEND=backend)
    app.add_url_rule("/file", view_func=lambda: send_file(root / "report.txt"))
    environ = {"wsgi.file_wrapper": _ServersOwn}
    environ = EnvironBuilder("/file", environ_overrides=environ).get_environ()
    body = app(environ, lambda *_: lambda _: None)
    assert type(body) is _ServersOwn
    assert environ["wsgi.file_wrapper"] is _ServersOwn  # gunicorn knows its own by that
    assert b"".join(body) == CONTENT
    body.close()


@pytest.mark.parametrize(
    ("backend", "header"), [("nginx", "X-Accel-Redirect"), ("xsendfile", "X-Sendfile")]
)
def test_other_servers_keep_what_they_keep(
    make_transparent: Factory, root: Path, backend: str, header: str
) -> None:
    app = make_transparent(DELEGATE_BACKEND=backend)
    app.add_url_rule("/cookie", "cookie", lambda: _with_cookie(root))
    app.add_url_rule("/extra", "extra", lambda: _with(X_Extra="1")(root))
    client = app.test_client()
    fingerprint = app.extensions["delegate"].keys["default"][0].fingerprint
    for url in ("/cookie", "/extra"):
        response = client.get(url, headers={"X-Flask-Delegate": fingerprint})
        is_kept = url == "/cookie" or backend == "xsendfile"
        assert (header in response.headers) == is_kept
        if is_kept:
            assert response.data == b""
            assert response.headers["Cache-Control"] == "private, no-cache"
        assert ("Set-Cookie" if url == "/cookie" else "X-Extra") in response.headers


def test_the_signal_has_the_delivery_and_the_file_is_closed(app: Flask, root: Path) -> None:
    opened, found = [], []

    def view() -> Response:
        opened.append((root / "report.txt").open("rb"))
        return send_file(opened[0], mimetype="text/plain")

    def note(_: Flask, delivery: Any, backend: str) -> None:
        found.append((delivery.file.relative, delivery.handoff.path, backend))

    with file_delegated.connected_to(note, app):
        assert is_handed_off(ask(app, view))
    assert (found, opened[0].closed) == ([("report.txt", "report.txt", "mod_wsgi")], True)


def test_other_responses_and_other_applications_are_left_alone(
    app: Flask, make_app: Factory, root: Path
) -> None:
    app.add_url_rule("/bytes", view_func=lambda: send_file(io.BytesIO(b"x"), "text/plain"))
    assert ask(app, lambda: "text").data == b"text"
    assert behind_apache(app).get("/bytes").data == b"x"
    plain = make_app()
    assert ask(plain, lambda: send_file(root / "report.txt")).data == CONTENT


def test_an_area_of_its_own_is_found(make_transparent: Factory, root: Path) -> None:
    (root.parent / "photos").mkdir()
    (root.parent / "photos/a.jpg").write_bytes(CONTENT)
    areas = {"photos": {"root": root.parent / "photos", "url": "/inside/photos/"}}
    app = make_transparent(DELEGATE_AREAS=areas)
    app.add_url_rule("/a", view_func=lambda: send_from_directory(root.parent / "photos", "a.jpg"))
    assert behind_apache(app, "photos").get("/a").headers["Location"].startswith("/inside/photos/")


def test_wrong_settings_are_refused(root: Path) -> None:
    settings = {"SECRET_KEY": "x", "DELEGATE_ROOT": root}
    assert refused(DELEGATE_SEND_FILE="yes", **settings).key == "DELEGATE_SEND_FILE"
    error = refused(DELEGATE_SEND_FILE=True, USE_X_SENDFILE=True, **settings)
    assert (error.key, error.cure) == ("DELEGATE_SEND_FILE", "Remove USE_X_SENDFILE.")
