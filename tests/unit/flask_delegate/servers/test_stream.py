"""Files that Python sends."""

from __future__ import annotations

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
