"""Forms with files, byte by byte."""

from __future__ import annotations

import io

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

BOUNDARY = "boundary-of-the-test"


class Counted(io.BytesIO):
    """A request's body that knows how much of it was read."""

    given = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.given += len(data)
        return data

    def readinto(self, buffer: object, /) -> int:
        count = super().readinto(buffer)  # type: ignore[arg-type]
        self.given += count
        return count


def part(field: str, name: str, content: bytes, mimetype: str) -> bytes:
    return part_head(field, name, mimetype) + content + b"\r\n"


def form_body(parts: list[bytes], form_token: str) -> bytes:
    return head(form_token) + b"".join(parts) + f"--{BOUNDARY}--".encode()


def post_stream(
    client: FlaskClient, stream: io.IOBase, path: str, length: int | None = None
) -> TestResponse:
    if length is None:
        assert isinstance(stream, io.BytesIO)
        length = len(stream.getvalue())
    # Not input_stream=, for which the test client measures the length itself.
    environ = {
        "wsgi.input": stream,
        "CONTENT_LENGTH": str(length),
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
    }
    return client.post(path, environ_overrides=environ)


def head(form_token: str) -> bytes:
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{form_token}\r\n'
    ).encode()


def part_head(field: str, name: str, mimetype: str) -> bytes:
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: {mimetype}\r\n\r\n"
    ).encode()
