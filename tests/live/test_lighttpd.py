"""lighttpd sends files of the areas that an application behind it names, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from flask_delegate.doctor.requests.client import answer_to, parse_url
from tests.support.application import APPLICATION
from tests.support.clients import Reply, file_url, get
from tests.support.lighttpds import lighttpd_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, new_site
from tests.support.spellings import MARK, attacks
from tests.support.tools import tool

NAME = "report.txt"
RAW = (
    APPLICATION
    + """
from urllib.parse import parse_qsl


def application(environ, start_response):
    if environ["PATH_INFO"] != "/raw":
        return guarded(environ, start_response)
    headers = parse_qsl(environ["QUERY_STRING"], errors="surrogateescape")
    start_response("200 OK", [*headers, ("Content-Length", "0")])
    return []


app, guarded = application, app
"""
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Site, int]]:
    with new_site(DELEGATE_BACKEND="lighttpd") as site:
        site.write(NAME, MARK)
        site.write("folder/inside.txt", MARK)
        (site.folder / "files-secret").mkdir()
        (site.folder / "files-secret" / "x").write_bytes(MARK)
        (site.root / "link").symlink_to(site.folder / "files-secret" / "x")
        (site.root / "way").symlink_to("folder")
        with (
            python_server(site, *GUNICORN, application=RAW) as upstream,
            lighttpd_in_front(site, upstream) as port,
        ):
            yield site, port


def raw(port: int, **headers: str) -> Reply:
    query = urlencode({name.replace("_", "-"): value for name, value in headers.items()})
    return get(port, f"/raw?{query}")


def test_no_request_gets_the_file_without_the_application(shared: tuple[Site, int]) -> None:
    _, port = shared
    assert get(port, file_url(NAME)).body == MARK
    target = parse_url(f"http://127.0.0.1:{port}/")
    answers = {one.to(): answer_to(target, one.to()) for one in attacks(NAME)}
    assert [request for request, answer in answers.items() if MARK in (answer or b"")] == []
    assert None not in answers.values()


@pytest.mark.parametrize(
    "path",
    [
        *("{root}-secret/x", "{root}/../files-secret/x", "{root}/%2e%2e/files-secret/x"),
        *("{root}/..%2Ffiles-secret/x", "/etc/passwd", "report.txt", "", "{root}", "{root}/"),
        *("{root}/folder", "{root}/folder/", "{root}/link", "{root}/way/inside.txt"),
        *("{root}/missing", "{root}/%00", "{root}/report.txt%00x"),
    ],
)
def test_what_is_no_file_of_an_area_is_not_sent(shared: tuple[Site, int], path: str) -> None:
    site, port = shared
    inside = raw(port, X_Sendfile=f"{site.root}/{NAME}")
    assert (inside.status, inside.body) == (200, MARK)
    reply = raw(port, X_Sendfile=path.format(root=site.root))
    assert MARK not in reply.body
    assert b"root:" not in reply.body
    assert reply.status in {400, 403, 404, 500, 502} or reply.body == b""
    for name in ("X-Sendfile", "Location"):
        assert name not in reply.headers


def test_no_other_header_names_a_file(shared: tuple[Site, int]) -> None:
    site, port = shared
    for name in ("X-LIGHTTPD-send-file", "X-Sendfile2", "X-Accel-Redirect", "X-Sendfile-Temporary"):
        for value in (f"{site.root}/{NAME}", f"{site.root}/{NAME} 0-9"):
            assert raw(port, **{name: value}).body == b""


def test_the_id_is_for_the_log_alone(shared: tuple[Site, int]) -> None:
    _, port = shared
    assert "X-Flask-Delegate-Id" not in get(port, file_url(NAME)).headers


def test_any_name_in_utf_8_is_found(shared: tuple[Site, int]) -> None:
    site, port = shared
    names = [bytes([byte]) + b"x" + bytes([byte]) for byte in range(32, 127) if byte not in b"/."]
    names += [
        "größe 日本".encode(),
        b"%2e%2e",
        b"..x",
        b"...",
        b"-",
        b"${x}",
        b"%",
        b"a.inc",
        b"a~",
    ]
    for name in names:
        site.write(name, name)
    for name in names:
        reply = get(port, f"/hex/{name.hex()}")
        assert (reply.status, reply.body) == (200, name), name


def test_no_other_file_is_sent_for_a_name_that_lighttpd_misreads(shared: tuple[Site, int]) -> None:
    site, port = shared
    controls = (*range(1, 32), 127)
    for name in (b"x\xff", b"\xed\xa0\x80", *(bytes([byte]) + b"y" for byte in controls)):
        site.write(name, name)
        site.write("_y", MARK)
        assert get(port, f"/hex/{name.hex()}").status == 500, name


def test_another_file_in_its_place_is_sent_at_once(shared: tuple[Site, int]) -> None:
    site, port = shared
    for number in range(20):
        new = site.root / "new.txt"
        new.write_text(f"{number}\n")
        new.replace(site.root / "changing.txt")
        assert get(port, file_url("changing.txt")).body == b"%d\n" % number


def test_each_area_has_its_folder(site: Site) -> None:
    site.write(NAME, MARK)
    photos = site.folder / "a photo's (1)"
    photos.mkdir()
    (photos / "a b#?%.png").write_bytes(b"png")
    site.settings |= {
        "DELEGATE_BACKEND": "lighttpd",
        "DELEGATE_AREAS": {"photos": {"root": str(photos), "url": "/photos/"}},
    }
    with python_server(site, *GUNICORN) as upstream, lighttpd_in_front(site, upstream) as port:
        assert get(port, file_url(NAME)).body == MARK
        assert get(port, file_url("a b#?%.png", area="photos")).body == b"png"


def test_it_can_be_for_one_host_of_several(site: Site) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "lighttpd"
    before = 'server.stat-cache-engine = "disable"\n$HTTP["host"] == "a.test" {'
    with (
        python_server(site, *GUNICORN) as upstream,
        lighttpd_in_front(site, upstream, before=before, after="}") as port,
    ):
        for content in (MARK, b"another\n"):
            (site.root / "new").write_bytes(content)
            (site.root / "new").replace(site.root / NAME)
            reply = get(port, file_url(NAME), headers={"Host": "a.test", "Accept-Encoding": "gzip"})
            assert (reply.status, reply.body) == (200, content)
        assert get(port, file_url(NAME), headers={"Host": "b.test"}).status == 404


def test_it_does_not_start_without_the_application_or_send_without_its_header(site: Site) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "lighttpd"
    alone = site.folder / "alone.conf"
    alone.write_text(f'server.document-root = "/"\n{site.config("lighttpd")}')
    done = subprocess.run(
        [tool("lighttpd"), "-tt", "-f", alone], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Undefined config variable: var.flask_delegate" in done.stdout + done.stderr
    include = site.config("lighttpd").replace("setenv.set-request-header", "setenv.nothing")
    with (
        python_server(site, *GUNICORN) as upstream,
        lighttpd_in_front(site, upstream, include) as port,
    ):
        assert get(port, file_url(NAME)).status == 500
