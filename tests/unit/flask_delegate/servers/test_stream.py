"""Files that Python sends."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from flask import Flask

from tests.support.extension import CONTENT, Factory, serve


def test_stream_never_hands_off(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="stream")
    serve(app, "report.txt")
    client = app.test_client()
    client.environ_base["mod_wsgi.process_group"] = "x"
    assert client.get("/file").data == CONTENT


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=8-", 206, b"content\n"),
        ("bytes=-4", 206, b"ent\n"),
        ("bytes=0-0", 206, b"p"),
        ("bytes=99-", 416, None),
        ("bytes=-20000", 206, CONTENT),
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


def test_several_parts_come_as_multipart(app: Flask) -> None:
    serve(app, "report.txt")
    response = app.test_client().get("/file", headers={"Range": "bytes=0-1,-2"})
    kind, _, boundary = response.headers["Content-Type"].partition("; boundary=")
    assert (response.status_code, kind) == (206, "multipart/byteranges")
    described = "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes "
    parts = [f"{described}0-1/16\r\n\r\npr", f"{described}14-15/16\r\n\r\nt\n"]
    assert response.text == "".join(f"\r\n--{boundary}{part}" for part in [*parts, "--\r\n"])
    assert response.headers["Content-Length"] == str(len(response.data))


def test_a_failed_precondition_is_the_applications_error(app: Flask) -> None:
    app.register_error_handler(412, lambda _error: ("changed", 412))
    serve(app, "report.txt")
    response = app.test_client().get("/file", headers={"If-Match": '"other"'})
    assert (response.status_code, response.text) == (412, "changed")
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_the_validators_are_the_files(app: Flask, root: Path) -> None:
    os.utime(root / "report.txt", (1_700_000_000, 1_700_000_000))
    serve(app, "report.txt")
    response = app.test_client().get("/file")
    assert response.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    first = response.headers["ETag"]
    assert first.startswith('"')
    os.utime(root / "report.txt", (1_700_000_001, 1_700_000_001))
    assert app.test_client().get("/file").headers["ETag"] != first
    assert response.headers["Vary"] == "Cookie"


@pytest.mark.parametrize("backend", ["stream", "auto"])
def test_a_hash_is_the_etag_where_no_other_server_sends_the_file(
    make_app: Factory, backend: str
) -> None:
    digits = hashlib.sha256(CONTENT).hexdigest()
    app = make_app(DELEGATE_BACKEND=backend)
    serve(app, "report.txt", sha256=digits.upper())
    client = app.test_client()
    tag = client.get("/file").headers["ETag"]
    assert (tag == f'"{digits}"') == (backend == "stream")
    assert client.get("/file", headers={"If-None-Match": tag}).status_code == 304
    # The file is younger than a second: only a hash makes a strong tag.
    resumed = client.get("/file", headers={"Range": "bytes=8-", "If-Range": tag})
    assert resumed.status_code == (206 if backend == "stream" else 200)
