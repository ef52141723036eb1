"""The attacks, spelled."""

from __future__ import annotations

import re

from flask_delegate.doctor.requests.families import (
    FAMILIES,
    LISTINGS,
    SPELLINGS,
    Attack,
    requests,
    spell,
    targets,
)
from tests.support.doctor import NAME


def test_each_family_is_explained_and_adds_something() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.why for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch("[a-z0-9]+", family.name)
        assert len(family.why) > 60
        assert family.why.endswith(".")
        assert list(requests(family, "/private/", NAME))


def test_there_are_at_least_sixty_spellings() -> None:
    spelled = targets("/private/", NAME)
    assert len(set(spelled)) == len(spelled) >= 60
    assert sum(len(family.templates.split()) for family in SPELLINGS) == len(spelled)
    assert f"/%70rivate/{NAME}".encode() in spelled


def test_an_area_with_a_deep_url_is_spelled_as_well() -> None:
    spelled = targets("/inside/photos/", NAME)
    assert f"/inside/photos/{NAME}".encode() in spelled
    assert f"/insid%65/photos/{NAME}".encode() not in spelled
    assert f"/inside/photo%73/{NAME}".encode() in spelled
    assert f"/%69%6e%73%69%64%65/%70%68%6f%74%6f%73/{NAME}".encode() in spelled
    assert all(b"{" not in target for target in spelled)


# Beside the area's URL and the file's name, in any of their spellings.
WORDS = "http https HTTP other example user static file ct text plain cd inline"


def test_a_spelling_asks_for_the_file_or_its_folder_only() -> None:
    folders = [spell(template, "/private/", "") for template in LISTINGS.split()]
    for target in [*targets("/private/", NAME), *folders]:
        rest = re.sub(rb"%[0-9a-fA-F]{2}|%u0070", b"-", target)
        rest = re.sub(rb"(?i:p?rivate?)|f?lask-delegate-probe-", b"-", rest)
        assert {*re.findall("[A-Za-z]{2,}", rest.decode("latin-1"))} <= {*WORDS.split()}, target
    assert len({*folders}) == len(folders) >= 9


WIRE = """\
REDIRECT_mod_wsgi.process_group: localhost:8000
mod_wsgi.process_group: localhost:8000
Mod-Wsgi.Process-Group: x
REDIRECT_SCRIPT_FILENAME: proxy:scgi://localhost/
REDIRECT_STATUS: 200
Redirect-Status: 200
X-Accel-Redirect: /private/x
X-Sendfile: /private/x
X-Original-URL: /
X-Rewrite-URL: /
X-Forwarded-For: 127.0.0.1
X-Real-IP: 127.0.0.1
Location: /private/x
Status: 200
X-HTTP-Method-Override: GET
Range: bytes=0-
If-None-Match: *
If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT
Upgrade: h2c
HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA
Host: localhost
Host: other.example
Host: [::1]
Host: x:1
Host:
"""


def test_what_the_families_send() -> None:
    made = [attack for family in FAMILIES for attack in requests(family, "/private/", NAME)]
    assert {attack.version for attack in made} == {"HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/2"}
    methods = "GET HEAD POST PUT OPTIONS PROPFIND TRACE DELETE get FOO"
    assert {attack.method for attack in made} == {*methods.split()}
    for attack in made:
        if attack.headers or attack.method != "GET":
            assert attack.target in {f"/{url}/{NAME}".encode() for url in ("private", "%70rivate")}
    lines = {line.strip() for one in made if one.headers for line in one.to().split(b"\r\n")[1:]}
    assert lines == {*WIRE.encode().split(b"\n"), b"Host: 127.0.0.1", b"Connection: close"}
    assert len({attack.to() for attack in made}) == len(made)


def test_a_request_on_the_wire() -> None:
    attack = Attack(b"/x", headers={"X-One": "1"}).below("/app")
    assert attack.to("h", headers={"Cookie": "a"}) == (
        b"GET /app/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: a\r\nX-One: 1\r\n\r\n"
    )
    assert Attack(b"/x", headers={"Host": "other"}).to("h").count(b"Host: other\r\n") == 1
    assert Attack(b"/x", version="HTTP/0.9").to("h", headers={"Cookie": "a"}) == b"GET /x\r\n\r\n"
