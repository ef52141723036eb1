"""Signed URLs: Apache serves them without the application, and no others."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from flask_delegate.doctor.requests.families import Attack, targets
from flask_delegate.servers import signing
from flask_delegate.testing import Apache
from tests.support.application import APPLICATION
from tests.support.clients import everything, get, over_http2
from tests.support.extension import SECRET
from tests.support.sites import Site, express
from tests.support.spellings import MARK

NAME = "report.txt"
ODD_NAMES = [
    "a b.txt",
    "Übersicht 日本.txt",
    "100%.txt",
    "what?e=1&s=2.txt",
    "a;b#c&d=e.txt",
    "deep/er/x",
]
SETTINGS = {"DELEGATE_SIGNED_URL": "/signed/"}
SIGNING = (
    APPLICATION
    + """
from flask_delegate import signed_url
requests = 0


@app.before_request
def count():
    global requests
    requests += 1


@app.get("/count")
def counted():
    return str(requests)


@app.get("/sign/<path:path>")
def sign(path):
    options = {k: int(v) if k in ("max_age", "expires_in") else v for k, v in request.args.items()}
    return signed_url(path, **{"expires_in": 60} | options)
"""
)


@pytest.fixture(scope="module")
def signed_site(shared_site: Site) -> Site:
    shared_site.settings.update(SETTINGS)
    for name in (NAME, *ODD_NAMES):
        shared_site.write(name, MARK)
    return shared_site


@pytest.fixture(scope="module")
def signing_server(signed_site: Site) -> Iterator[Apache]:
    include = signed_site.apache_config(**SETTINGS)
    # One process, so that it counts all requests.
    options = ("--http2", "--processes", "1")
    with express(signed_site, SIGNING, *options, include=include) as running:
        yield running


def sign(server: Apache, path: str = NAME, **options: object) -> str:
    reply = get(server.port, f"/sign/{quote(path)}?{urlencode(options)}")
    assert reply.status == 200, server.log()
    return reply.body.decode()


def forge(site: Site, path: str = NAME, *, end: int = 60, key: str = "", browser: str = "") -> str:
    """Sign as the application does, with another key or time."""
    from flask_delegate.delivery import describe
    from flask_delegate.handoff import Handoff
    from flask_delegate.resolve import resolve

    state = site.configure(**SETTINGS).extensions["delegate"]
    area = state.settings.area(None)
    delivery = describe(Handoff(path), area, resolve(area.root, path))
    key = key or state.keys[area.name][0].signing_key
    return signing.sign(delivery, key, int(time.time()) + end, browser)


@pytest.mark.parametrize("name", [NAME, *ODD_NAMES])
def test_a_signed_url_is_served(name: str, signing_server: Apache) -> None:
    url = sign(signing_server, name)
    assert get(signing_server.port, url).body == MARK
    assert over_http2(signing_server.port, url) == (200, MARK)


def test_no_request_for_one_wakes_python(signing_server: Apache) -> None:
    url = sign(signing_server)
    before = int(get(signing_server.port, "/count").body)
    for _ in range(5):
        assert get(signing_server.port, url).status == 200
    assert int(get(signing_server.port, "/count").body) == before + 1


def test_it_carries_what_a_handoff_carries(signing_server: Apache) -> None:
    url = sign(
        signing_server,
        as_attachment="1",
        download_name='Jahres; "50%" größe.txt',
        mimetype="text/x-odd",
        max_age=77,
        csp="default-src 'none'",
    )
    reply = get(signing_server.port, url)
    assert reply["Content-Type"] == "text/x-odd; charset=utf-8"
    assert reply["Content-Disposition"].startswith("attachment; filename=")
    assert (
        "filename*=UTF-8''Jahres%3B%20%2250%25%22%20gr%C3%B6%C3%9Fe.txt"
        in reply["Content-Disposition"]
    )
    assert reply["Cache-Control"] == "private, max-age=77"
    assert reply["Content-Security-Policy"] == "default-src 'none'"
    assert reply["X-Content-Type-Options"] == "nosniff"


def test_ranges_head_and_conditions_are_apaches(signing_server: Apache) -> None:
    url = sign(signing_server)
    part = get(signing_server.port, url, headers={"Range": "bytes=5-8"})
    assert (part.status, part.body) == (206, MARK[5:9])
    head = get(signing_server.port, url, method="HEAD")
    assert (head.status, head["Content-Length"], head.body) == (200, str(len(MARK)), b"")
    again = get(signing_server.port, url, headers={"If-None-Match": head["ETag"]})
    assert again.status == 304
    for method in ("POST", "PUT", "DELETE"):
        assert get(signing_server.port, url, method=method, body=b"x").status in {403, 405}


def bad_urls(site: Site) -> dict[str, str]:
    good = forge(site)
    path, _, query = good.partition("?")
    return {
        "unsigned": path,
        "empty": f"{path}?",
        "without its signature": f"{path}?{query.partition('&s=')[0]}",
        "expired": forge(site, end=-1),
        "another key": forge(site, key="0" * 32),
        "the token": forge(site, key=site.token()),
        "a longer life": f"{path}?{query.replace('e=1', 'e=2')}",
        "another type": f"{path}?{query.replace('ct=', 'ct=text/html%3B')}",
        "another field": f"{path}?{query.replace('&s=', '&ma=9&s=')}",
        "something more": f"{good}&x=1",
        "something before": f"{path}?x=1&{query}",
        "fields in another order": f"{path}?{'&'.join(sorted(query.split('&'), reverse=True))}",
        "a cut signature": good[:-1],
        "capitals": path + "?" + query.partition("&s=")[0] + "&s=" + good[-40:].upper(),
        "another file's": forge(site, "a b.txt").replace("a%20b.txt", NAME),
        "a folder's": forge(site, "deep/er/x").replace("deep/er/x", "deep/er/"),
        "the other prefix": good.replace("/signed/", "/private/"),
        "a browser's": forge(site, browser="0" * 32),
    }


def test_no_other_url_gets_the_file_in_any_spelling(
    signed_site: Site, signing_server: Apache
) -> None:
    got: list[tuple[str, bytes]] = []
    port = signing_server.port
    for kind, url in bad_urls(signed_site).items():
        assert get(port, url).status == 403, kind
        if url.startswith("/private/"):
            continue
        query = url.partition("?")[2].encode()
        got += [
            (kind, target)
            for target in targets("/signed/", NAME)
            if MARK in everything(port, Attack(target + b"?" + query).to())
        ]
    assert got == []
    # The same ways that lead nowhere here lead to the file with a good signature.
    query = forge(signed_site).partition("?")[2].encode()
    ways = [Attack(target + b"?" + query).to() for target in targets("/signed/", NAME)]
    assert sum(MARK in everything(port, way) for way in ways) > 5


@pytest.mark.parametrize("header", [signing.TIME_HEADER, "x_flask_delegate_time"])
def test_a_client_cannot_set_the_time(
    header: str, signed_site: Site, signing_server: Apache
) -> None:
    old = forge(signed_site, end=-1)
    for value in ("t=1000000000000000", "t=1000000000000000, t=1", ""):
        assert get(signing_server.port, old, headers={header: value}).status == 403


def test_it_is_as_good_in_every_time_zone(
    signed_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = signed_site.apache_config(**SETTINGS)
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        with express(signed_site, SIGNING, include=include) as running:
            assert get(running.port, sign(running, expires_in=5)).status == 200
            assert get(running.port, forge(signed_site, end=-1)).status == 403


def test_it_ends(signing_server: Apache) -> None:
    url = sign(signing_server, expires_in=1)
    assert get(signing_server.port, url).status == 200
    time.sleep(2.1)
    assert get(signing_server.port, url).status == 403


def test_one_that_is_bound_works_in_its_browser_alone(signing_server: Apache) -> None:
    port = signing_server.port
    reply = get(port, f"/sign/{NAME}?bind_to_browser=1")
    cookie = re.match(
        rf"{signing.COOKIE}=([0-9a-f]{{32}}); HttpOnly; Path=/; SameSite=Lax", reply["Set-Cookie"]
    )
    assert cookie
    url, value = reply.body.decode(), cookie[1]
    for sent in (f"{signing.COOKIE}={value}", f"a=b; {signing.COOKIE}={value}; c=d"):
        assert get(port, url, headers={"Cookie": sent}).status == 200, sent
    other = "0" * 32
    for sent in ("a=b", f"{signing.COOKIE}={other}", f"x{signing.COOKIE}={value}", ""):
        assert get(port, url, headers={"Cookie": sent}).status == 403, sent
    # The cookie alone opens nothing, and a page that knows it sets no other.
    free = url.replace("&b=1", "")
    assert get(port, free, headers={"Cookie": f"{signing.COOKIE}={value}"}).status == 403
    again = get(
        port, f"/sign/{NAME}?bind_to_browser=1", headers={"Cookie": f"{signing.COOKIE}={value}"}
    )
    assert again.get("Set-Cookie") is None


def test_a_replaced_key_is_good_until_it_is_forgotten(signed_site: Site) -> None:
    old = forge(signed_site)
    rotated = {"SECRET_KEY": "a new secret", "SECRET_KEY_FALLBACKS": [SECRET], **SETTINGS}
    application = SIGNING.replace(
        "SECRET_KEY=SECRET", 'SECRET_KEY="a new secret", SECRET_KEY_FALLBACKS=[SECRET]'
    )
    # Before the configuration is written anew, the application signs with the key that it has.
    with express(
        signed_site, application, include=signed_site.apache_config(**SETTINGS)
    ) as running:
        assert get(running.port, sign(running)).status == 200
    with express(signed_site, application, include=signed_site.apache_config(**rotated)) as running:
        new = sign(running)
        assert new.partition("&s=")[2] != old.partition("&s=")[2]
        assert get(running.port, new).status == 200
        assert get(running.port, old).status == 200
    forgotten = rotated | {"SECRET_KEY_FALLBACKS": []}
    with express(
        signed_site, application, include=signed_site.apache_config(**forgotten)
    ) as running:
        assert get(running.port, new).status == 200
        assert get(running.port, old).status == 403
