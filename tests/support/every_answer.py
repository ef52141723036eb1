"""Answers of an installed portal to requests of every kind, with all their headers.

Run in its container as ``python every_answer.py HOST FILE``; it prints JSON. FILE is the path of a
file's address. It needs nothing but the standard library.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

Headers = Mapping[str, str]
STYLE = "/static/0/portal.css"
CHALLENGES = "/.well-known/acme-challenge"
"""Where an authority of certificates looks for answers."""


@dataclass
class Answer:
    """An answer.

    :param name: what was asked.
    :param headers: by their names in lower case, all values of each.
    """

    name: str
    status: int
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: str = ""


@dataclass
class Client:
    """A client that sends one request on a connection, and of a long body nothing."""

    host: str

    def ask(self, name: str, target: str, fields: Headers, method: str = "GET") -> Answer:
        """Send a request, over TLS unless it is called plain."""
        is_plain = name.startswith("plain")
        connection = socket.create_connection((self.host, 80 if is_plain else 443), 30)
        if not is_plain:
            context = ssl.create_default_context(cafile="/etc/portal/tls.crt")
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be a root
            connection = context.wrap_socket(connection, server_hostname=self.host)
        head = {"Host": self.host, "Connection": "close", **fields}
        lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {one}" for key, one in head.items())]
        with connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            if (length := int(head.get("Content-Length", 0))) < 1024:
                connection.sendall(b"x" * length)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            found: dict[str, list[str]] = {}
            for key, value in response.getheaders():
                found.setdefault(key.lower(), []).append(value)
            body = response.read(100_000).decode(errors="replace") if response.status > 400 else ""
        return Answer(name, response.status, found, body)


def cookies() -> Headers:
    """Return the cookies that curl keeps."""
    lines = Path("/root/cookies").read_text().splitlines()
    kept = [line.split("\t") for line in lines if line.count("\t") == 6]
    return {"Cookie": "; ".join(f"{one[5]}={one[6]}" for one in kept)}


def answers(host: str, file: str) -> Iterator[Answer]:
    """Ask for everything once."""
    ask, mine = Client(host).ask, cookies()
    whole = ask("file", file, mine)
    style = ask("style", STYLE, {})
    yield from (whole, style)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "2"}
    tus = {"Tus-Resumable": "1.0.0", "Content-Length": "0"}
    requests: list[tuple[str, str, Headers, str]] = [
        ("file, head", file, mine, "HEAD"),
        ("file, range", file, {**mine, "Range": "bytes=5-9"}, "GET"),
        ("file, known", file, {**mine, **_known(whole)}, "GET"),
        ("file, changed", file, {**mine, "If-Match": '"other"'}, "GET"),
        ("file, no such range", file, {**mine, "Range": "bytes=99999999-"}, "GET"),
        ("file, shown", f"{file}/preview", mine, "GET"),
        ("page", "/", mine, "GET"),
        ("page, signed out", "/", {}, "GET"),
        ("form", "/sign-in", {}, "GET"),
        ("style, known", STYLE, _known(style), "GET"),
        ("form without a token", "/sign-in", form, "POST"),
        ("administrator's page", "/accounts", mine, "GET"),
        ("guarded", "/private/x", mine, "GET"),
        ("signed", "/signed/x", mine, "GET"),
        ("nothing", "/nothing", {}, "GET"),
        ("wrong method", "/sign-out", {}, "GET"),
        ("strange method", "/", {}, "TRACE"),
        ("upload, no version", "/uploads/", {**tus, "Tus-Resumable": "0"}, "POST"),
        ("upload, signed out", "/uploads/", tus, "POST"),
        ("too large", "/sign-in", {**form, "Content-Length": "9999999999999"}, "POST"),
        ("long address", f"/{'x' * 20_000}", {}, "GET"),
        ("long header", "/", {"X-Long": "x" * 40_000}, "GET"),
        ("plain", "/sign-in", {}, "GET"),
        ("plain, answer", f"{CHALLENGES}/test", {}, "GET"),
        ("plain, answer changed", f"{CHALLENGES}/test", {"If-Match": '"other"'}, "GET"),
        ("plain, answer's range", f"{CHALLENGES}/test", {"Range": "bytes=99-"}, "GET"),
        ("plain, answer posted", f"{CHALLENGES}/test", form, "POST"),
        ("plain, no answer", f"{CHALLENGES}/nothing", {}, "GET"),
        ("plain, answers", f"{CHALLENGES}/", {}, "GET"),
    ]
    yield from (ask(*request) for request in requests)


def _known(answer: Answer) -> Headers:
    return {"If-None-Match": answer.headers.get("etag", ["none"])[0]}


if __name__ == "__main__":
    json.dump([asdict(one) for one in answers(*sys.argv[1:])], sys.stdout)
