"""Other clients of tus: tuspy and curl, as docs/portal/files.md has them sign in."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from tusclient import client as tusclient
from werkzeug.serving import make_server

from portal.core.database import db
from portal.core.models import StoredFile, Upload
from tests.support.portal import signed_in, token
from tests.support.tools import tool

CONTENT = os.urandom(300_000)


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def session(app: Flask) -> Mapping[str, str]:
    """Return the headers of a signed-in browser."""
    alice: FlaskClient = signed_in(app, "alice")
    form_token = token(alice)
    cookie = alice.get_cookie("session")
    assert cookie
    return {"Cookie": f"session={cookie.value}", "X-CSRFToken": form_token}


def stored(app: Flask) -> dict[str, str]:
    with app.app_context():
        assert db.session.scalars(select(Upload).where(Upload.finished_at.is_(None))).all() == []
        return {one.name: one.sha256 for one in db.session.scalars(select(StoredFile))}


def test_tuspy_uploads_and_resumes(app: Flask, address: str, session: Mapping[str, str]) -> None:
    my = tusclient.TusClient(f"{address}/uploads/", headers=dict(session))
    options = {"chunk_size": 100_000, "metadata": {"filename": "tuspy.bin"}}
    first = my.uploader(file_stream=io.BytesIO(CONTENT), upload_checksum=True, **options)
    first.upload_chunk()  # type: ignore[no-untyped-call]
    second = my.uploader(file_stream=io.BytesIO(CONTENT), url=first.url, **options)
    assert second.offset == 100_000
    second.upload()
    assert stored(app) == {"tuspy.bin": hashlib.sha256(CONTENT).hexdigest()}


def test_curl_uploads_with_the_methods_that_it_likes(
    app: Flask, address: str, session: Mapping[str, str]
) -> None:
    def curl(*words: str, body: bytes = b"", **fields: str) -> str:
        headers = {**session, "Tus-Resumable": "1.0.0"}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        command = [tool("curl"), "-sS", "--fail-with-body", "-D", "-", "-o", "/dev/null"]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run(
            [*command, *words], input=body, capture_output=True, check=True, timeout=60
        )
        return done.stdout.decode()

    # curl names the type of a form, which has no body here.
    made = curl("-d", "", f"{address}/uploads/", Upload_Length="300000")
    url = next(line.split()[1] for line in made.splitlines() if line.startswith("Location:"))
    piece = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": "0"}
    sent = ["--data-binary", "@-", address + url]
    curl(*sent, body=CONTENT[:9], X_HTTP_Method_Override="PATCH", **piece)
    assert "Upload-Offset: 9\r\n" in curl("-I", address + url)
    piece["Upload_Offset"] = "9"
    curl("-X", "PATCH", *sent, body=CONTENT[9:], **piece)
    assert stored(app) == {"unnamed": hashlib.sha256(CONTENT).hexdigest()}
