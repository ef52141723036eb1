"""HTTP/2, as much of it as the doctor speaks: read by another implementation."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from flask_delegate.doctor.requests import http2
from flask_delegate.doctor.requests.families import Attack


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("length", [1, 126, 127, 128, 254, 255, 300, 5000])
def test_a_request(scheme: str, length: int) -> None:
    server = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
    server.initiate_connection()
    path = "/" + "x" * (length - 1)
    sent = Attack(path.encode(), version="HTTP/2").to("h\xf6st", scheme, {"Cookie": "\xe9"})
    received, ended, *_ = [
        event
        for event in server.receive_data(sent)
        if isinstance(event, RequestReceived | StreamEnded)
    ]
    assert isinstance(ended, StreamEnded)
    assert isinstance(received, RequestReceived)
    assert [(str(name), str(value)) for name, value in received.headers] == [
        *((":method", "GET"), (":scheme", scheme), (":authority", "h\xf6st"), (":path", path)),
        ("cookie", "\xe9"),
    ]


def frame(kind: int, flags: int = 0, stream: int = 1, payload: bytes = b"") -> bytes:
    """As RFC 9113, 4.1, has it."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


SETTINGS = frame(4, stream=0, payload=bytes(300))


@pytest.mark.parametrize(
    ("answer", "spoken", "ended"),
    [
        (b"", False, False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, False),
        (frame(0, 1), False, False),
        (SETTINGS[:-1], False, False),
        (SETTINGS, True, False),
        (SETTINGS + frame(1, 4), True, False),
        (SETTINGS + frame(1, 5), True, True),
        (SETTINGS + frame(1, 4) + frame(0, 1, payload=b"xyz"), True, True),
        (SETTINGS + frame(1, 4) + frame(0, 1, payload=b"xyz")[:-1], True, False),
        (SETTINGS + frame(0, 1, stream=3), True, False),
        (SETTINGS + frame(0, 1, stream=2**24 + 1), True, False),
        (SETTINGS + frame(4, 1), True, False),
        (SETTINGS + frame(3), True, True),
        (SETTINGS + frame(3, stream=3), True, False),
        (SETTINGS + frame(7, stream=0), True, True),
    ],
)
def test_what_a_server_says(answer: bytes, spoken: bool, ended: bool) -> None:
    assert http2.is_spoken(answer) == spoken
    assert http2.has_ended(answer) == ended
