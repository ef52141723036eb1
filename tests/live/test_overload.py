"""What a web server answers by itself where the portal cannot: the portal's words and headers."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator

import pytest

from portal.web.headers import CONSTANT
from tests.support.application import APPLICATION
from tests.support.paths import PROJECT
from tests.support.sites import Site, express
from tests.support.visitors import Visitor

OVERLOAD = (PROJECT / "deploy/apache/overload.conf").read_text()
NGINX = (PROJECT / "deploy/nginx/portal.conf").read_text()
OWN = {"Retry-After": "7", "Content-Security-Policy": "default-src 'self'"}
SOURCE = f"""{APPLICATION}
@app.get("/own/<int:status>")
def own(status):
    return "own words", status, {OWN}
"""


@pytest.fixture
def port(site: Site) -> Iterator[int]:
    refused = "".join(f"Redirect {status} /busy/{status}\n" for status in (502, 503, 504))
    headers = (PROJECT / "deploy/apache/headers.conf").read_text()
    with express(site, SOURCE, include=OVERLOAD + headers + refused) as server:
        yield server.port


def ask(port: int, path: str) -> tuple[http.client.HTTPResponse, str]:
    response, content = Visitor(port).ask(path)
    return response, content.decode()


def test_apache_is_busy_in_the_portals_words(port: int) -> None:
    for status in (502, 503, 504):
        response, page = ask(port, f"/busy/{status}")
        assert response.status == status
        assert "<h1>Try again later</h1><p>The portal has too much to do" in page
        assert response.headers.get_all("Retry-After") == ["60"]
        assert response.headers.get_all("Cache-Control") == ["no-store"]
        for name, value in CONSTANT.items():
            assert response.headers.get_all(name) == [value], name
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        # What the portal itself answers stays.
        response, page = ask(port, f"/own/{status}")
        assert (response.status, page) == (status, "own words")
        for name, value in OWN.items():
            assert response.headers.get_all(name) == [value], name
    assert ask(port, "/")[0].headers["Retry-After"] is None


def test_nginx_has_the_same_words_and_headers() -> None:
    (words,) = set(re.findall('ErrorDocument 50[234] "(.*)"', OVERLOAD))
    assert f'return 503 "{words}";' in NGINX
    for name, value in re.findall('Header always set ([A-Za-z-]+) "(.*)" ', OVERLOAD):
        assert f'        add_header {name} "{value}" always;\n' in NGINX
