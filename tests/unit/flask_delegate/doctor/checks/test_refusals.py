"""What an answer in place of the expected one says of the server."""

from __future__ import annotations

from http.client import HTTPMessage

import pytest

from flask_delegate.doctor.checks import refusals, running
from flask_delegate.doctor.checks.refusals import HANDED_OFF, IN_FRONT, SAME_KEY
from flask_delegate.doctor.requests.client import Reply
from flask_delegate.doctor.route import ROUTE


def reply(status: int, **headers: str) -> Reply:
    fields = HTTPMessage()
    for name, value in headers.items():
        fields[name] = value
    return Reply(status, fields, b"", "http://x/a")


@pytest.mark.parametrize(
    ("reasons", "statuses", "terms"),
    [
        (IN_FRONT, (200, 204, 299), ["sign-in page", "--header 'Cookie: …'"]),
        (IN_FRONT, (300, 302, 399), ["redirect", "--header 'Cookie: …'"]),
        (IN_FRONT, (401,), ["http://USER:PASSWORD@HOST/", "--header 'Authorization: …'"]),
        (IN_FRONT, (403,), ["location ~ /\\. {", f"nginx: 'location ^~ {ROUTE} {{", "proxy_pass"]),
        (IN_FRONT, (429,), ["limit of requests", "wait a minute"]),
        (IN_FRONT, (500,), ["ImportError", "--force-reinstall mod_wsgi"]),
        (IN_FRONT, (502, 503, 504, 599), ["maintenance", "built for this Python"]),
        (IN_FRONT, (400,), ["speak TLS", "https://", "--host NAME"]),
        *((IN_FRONT, (status,), ["SECRET_KEY is", SAME_KEY]) for status in (0, 402, 404)),
        *((IN_FRONT, (status,), [f"({refusals._PROXIED})"]) for status in (428, 430, 501, 999)),
        (HANDED_OFF, (200, 206, 299), ["changed the file", "findings that follow"]),
        (HANDED_OFF, (300, 301, 399), ["'return' or 'rewrite'", "another server block"]),
        (HANDED_OFF, (401,), ["auth_basic, auth_request", "application's location"]),
        (HANDED_OFF, (403,), ["does not know the token", "permissions and guard"]),
        (HANDED_OFF, (404,), ["'rewrite' of the server block", "agreement above"]),
        (HANDED_OFF, (502,), ["large headers", "proxy_buffer_size 32k; proxy_buffers 8 32k;"]),
        *((HANDED_OFF, (status,), ["both the server's"]) for status in (0, 400, 402, 405, 503)),
    ],
)
def test_reasons(
    reasons: tuple[refusals.Reason, ...], statuses: tuple[int, ...], terms: list[str]
) -> None:
    for status in statuses:
        said = " ".join(refusals.reason(reply(status), reasons))
        assert all(term in said for term in terms), (status, said)


def test_what_refuses_the_root_as_well_is_another_thing() -> None:
    alike = {status: running._unknown(reply(status), reply(status)) for status in (403, 404, 401)}
    assert "--header" in alike[403].fix
    assert "does not get the path" in alike[404].why
    assert "fastcgi_param PATH_INFO $document_uri;" in alike[404].fix
    assert SAME_KEY in alike[404].fix
    for status, found in alike.items():
        usual = running._unknown(reply(status), reply(200))
        assert (usual.why == found.why) == (status == 401)


@pytest.mark.parametrize(
    ("status", "location", "said"),
    [
        (200, "/login", ""),
        (299, "/login", ""),
        (300, "/login?token=secret", ", a redirect to /login"),
        (399, "https://ann:pw@y:81/login", ", a redirect to https://y/login"),
        (302, f"https://y{ROUTE}secret", ", a redirect to https://y/…"),
        (302, f"{ROUTE}secret", ", a redirect to /…"),
        (400, "/login", ""),
    ],
)
def test_an_answer_is_described_without_what_may_be_secret(
    status: int, location: str, said: str
) -> None:
    start = f"http://x/a was answered with {status}"
    assert refusals.described(reply(status, Location=location)) == start + said
    by_nginx = reply(status, Location=location, Server="nginx")
    assert refusals.described(by_nginx) == f"{start} by nginx{said}"
