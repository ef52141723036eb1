"""Where the application is, as Apache and nginx say it."""

from __future__ import annotations

import pytest

from flask_delegate.scgi.environ import environ_of
from flask_delegate.scgi.frame import BadFrameError
from tests.support import scgi_frames

USUAL = {"CONTENT_LENGTH": "0", **scgi_frames.USUAL}
APACHES = {name: value for name, value in USUAL.items() if name != "PATH_INFO"}


def places(**values: str) -> tuple[str, str]:
    environ = environ_of({**APACHES, **values}, None, multiprocess=False)
    found = (environ["SCRIPT_NAME"], environ["PATH_INFO"])
    assert found == (environ["scgi.script_name"], environ["scgi.path_info"])
    return found


@pytest.mark.parametrize(
    ("script", "proxied", "found"),
    [
        ("/a b", "scgi://h:1/a%20b", ("", "/a b")),
        ("/app/a", "scgi://h:1/a", ("/app", "/a")),
        ("/app/a", "scgi://localhost/app/a", ("", "/app/a")),
        ("/app/", "scgi://localhost/", ("/app", "/")),
        ("/app/a%2Fb c", "scgi://h/a%2Fb%20c", ("/app", "/a/b c")),
        ("/\xc3\xa9", "scgi://h/%C3%A9", ("", "/\xc3\xa9")),
        ("/a/b?c", "scgi://h/b%3Fc", ("/a", "/b?c")),
        # RewriteRule "^/old" "scgi://h/new" [P]
        ("/old", "scgi://h/new", ("", "/new")),
    ],
)
def test_apache_says_by_proxypass_where(script: str, proxied: str, found: tuple[str, str]) -> None:
    assert places(SCRIPT_NAME=script, SCRIPT_FILENAME=f"proxy:{proxied}") == found


@pytest.mark.parametrize(
    ("script", "uri", "found"),
    [
        ("", "/a", ("", "/a")),
        ("/app", "/app/a", ("/app", "/a")),
        ("/app/", "/app/a", ("/app", "/a")),
        ("/app", "/app", ("/app", "")),
    ],
)
def test_nginx_says_it_by_script_name(script: str, uri: str, found: tuple[str, str]) -> None:
    assert places(SCRIPT_NAME=script, DOCUMENT_URI=uri) == found


def test_others_say_both() -> None:
    assert places(SCRIPT_NAME="/app", PATH_INFO="/a") == ("/app", "/a")


@pytest.mark.parametrize("uri", ["/", "/apple", "/other/app"])
def test_a_path_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(BadFrameError, match="is not below SCRIPT_NAME, '/app'"):
        places(SCRIPT_NAME="/app", DOCUMENT_URI=uri)


@pytest.mark.parametrize("name", ["REQUEST_METHOD", "SERVER_PORT", "SERVER_PROTOCOL"])
def test_what_wsgi_needs_is_asked_for(name: str) -> None:
    with pytest.raises(BadFrameError, match=f"no {name}; nginx needs 'include scgi_params;'"):
        environ_of({**USUAL, name: ""}, None, multiprocess=False)
    with pytest.raises(BadFrameError, match="neither PATH_INFO nor DOCUMENT_URI"):
        places()


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ({}, "http"),
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"REQUEST_SCHEME": "https"}, "https"),
        ({"REQUEST_SCHEME": "http", "HTTP_X_FORWARDED_PROTO": "https"}, "http"),
    ],
)
def test_the_scheme_is_the_servers(said: dict[str, str], scheme: str) -> None:
    environ = environ_of({**USUAL, **said}, None, multiprocess=True)
    assert environ["wsgi.url_scheme"] == scheme
    assert (environ["wsgi.multiprocess"], environ["wsgi.multithread"]) == (True, True)


def test_a_body_that_came_in_chunks_has_a_length_here() -> None:
    """Or Werkzeug would take it for empty."""
    chunked = {**USUAL, "CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked"}
    environ = environ_of(chunked, None, multiprocess=False)
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.parametrize("said", ["10", "5, 5", "x", "-5"])
def test_a_body_that_is_shorter_than_the_client_said_is_refused(said: str) -> None:
    cut = {**USUAL, "CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": said}
    with pytest.raises(BadFrameError, match="nginx needs 'scgi_request_buffering on;'"):
        environ_of(cut, None, multiprocess=False)
    for same in ("5", ""):
        environ_of({**cut, "HTTP_CONTENT_LENGTH": same}, None, multiprocess=False)


def test_no_name_of_a_frame_replaces_what_is_wsgis() -> None:
    environ = environ_of(
        {**USUAL, "wsgi.input": "x", "wsgi.url_scheme": "x"}, b"", multiprocess=False
    )
    assert (environ["wsgi.input"], environ["wsgi.url_scheme"]) == (b"", "http")
    assert (
        environ_of({**USUAL, "SERVER_NAME": ""}, 0, multiprocess=False)["SERVER_NAME"]
        == "localhost"
    )
