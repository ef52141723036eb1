"""Stock Apache with mod_proxy_scgi: who gets a file, and what else passes."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import IncompleteRead
from pathlib import Path

import pytest

from flask_delegate.doctor.requests.families import Attack, targets
from flask_delegate.receipts import read
from tests.support.apaches import SCGI_SITE, debian_apache, scgi
from tests.support.application import APPLICATION
from tests.support.clients import Reply, everything, file_url, get, send
from tests.support.nginxes import nginx_by, passed_on_by
from tests.support.processes import process
from tests.support.python_servers import SCGI
from tests.support.receipts import receipts_in_order
from tests.support.running import HOST, Running
from tests.support.sites import Site, new_site
from tests.support.spellings import MARK, attacks
from tests.support.store_area import APPLICATION as STORE_APPLICATION
from tests.support.store_area import settings_for, url_of
from tests.support.store_settings import URL
from tests.support.stores import seaweedfs

NAME = "report.txt"
MORE = (
    APPLICATION
    + """
import os
import time

from flask_delegate import signed_url


@app.get("/sign/<path:path>")
def sign(path):
    return signed_url(path, expires_in=60)


@app.post("/length")
def length():
    return str(len(request.get_data()))


@app.post("/unread")
def unread():
    return b"y" * 2_000_000


@app.get("/broken-off")
def broken_off():
    def parts():
        yield b"x" * 50_000
        raise RuntimeError("on purpose")

    return Response(parts(), headers={"Content-Length": "100000"})


@app.get("/forking/<end>")
def forking(end):
    def parts():
        yield b"x" * 50_000
        if not os.fork():
            time.sleep(20)
            os._exit(0)
        if end == "early":
            raise RuntimeError("on purpose")
        yield b"end"

    return Response(parts())


@app.get("/passing")
def passing():
    return request.headers["Authorization"]


@app.get("/long/<int:size>")
def long(size):
    return Response("body", headers={"X": "x" * size})


class Raw:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start_response):
        def with_more(status, headers, *rest):
            more = [("Content-Encoding", "gzip"), ("Accept-Ranges", "none")]
            return start_response(status, headers + more, *rest)

        if environ["PATH_INFO"] == "/raw":
            start_response("200 OK", [("Location", environ["QUERY_STRING"])])
            return []
        if environ["QUERY_STRING"] == "more":
            return self.inner({**environ, "QUERY_STRING": ""}, with_more)
        return self.inner(environ, start_response)


app.wsgi_app = Raw(app.wsgi_app)
"""
)


def minted(site: Site, name: str = NAME) -> str:
    """Return a hand-off as the extension would make it."""
    return f"/private/{name}?k={site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"


@pytest.fixture(scope="module")
def open_site() -> Iterator[Site]:
    with new_site(DELEGATE_BACKEND="scgi", DELEGATE_SIGNED_URL="/signed/") as site:
        site.application = MORE
        site.write(NAME, MARK)
        yield site


@pytest.fixture(scope="module")
def server(open_site: Site) -> Iterator[Running]:
    # Ways inside of Apache by which a request gets to the area, but not as a hand-off.
    target = minted(open_site)
    more = f"""
    ProxySCGIInternalRedirect Off
    RewriteEngine On
    RewriteRule "^/rewritten" "{target}" [PT]
    ErrorDocument 403 "{target}"
    <Location "/denied">
        Require all denied
    </Location>
    ErrorDocument 500 "{target}"
    <Location "/passing">
        CGIPassAuth On
    </Location>
    """
    log = open_site.folder / "receipts.log"
    with scgi(open_site, receipts=str(log), more=more) as running:
        yield running


def test_no_direct_request_gets_the_file(server: Running) -> None:
    assert server.get(file_url(NAME)).body == MARK
    made = attacks(NAME)
    assert len(made) > 150
    got = [one for one in made if MARK in everything(server.port, one.to(HOST))]
    assert got == []


def test_the_right_token_alone_opens_nothing(server: Running, open_site: Site) -> None:
    for target in (minted(open_site), minted(open_site).replace("private", "%70rivate")):
        assert server.get(target).status == 403


@pytest.mark.parametrize("path", ["/rewritten", "/denied", "/long/9000"])
def test_no_other_way_inside_of_apache_gets_the_file(server: Running, path: str) -> None:
    """Though the operator has written the token into it, and an answer leads to the last one."""
    reply = server.get(path)
    assert reply.status in (403, 500)
    assert MARK not in reply.body


def test_only_what_the_application_minted_gets_the_file(server: Running, open_site: Site) -> None:
    right = minted(open_site)
    assert server.get(f"/raw?{right}").body == MARK
    for altered in (
        f"/private/{NAME}",
        right.replace(open_site.token(), "0" * 32),
        f"{right}&x=1",
        right.replace("?", "?x=1&"),
        right.replace("&ct=text/plain", ""),
    ):
        assert server.get(f"/raw?{altered}").status == 403, altered


def test_what_an_answer_says_that_is_not_true_of_the_file_does_not_arrive(server: Running) -> None:
    """Here, middleware outside of the extension's guard says it."""
    reply = server.get(file_url(NAME).rstrip("?") + "?more")
    assert (reply.status, reply.body) == (200, MARK)
    assert "Content-Encoding" not in reply.headers
    assert reply["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    "target", ["/environ", f"/private/{NAME}", "//private/x", "/", " /environ"]
)
def test_a_local_redirect_that_was_not_minted_is_stopped(server: Running, target: str) -> None:
    for query in (f"to={target}", f"to={target}&status=302%20Found&header=200%20OK"):
        reply = server.get(f"/elsewhere?{query}".replace(" /", "%20/"))
        assert (reply.status, reply.body) == (500, b"Internal Server Error\n")
        assert "Location" not in reply.headers


def test_an_honest_redirect_passes(server: Running) -> None:
    for status, target in (("302%20Found", "/next"), ("200%20OK", "https://example.org/")):
        reply = server.get(f"/elsewhere?to={target}&status={status}")
        assert (reply.status, reply["Location"]) == (int(status[:3]), target)


def test_signed_urls_are_served_and_no_others(server: Running) -> None:
    url = server.get(f"/sign/{NAME}").body.decode()
    assert server.get(url).body == MARK
    query = url.partition("?")[2]
    for forged in (url[:-1], url.replace("e=1", "e=2", 1), url.partition("&s=")[0], "/signed/"):
        assert server.get(forged).status in (403, 404), forged
    for spelled in targets("/signed/", NAME):
        request = Attack(spelled.partition(b"?")[0] + f"?{query[:-1]}".encode()).to(HOST)
        assert MARK not in everything(server.port, request), spelled


def test_what_the_application_learns_of_a_request(server: Running) -> None:
    headers = {
        "Authorization": "Basic YTpi",
        "Proxy": "http://elsewhere.invalid/",
        "SCRIPT_NAME": "/x",
        "flask_delegate.0": "/private/",
        "X-Forwarded-Proto": "https",
        "Host": f"{HOST}:81",
    }
    environ = json.loads(server.get("/environ?a=%20b", headers=headers).body)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/environ")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert (environ["HTTP_HOST"], environ["QUERY_STRING"]) == (f"{HOST}:81", "a=%20b")
    assert not {"HTTP_AUTHORIZATION", "HTTP_PROXY", "flask_delegate.0"} & environ.keys()


def test_credentials_arrive_where_the_site_says_so(server: Running) -> None:
    reply = server.get("/passing", headers={"Authorization": "Basic YTpi"})
    assert reply.body == b"Basic YTpi"


def test_a_line_of_a_header_has_8_kib(server: Running) -> None:
    for size, status in ((8191 - len("X: \r\n"), 200), (8192, 500)):
        assert server.get(f"/long/{size}").status == status


def test_head_says_the_length_of_a_page(server: Running) -> None:
    assert server.get("/", method="HEAD")["Content-Length"] == "4"


def test_bodies_arrive_whole_or_not(server: Running) -> None:
    body = b"x" * 3_000_000
    assert server.get("/length", method="POST", body=body).body == b"3000000"
    head = f"POST /length HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
    cut = f"{head}Content-Length: 3000000\r\n\r\n".encode() + body[:1_000_000]
    assert b"1000000" not in everything(server.port, cut)
    # Without a length, as under mod_wsgi.
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode()
    assert send(server.port, chunked, method="POST").status == 411


def test_an_answer_to_a_body_that_nobody_read_arrives(server: Running) -> None:
    reply = server.get("/unread", method="POST", body=b"x" * 3_000_000)
    assert (reply.status, len(reply.body)) == (200, 2_000_000)


def test_a_response_that_breaks_off_does_not_look_whole(server: Running) -> None:
    with pytest.raises(IncompleteRead):
        server.get("/broken-off")


def check_what_forks(server: Running) -> None:
    """Check that an answer ends when it ends, and that one that breaks off is not taken for whole.

    Though a process goes on that the view has started.
    """
    began = time.monotonic()
    assert server.get("/forking/late").body == b"x" * 50_000 + b"end"
    with pytest.raises((IncompleteRead, ConnectionError)):
        server.get("/forking/early")
    assert time.monotonic() - began < 10


def test_what_a_view_forks_holds_no_answer(server: Running) -> None:
    check_what_forks(server)


def test_receipts_are_written(server: Running, open_site: Site) -> None:
    """The rest is as with mod_wsgi: the same rules write them."""
    log = open_site.folder / "receipts.log"
    log.write_text("")
    url = file_url(NAME)
    found = receipts_in_order(
        lambda: list(read(log)),
        (
            lambda: server.get(url),
            lambda: server.get(url, headers={"Range": "bytes=0-3"}),
            lambda: server.get(url, method="HEAD"),
        ),
    )
    server.get("/")
    assert [(one.method, one.status, one.sent, one.outcome) for one in found] == [
        ("GET", 200, len(MARK), "completed"),
        ("GET", 206, 4, "completed"),
        ("HEAD", 200, 0, "completed"),
    ]


def test_apache_asks_again_where_nobody_answered(open_site: Site) -> None:
    path = open_site.app / "later"
    (open_site.app / "late.py").write_text(open_site.source(APPLICATION))

    def text(base: Path, port: int) -> str:
        url = f"unix:{path}|scgi://localhost/"
        return SCGI_SITE.format(port=port, host=HOST, base=base, mount="", upstream=url)

    command = [sys.executable, "-m", "flask_delegate.scgi", "late:app", "--processes", "1"]
    command += ["--mode", "666", "--bind", f"unix:{path}"]
    modules = ("headers", "proxy_scgi", "ratelimit")
    with debian_apache(open_site, *modules, text=text) as port:
        assert get(port, "/").status == 503
        with process(command, path, open_site.app, open_site.folder / "late.log"):
            assert get(port, "/").body == b"home"
        assert get(port, "/").status == 503


@pytest.fixture(scope="module")
def behind_nginx() -> Iterator[Running]:
    with new_site() as site:
        site.application = MORE
        site.write(NAME, MARK)
        parameters = Path("/etc/nginx/scgi_params").read_text()
        copy = site.folder / "scgi_params"
        copy.write_text(re.sub(r"(HTTP_HOST +)\$host;", r"\1$host:$server_port;", parameters))
        usual = passed_on_by("scgi")
        ported = usual.replace("/etc/nginx/scgi_params", str(copy))
        more = [
            one.replace("location /", f"location /{name}/").replace(
                "scgi_pass", f"{parameter} scgi_pass"
            )
            for name, one, parameter in (
                ("ported", ported, "scgi_param SCRIPT_NAME /ported;"),
                ("twice", usual, "scgi_param HTTP_HOST x;"),
            )
        ]
        with nginx_by(site, protocol="scgi", command=SCGI, more="".join(more)) as running:
            yield running


def test_nginx_over_scgi_says_who_asks(behind_nginx: Running) -> None:
    """Over HTTP the application sees nginx, and believes X-Forwarded- headers by ProxyFix."""
    headers = {"Host": "a.example:81", "X-Forwarded-For": "192.0.2.1", "SCRIPT_NAME": "/x"}
    environ = json.loads(behind_nginx.get("//x/..//environ", headers=headers).body)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/environ")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    # Debian's scgi_params leave the port out.
    assert environ["HTTP_HOST"] == "a.example"
    ported = json.loads(behind_nginx.get("/ported/environ", headers=headers).body)
    assert (ported["SCRIPT_NAME"], ported["PATH_INFO"]) == ("/ported", "/environ")
    assert ported["HTTP_HOST"] == f"a.example:{behind_nginx.port}"
    # A parameter that stands twice is refused.
    assert behind_nginx.get("/twice/environ").status == 400


def test_nginx_over_scgi_joins_headers_and_replaces_its_own(behind_nginx: Running) -> None:
    raw = b"GET /environ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: 1\r\nX-A: 2\r\n"
    raw += b"Cookie: a=1\r\nCookie: b=2\r\nX-Flask-Delegate: forged\r\n\r\n"
    environ = json.loads(send(behind_nginx.port, raw).body)
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert re.fullmatch("[0-9a-f]{32}", environ["HTTP_X_FLASK_DELEGATE"])


def test_nginx_over_scgi_sends_bodies_without_a_length(behind_nginx: Running) -> None:
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    raw = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    reply = send(behind_nginx.port, raw, method="POST")
    assert (reply.status, reply.body) == (200, b"3")


def test_nginx_over_scgi_passes_on_what_breaks_off(behind_nginx: Running) -> None:
    with pytest.raises((IncompleteRead, ConnectionError)):
        behind_nginx.get("/broken-off")
    reply = behind_nginx.get("/unread", method="POST", body=b"x" * 900_000)
    assert (reply.status, len(reply.body)) == (200, 2_000_000)


def test_nginx_over_scgi_does_not_wait_for_what_a_view_forks(behind_nginx: Running) -> None:
    check_what_forks(behind_nginx)


def test_nginx_over_scgi_gets_no_local_redirect(behind_nginx: Running) -> None:
    """Over HTTP it would pass it on as it is: other servers that speak SCGI follow it."""
    assert behind_nginx.get("/elsewhere?to=/next").status == 500
    reply = behind_nginx.get("/elsewhere?to=/next&status=302%20Found")
    assert (reply.status, reply["Location"].removeprefix("http://127.0.0.1")) == (302, "/next")


def test_an_object_in_a_store_is_sent(tmp_path: Path) -> None:
    content = b"0123456789\n" * 1000
    with ExitStack() as stack:
        store = stack.enter_context(seaweedfs(tmp_path))
        store.put("a/b c", content)
        site = stack.enter_context(new_site(**settings_for(store, backend="scgi")))
        running = stack.enter_context(scgi(site, application=STORE_APPLICATION))

        def ask(method: str = "GET", **headers: str) -> Reply:
            return running.get(url_of("a/b c"), method=method, headers=headers)

        assert ask().body == content
        assert (ask(Range="bytes=3-5").status, ask(Range="bytes=3-5").body) == (206, b"345")
        assert ask("HEAD")["Content-Length"] == str(len(content))
        assert ask(Cookie="who=bob").status == 403
        for url in (f"{URL}a/b%20c", URL):
            assert running.get(url).status in (403, 404)
