"""nginx asks the application by uwsgi's protocol, FastCGI's and SCGI's as well as by HTTP."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from flask_delegate.receipts import Receipt, read
from flask_delegate.servers.nginx import PASSING_ON
from tests.support.application import APPLICATION
from tests.support.clients import everything, file_url, get, send
from tests.support.doctor import findings
from tests.support.nginxes import nginx_in_front, passed_on_by
from tests.support.python_servers import BY_FASTCGI, BY_UWSGI, GUNICORN, SCGI, python_server
from tests.support.receipts import receipts_in_order
from tests.support.sites import Site, new_site
from tests.support.spellings import MARK, attacks

BY_GUNICORN = (*GUNICORN, "--protocol", "uwsgi")
LENGTH = """
@app.post("/length")
def length():
    return str(len(request.get_data()))
"""
COMMANDS = {
    "uwsgi": ("uwsgi", BY_UWSGI, APPLICATION),
    "uwsgi by gunicorn": ("uwsgi", BY_GUNICORN, APPLICATION),
    "fastcgi": ("fastcgi", BY_FASTCGI, APPLICATION),
    "scgi": ("scgi", SCGI, APPLICATION),
}
NAME = "report.txt"
COOKIES = {"Cookie": "a=" + "b" * 7000}
BODY = b"a" * 5 * 2**20


@dataclass
class Asked:
    """An application, and nginx in front of it."""

    site: Site
    protocol: str
    upstream: int
    port: int

    def receipts(self) -> list[Receipt]:
        log = self.site.folder / "receipts.log"
        return list(read(log)) if log.exists() else []


def in_front(site: Site, upstream: int, location: str) -> Iterator[int]:
    include = site.nginx_config("--receipts", f"{site.folder}/receipts.log")
    with nginx_in_front(site, upstream, include, locations=location) as port:
        yield port


@pytest.fixture(scope="module", params=COMMANDS)
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    protocol, command, application = COMMANDS[request.param]
    location = passed_on_by(protocol).replace("{{", "{{ client_max_body_size 0;")
    with new_site(DELEGATE_BACKEND="nginx") as site:
        site.write(NAME, MARK)
        with site.write("large.bin").open("r+b") as file:
            file.truncate(40 * 2**20)
        with python_server(site, *command, application=application + LENGTH) as upstream:
            for port in in_front(site, upstream, location):
                yield Asked(site, protocol, upstream, port)


def test_nothing_is_wrong_with_the_lines_that_the_configuration_names(asked: Asked) -> None:
    generated = asked.site.nginx_config()
    for line in PASSING_ON[asked.protocol]:
        assert f"#     {line}\n" in generated
    found = findings(asked.site.configure(), f"http://127.0.0.1:{asked.port}/")
    assert {item["level"] for item in found.values()} <= {"ok", "skipped"}
    for check in ("guard", "handoff", "longest-path", "range"):
        assert found[check]["level"] == "ok"


def test_without_its_parameter_nothing_is_handed_off(asked: Asked) -> None:
    fingerprint = re.findall(r'flask_delegate "(\w+)"', asked.site.nginx_config())[0]
    location = passed_on_by(asked.protocol, shown=False)
    with nginx_in_front(asked.site, asked.upstream, locations=location) as port:
        for header in ({}, {"X-Flask-Delegate": "0" * 32}, {"X_Flask_Delegate": fingerprint}):
            reply = get(port, file_url(NAME), headers=header)
            assert (reply.status, MARK in reply.body) == (500, False)
            assert "X-Accel-Redirect" not in reply.headers
        found = findings(asked.site.configure(), f"http://127.0.0.1:{port}/")
    assert {name for name, item in found.items() if item["level"] == "failure"} == {
        *("guard", "handoff")
    }
    assert f"{asked.protocol}_param" in found["guard"]["fix"]


def test_a_client_cannot_say_which_rules_are_loaded(asked: Asked) -> None:
    for name in ("X-Flask-Delegate", "X_Flask_Delegate", "x-flask_delegate"):
        reply = get(asked.port, file_url(NAME), headers={name: "0" * 32})
        assert (reply.status, reply.body) == (200, MARK)


def test_no_request_gets_the_file_without_the_application(asked: Asked) -> None:
    answers = {one.to(): everything(asked.port, one.to()) for one in attacks(NAME)}
    assert len(answers) > 150
    assert [request for request, answer in answers.items() if MARK in answer] == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_long_body_costs_no_file(asked: Asked, method: str) -> None:
    for _ in range(5):
        reply = get(asked.port, file_url(NAME), method=method, body=BODY)
        assert (reply.status, reply.body) == (200, MARK)


def test_an_upload_in_chunks_arrives(asked: Asked) -> None:
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = b"186a0\r\n%b\r\n" % BODY[:100_000] * 10
    assert send(asked.port, head + chunks + b"0\r\n\r\n").body == b"1000000"


def test_receipts_tell_how_a_download_ended(asked: Asked) -> None:
    url = file_url(NAME)
    whole, part, broken = receipts_in_order(
        asked.receipts,
        (
            lambda: get(asked.port, url),
            lambda: get(asked.port, url, headers={"Range": "bytes=0-3"}),
            lambda: cut(asked.port, file_url("large.bin")),
        ),
    )
    assert (whole.status, whole.sent, whole.outcome) == (200, len(MARK), "completed")
    assert (part.status, part.part, part.outcome) == (206, (0, 3, len(MARK)), "completed")
    assert (broken.status, broken.outcome) == (200, "cut short")


def cut(port: int, target: str) -> None:
    """Ask for a file, and hang up when it begins."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(1000)


def test_a_request_with_many_cookies_gets_the_file(asked: Asked) -> None:
    assert get(asked.port, file_url(NAME), headers=COOKIES).body == MARK


def test_uwsgi_needs_two_settings(site: Site) -> None:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    site.write(NAME, MARK)
    bare = BY_UWSGI[: BY_UWSGI.index("--buffer-size")]
    with (
        python_server(site, *bare) as upstream,
        nginx_in_front(site, upstream, locations=passed_on_by("uwsgi")) as port,
    ):
        assert get(port, file_url(NAME)).body == MARK
        assert get(port, file_url(NAME), headers=COOKIES).status == 502
        # A view that reads no body. Of one, a file leaves nothing unread.
        long = (get(port, "/", method="POST", body=BODY[:900_000]) for _ in range(50))
        assert any(reply.status == 502 for reply in long)


def test_fastcgi_needs_the_path(asked: Asked) -> None:
    if asked.protocol != "fastcgi":
        return
    location = passed_on_by("fastcgi").replace("PATH_INFO", "OTHER")
    location = location.replace('fastcgi_param SCRIPT_NAME "";', "")
    with nginx_in_front(asked.site, asked.upstream, locations=location) as port:
        assert get(port, file_url(NAME)).body == b"home"
        found = findings(asked.site.configure(), f"http://127.0.0.1:{port}/")
    assert found["probe"]["level"] == "failure"
    assert "PATH_INFO" in found["probe"]["fix"]
