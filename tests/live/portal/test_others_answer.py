"""While somebody sends text that is long to compute with, another person's pages answer."""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from tests.support.portal import token, upload_url

MARKS = "a" + "\u0301" * 60_000 + "\u0323" * 60_000
ATTACKS = {
    "name": f"username={quote(MARKS[::16])}&password=x",
    "password": f"username=bob&password={quote(MARKS[::16])}",
    "long": f"username={quote(MARKS)}&password=x",
}
SECONDS = 2
"""For how long each attack goes on."""
LONGEST = 2
"""Seconds for a page meanwhile: normalising one such text takes 6."""


def cookie_of(client: FlaskClient) -> str:
    return "; ".join(f"{one.key}={one.value}" for one in (client._cookies or {}).values())


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """Serve in threads of this process: what holds the interpreter holds everybody."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            method, path, body, {key.replace("_", "-"): headers[key] for key in headers}
        )
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return 413  # refused before all of it was read
    finally:
        connection.close()


def form(client: FlaskClient, fields: str) -> Callable[[int], int]:
    body = f"csrf_token={quote(token(client))}&{fields}".encode()
    kind = "application/x-www-form-urlencoded"
    return lambda port: ask(
        port, "POST", "/sign-in", body, Cookie=cookie_of(client), Content_Type=kind
    )


def file_name(client: FlaskClient) -> Callable[[int], int]:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token(client)}\r\n'
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{MARKS}"\r\n\r\nx\r\n--b--'
    ).encode()
    kind, path = "multipart/form-data; boundary=b", upload_url(client)
    return lambda port: ask(port, "POST", path, body, Cookie=cookie_of(client), Content_Type=kind)


def metadata(client: FlaskClient) -> Callable[[int], int]:
    name = base64.b64encode(MARKS[::16].encode()[:12_000]).decode()
    headers = {"Tus_Resumable": "1.0.0", "Upload_Length": "1", "X_CSRFToken": token(client)}
    headers |= {"Upload_Metadata": f"filename {name}", "Cookie": cookie_of(client)}
    return lambda port: ask(port, "POST", "/uploads/", b"", **headers)


@pytest.mark.parametrize("attack", [*ATTACKS, "file name", "metadata"])
def test_pages_of_others_answer_meanwhile(
    attack: str, app: Flask, alice: FlaskClient, bob: FlaskClient, anonymous: FlaskClient
) -> None:
    if attack in ATTACKS:
        send = form(anonymous, ATTACKS[attack])
    else:
        send = {"file name": file_name, "metadata": metadata}[attack](bob)
    answers: list[int] = []
    with served(app) as port:
        end = time.monotonic() + SECONDS

        def go_on() -> None:
            while time.monotonic() < end:
                answers.append(send(port))

        attackers = [threading.Thread(target=go_on) for _ in range(3)]
        for attacker in attackers:
            attacker.start()
        times = []
        while time.monotonic() < end:
            start = time.monotonic()
            assert ask(port, "GET", "/", Cookie=cookie_of(alice)) == 200
            times.append(time.monotonic() - start)
        for attacker in attackers:
            attacker.join()
    assert max(times) < LONGEST
    assert len(answers) >= 3
    assert not {status for status in answers if status >= 500}
