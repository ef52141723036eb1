"""A client of tus 1.0 that has a browser's session."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Protocol

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal.tus.headers import CONTENT_TYPE

from .portal import token


class Body(Protocol):
    """What a server reads a request from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes."""


def words(**metadata: str) -> str:
    """Write metadata as the protocol has it."""
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items()
    )


class Tus:
    """A client with a session."""

    def __init__(self, client: FlaskClient, page: str = "/") -> None:
        self._client = client
        self.token = token(client, page)

    def send(
        self, method: str, url: str, body: bytes | Body = b"", /, **fields: str
    ) -> TestResponse:
        """Send a request; fields are headers, with ``_`` for ``-``."""
        sent = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.token}
        if method in {"PATCH"} or body:
            sent["Content-Type"] = CONTENT_TYPE
        sent |= {name.replace("_", "-"): value for name, value in fields.items()}
        if isinstance(body, bytes):
            return self._client.open(url, method=method, headers=sent, data=body)
        environ = {"wsgi.input": body, "CONTENT_LENGTH": sent.pop("Content-Length")}
        return self._client.open(url, method=method, headers=sent, environ_overrides=environ)

    def request(self, method: str, url: str, sent: Mapping[str, str], body: bytes) -> TestResponse:
        """Send headers as they are; one without a value is left out."""
        headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.token, **sent}
        headers = {name: value for name, value in headers.items() if value}
        return self._client.open(url, method=method, headers=headers, data=body)

    def create(self, length: int, body: bytes = b"", /, **metadata: str) -> TestResponse:
        said = {"Upload_Length": str(length), "Upload_Metadata": words(**metadata)}
        return self.send("POST", "/uploads/", body, **said)

    def begin(self, length: int, **metadata: str) -> str:
        made = self.create(length, **metadata)
        assert made.status_code == 201, made.text
        return str(made.location)

    def add(self, url: str, offset: int, body: bytes, **fields: str) -> TestResponse:
        return self.send("PATCH", url, body, Upload_Offset=str(offset), **fields)

    def offset(self, url: str) -> int:
        return int(self.send("HEAD", url).headers["Upload-Offset"])


class Sender(Tus):
    """A visitor who has opened a link to upload."""

    def __init__(self, app: Flask, address: str) -> None:
        client = app.test_client()
        self.page = client.get(address).location
        super().__init__(client, self.page)
        self.client, self._request = client, self.page.rpartition("/")[2]

    def announce(self, length: int, body: bytes = b"", /, **metadata: str) -> TestResponse:
        return self.create(length, body, request=self._request, **metadata)

    def make_folders(self, path: str) -> TestResponse:
        return self.send(
            "POST",
            "/uploads/folders/",
            Upload_Metadata=words(request=self._request, relativePath=path),
        )

    def begin(self, length: int, **metadata: str) -> str:
        return super().begin(length, request=self._request, **metadata)
