"""The rules that servers get, and the keys in them, are what released configurations have."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

import pytest

from flask_delegate.areas import Area
from flask_delegate.config import Settings
from flask_delegate.servers import SERVERS, apache
from flask_delegate.servers.base import Choices
from flask_delegate.servers.handshake import Keys
from flask_delegate.state import State
from tests.support.doctor import findings
from tests.support.extension import Factory

HEADERS = {"X-Frame-Options": "DENY", "X-Odd": 'a "b" \\ 50%', "X-Content-Type-Options": "nosniff"}
CHOICES = Choices(process_group="web:1", sendfile=False, receipts="/log", resets=("ssi off;",))


def area(server: str) -> Area:
    signed_url = "/signed.d/" if SERVERS[server].verifies else None
    return Area("default", "/srv/files", "/private.d/", server, signed_url, HEADERS)


def rules(server: str, choices: Choices) -> str:
    keys = [Keys("token", "fingerprint", "signing key"), Keys("old", "old", "old key")]
    return SERVERS[server].rules(area(server), keys, choices)


# The fingerprint is derived from the rules, and an application hands off only where the server
# shows it. Who changes these says in CHANGES.md: "Write the configuration again."
@pytest.mark.parametrize(
    ("server", "fingerprint", "token", "signing_key", "chosen"),
    [
        (
            "mod_wsgi",
            "6d5f62f2e4321934d557362c178c15b0",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "3709e396589a276fcaff0a50a9291cdb",
            "3421388d46a5503179fb13ccf5d57182",
        ),
        (
            "scgi",
            "9be932b5c4b41ec974e523dcb81958a9",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "3709e396589a276fcaff0a50a9291cdb",
            "c036237ee8febb05d70bc0e45353f050",
        ),
        (
            "nginx",
            "01ac87446ad0b1325e304c4bee98ac3a",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "3709e396589a276fcaff0a50a9291cdb",
            "f7f8832be9216a2df8d3152240695097",
        ),
        (
            "caddy",
            "b1b762064a6365d293412120c831ef82",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "",
            "5bb1dd2c55982a8bf59cfa17de1b8f52",
        ),
        (
            "lighttpd",
            "1448fbacbf3186136086fa596d3c11f5",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "",
            "f25a028e540dd8e27a59d4a6ce36f2ac",
        ),
        (
            "xsendfile",
            "4ebe9870b32e82dcc4d2e891ab416289",
            "cce0971714e784fe2824aa3c97b0e9d7",
            "",
            "45bbb0a3041280a32d783235996e324e",
        ),
    ],
)
def test_a_new_version_understands_the_configuration_that_is_loaded(
    server: str, fingerprint: str, token: str, signing_key: str, chosen: str
) -> None:
    (keys,) = State.of(Settings({"default": area(server)}, (b"secret",))).keys["default"]
    assert keys == Keys(token, fingerprint, signing_key)
    assert hashlib.sha256(rules(server, CHOICES).encode()).hexdigest()[:32] == chosen


@pytest.mark.parametrize(
    ("server", "chosen"),
    [
        ("mod_wsgi", "d107a076dff31409605eeba7e5958bd2"),
        ("nginx", "0a32ac9294d27bd9693517a53ebf5f90"),
    ],
)
def test_rules_of_an_area_without_signed_urls_are_known(server: str, chosen: str) -> None:
    plain = dataclasses.replace(area(server), signed_url=None)
    keys = [Keys("token", "fingerprint"), Keys("old", "old")]
    text = SERVERS[server].rules(plain, keys, CHOICES)
    assert hashlib.sha256(text.encode()).hexdigest()[:32] == chosen


@pytest.mark.parametrize("server", ["mod_wsgi", "scgi", "nginx"])
def test_the_doctor_knows_the_lines_about_sendfile(server: str) -> None:
    lines = SERVERS[server].sendfile_lines
    assert lines is not None
    for is_on, line in zip((True, False), lines, strict=True):
        written = [one.strip() for one in rules(server, Choices(sendfile=is_on)).splitlines()]
        # nginx has a location for each of the area's two URLs.
        assert written.count(line) == {"mod_wsgi": 1, "scgi": 1, "nginx": 2}[server]


def test_a_server_is_found_by_its_name() -> None:
    assert [server.name for server in SERVERS.values()] == [*SERVERS]
    assert len(SERVERS) == len({*SERVERS})
    with pytest.raises(KeyError):
        SERVERS["another"]


def test_the_module_of_a_server_that_nobody_configured_is_not_imported() -> None:
    ask = "import sys, flask_delegate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True, text=True)
    names = {name for name in SERVERS if f"flask_delegate.servers.{name}" in loaded.stdout.split()}
    assert names == {"mod_wsgi", "stream"}


def test_servers_heed_choices_that_there_are() -> None:
    names = {one.name for one in dataclasses.fields(Choices)}
    for server in SERVERS.values():
        assert set(server.choices) <= names


def test_a_module_that_is_missing_is_loaded_or_named() -> None:
    assert apache.module_rules(["b", "a_b"], load=True) == (
        "<IfModule !a_b_module>\n"
        '    LoadModule a_b_module "${MOD_WSGI_MODULES_DIRECTORY}/mod_a_b.so"\n'
        "</IfModule>\n"
        "<IfModule !b_module>\n"
        '    LoadModule b_module "${MOD_WSGI_MODULES_DIRECTORY}/mod_b.so"\n'
        "</IfModule>\n"
    )
    assert apache.module_rules(["b"], load=False) == (
        "<IfModule !b_module>\n"
        '    Error "Flask-Delegate needs mod_b. On Debian and Ubuntu: a2enmod b"\n'
        "</IfModule>\n"
    )


@pytest.mark.parametrize(
    ("server", "software"),
    [
        ("mod_wsgi", "mod_wsgi"),
        ("scgi", "mod_proxy_scgi"),
        ("nginx", "nginx"),
        ("caddy", "Caddy"),
        ("lighttpd", "lighttpd"),
        ("xsendfile", "mod_xsendfile"),
    ],
)
def test_the_doctor_names_what_is_to_be_installed(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch, server: str, software: str
) -> None:
    monkeypatch.setattr(type(SERVERS[server]), "is_installed", lambda _: False)
    found = findings(make_app(DELEGATE_BACKEND=server))["backend"]
    assert found["fix"].startswith(f"Install {software}, ")


def test_where_nothing_is_handed_off_there_is_no_key(make_app: Factory) -> None:
    app = make_app(SECRET_KEY="unused", DELEGATE_BACKEND="stream")
    assert app.extensions["delegate"].keys == {"default": (Keys("", "", ""),)}
