"""Signed URLs: Apache and nginx serve them without the application, and no others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest

from flask_delegate.doctor.requests.families import Attack, targets
from flask_delegate.servers import signing
from flask_delegate.testing.apache import free_port
from tests.support.clients import everything, get, over_http2
from tests.support.extension import SECRET
from tests.support.signing import (
    APPLICATION_THAT_SIGNS,
    SETTINGS,
    VERIFYING,
    Signing,
    apache,
    forge,
    new_site_that_signs,
    nginx,
)
from tests.support.sites import Site, new_site
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
NO_TEXT = b"no text \xff"
Start = Callable[..., AbstractContextManager[Signing]]


@pytest.fixture(scope="module", params=VERIFYING)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def site(backend: str) -> Iterator[Site]:
    with new_site_that_signs(backend) as made:
        made.write(NO_TEXT, MARK)
        for name in (NAME, *ODD_NAMES):
            made.write(name, MARK)
        yield made


@pytest.fixture(scope="module")
def start(backend: str, site: Site) -> Start:
    return partial(VERIFYING[backend], site)


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Signing]:
    with start() as running:
        yield running


@pytest.mark.parametrize("name", [NAME, *ODD_NAMES])
def test_a_signed_url_is_served(name: str, server: Signing) -> None:
    url = server.sign(name)
    assert get(server.port, url).body == MARK
    assert over_http2(server.http2, url) == (200, MARK)


def test_a_name_that_is_no_text_is_signed_by_its_bytes(site: Site, server: Signing) -> None:
    url = forge(site, NO_TEXT.decode("utf-8", "surrogateescape"))
    assert get(server.port, url).body == MARK
    assert get(server.port, url.replace("%FF", "%FE")).status == 403


def test_no_request_for_one_wakes_python(server: Signing) -> None:
    url = server.sign(NAME)
    before = server.count()
    for _ in range(5):
        assert get(server.port, url).status == 200
    assert server.count() == before + 1


def test_it_carries_what_a_handoff_carries(server: Signing) -> None:
    url = server.sign(
        NAME,
        as_attachment="1",
        download_name='Jahres; "50%" größe.txt',
        mimetype="text/x-odd",
        max_age=77,
        csp="default-src 'none'",
        sha256="0a" * 32,
    )
    reply = get(server.port, url)
    assert reply["Repr-Digest"] == "sha-256=:CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=:"
    assert reply["Content-Type"] == "text/x-odd; charset=utf-8"
    assert reply["Content-Disposition"].startswith("attachment; filename=")
    assert (
        "filename*=UTF-8''Jahres%3B%20%2250%25%22%20gr%C3%B6%C3%9Fe.txt"
        in reply["Content-Disposition"]
    )
    assert reply["Cache-Control"] == "private, max-age=77"
    assert reply["Content-Security-Policy"] == "default-src 'none'"
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert reply["Vary"] == "Cookie"
    plain = get(server.port, server.sign(NAME))
    assert plain["Cache-Control"] == "private, no-cache"
    assert plain["Content-Type"] == "text/plain; charset=utf-8"
    assert plain.get("Content-Security-Policy") is None


def test_it_limits_the_rate(site: Site, server: Signing) -> None:
    site.write("large.bin", bytes(3 * 65536))
    started = time.monotonic()
    assert get(server.port, server.sign("large.bin", rate_limit=131072)).status == 200
    assert time.monotonic() - started > 0.5
    started = time.monotonic()
    assert get(server.port, server.sign("large.bin")).status == 200
    assert time.monotonic() - started < 0.5


def test_ranges_head_and_conditions_are_the_servers(server: Signing) -> None:
    url = server.sign(NAME)
    part = get(server.port, url, headers={"Range": "bytes=5-8"})
    assert (part.status, part.body) == (206, MARK[5:9])
    assert part["Content-Type"] == "text/plain; charset=utf-8"
    several = get(server.port, url, headers={"Range": "bytes=0-1,5-8"})
    assert several["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert several.body.lower().count(b"content-type: text/plain; charset=utf-8") == 2
    head = get(server.port, url, method="HEAD")
    assert (head.status, head["Content-Length"], head.body) == (200, str(len(MARK)), b"")
    again = get(server.port, url, headers={"If-None-Match": head["ETag"]})
    assert again.status == 304
    for method in ("POST", "PUT", "DELETE", "PROPFIND", "get"):
        refused = get(server.port, url, method=method, body=b"x")
        assert refused.status in {400, 403, 405}
        assert MARK not in refused.body


def bad_urls(site: Site) -> dict[str, str]:
    good = forge(site, NAME)
    path, _, query = good.partition("?")
    mac = query.partition("&s=")[2]
    return {
        "unsigned": path,
        "empty": f"{path}?",
        "without its signature": f"{path}?{query.partition('&s=')[0]}",
        "expired": forge(site, NAME, end=-1),
        "another key": forge(site, NAME, key="0" * 32),
        "no key": forge(site, NAME, key=" "),
        "the token": forge(site, NAME, key=site.token()),
        "a longer life": f"{path}?{query.replace('e=1', 'e=2')}",
        "another type": f"{path}?{query.replace('ct=', 'ct=text/html%3B')}",
        "another field": f"{path}?{query.replace('&s=', '&ma=9&s=')}",
        "something more": f"{good}&x=1",
        "something before": f"{path}?x=1&{query}",
        "fields in another order": f"{path}?{'&'.join(sorted(query.split('&'), reverse=True))}",
        "a cut signature": good[:-1],
        "capitals": good.removesuffix(mac) + mac.upper(),
        "another file's": forge(site, "a b.txt").replace("a%20b.txt", NAME),
        "a folder's": forge(site, "deep/er/x").replace("deep/er/x", "deep/er/"),
        "a folder's, without a slash": forge(site, "deep/er/x").replace("deep/er/x", "deep/er"),
        "the other prefix": good.replace("/signed/", "/private/"),
        "a browser's": forge(site, NAME, browser="0" * 32),
        "no text": f"{path}?{query.replace('cd=', 'cd=%FF')}",
    }


def test_no_other_url_gets_the_file_in_any_spelling(
    backend: str, site: Site, server: Signing
) -> None:
    got: list[tuple[str, bytes]] = []
    port = server.port
    for kind, url in bad_urls(site).items():
        # nginx does not show that it has a URL for itself.
        refused = 404 if (backend, kind) == ("nginx", "the other prefix") else 403
        assert get(port, url).status == refused, kind
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
    query = forge(site, NAME).partition("?")[2].encode()
    ways = [Attack(target + b"?" + query).to() for target in targets("/signed/", NAME)]
    assert sum(MARK in everything(port, way) for way in ways) > 5


@pytest.mark.parametrize("header", [signing.TIME_HEADER, "x_flask_delegate_time"])
def test_a_client_cannot_set_the_time(header: str, site: Site, server: Signing) -> None:
    old = forge(site, NAME, end=-1)
    for value in ("t=1000000000000000", "t=1000000000000000, t=1", ""):
        assert get(server.port, old, headers={header: value}).status == 403


def test_it_is_as_good_in_every_time_zone(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_site.settings.update(SETTINGS)
    shared_site.write(NAME, MARK)
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        with apache(shared_site) as running:
            assert get(running.port, running.sign(NAME, expires_in=5)).status == 200
            assert get(running.port, forge(shared_site, NAME, end=-1)).status == 403


def test_it_ends(server: Signing) -> None:
    url = server.sign(NAME, expires_in=1)
    assert get(server.port, url).status == 200
    time.sleep(2.1)
    assert get(server.port, url).status == 403


def test_one_that_is_bound_works_in_its_browser_alone(server: Signing) -> None:
    port = server.port
    reply = get(port, f"/sign/{NAME}?bind_to_browser=1")
    cookie = re.match(
        rf"{signing.COOKIE}=([0-9a-f]{{32}}); HttpOnly; Path=/; SameSite=Lax", reply["Set-Cookie"]
    )
    assert cookie
    url, value = reply.body.decode(), cookie[1]
    for sent in (f"{signing.COOKIE}={value}", f"a=b; {signing.COOKIE}={value}; c=d"):
        assert get(port, url, headers={"Cookie": sent}).status == 200, sent
        assert over_http2(server.http2, url, {"cookie": sent}) == (200, MARK)
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


def test_a_replaced_key_is_good_until_it_is_forgotten(site: Site, start: Start) -> None:
    old = forge(site, NAME)
    rotated = {"SECRET_KEY": "a new secret", "SECRET_KEY_FALLBACKS": [SECRET]}
    application = APPLICATION_THAT_SIGNS.replace(
        "SECRET_KEY=SECRET", 'SECRET_KEY="a new secret", SECRET_KEY_FALLBACKS=[SECRET]'
    )
    # Before the configuration is written anew, the application signs with the key that it has.
    with start(application) as running:
        assert get(running.port, running.sign(NAME)).status == 200
    with start(application, **rotated) as running:
        new = running.sign(NAME)
        assert new.partition("&s=")[2] != old.partition("&s=")[2]
        assert get(running.port, new).status == 200
        assert get(running.port, old).status == 200
    with start(application, **rotated | {"SECRET_KEY_FALLBACKS": []}) as running:
        assert get(running.port, new).status == 200
        assert get(running.port, old).status == 403


PASSES = """
error_page 404 =200 {signed};
merge_slashes off;
location /missing {{ return 404; }}
location /rewritten {{ rewrite ^ /signed/a%20b.txt last; }}
location /same/ {{ rewrite ^ /signed/{name} last; }}
"""


def test_nginx_verifies_each_pass_of_a_request_by_itself(shared_site: Site) -> None:
    """js_set keeps what a function returned for the length of the request."""
    shared_site.settings.update(SETTINGS)
    for name in (NAME, "a b.txt"):
        shared_site.write(name, MARK)
    shared_site.settings["DELEGATE_BACKEND"] = "nginx"
    good = forge(shared_site, NAME)
    path, _, query = good.partition("?")
    with nginx(shared_site, before=PASSES.format(signed=path, name=NAME)) as running:
        port = running.port
        assert get(port, good).status == 200
        # What is not there is verified, and then leads to what is: that pass is not.
        gone = shared_site.write("gone.txt", MARK)
        lost = forge(shared_site, gone.name)
        gone.unlink()
        assert get(port, lost).status == 403
        assert get(port, "/missing").status == 403
        # It is the file that counts, not what was asked for.
        assert get(port, f"/rewritten?{query}").status == 403
        assert get(port, f"/same/?{query}").status == 200
        assert get(port, f"/signed//{NAME}?{query}").status == 403


def test_nginx_has_several_areas_and_servers_with_keys_of_their_own() -> None:
    with new_site(**SETTINGS, DELEGATE_BACKEND="nginx") as site:
        other = site.folder / "other"
        other.mkdir()
        (other / NAME).write_bytes(b"another file")
        area = {"root": str(other), "url": "/inside/", "signed_url": "/also-signed/"}
        site.settings["DELEGATE_AREAS"] = {"other": area}
        site.write(NAME, MARK)
        port = free_port()
        second = f"server {{ listen 127.0.0.1:{port};\n{site.nginx_config()}}}\n"
        with nginx(site, http=second) as running:
            urls = running.sign(NAME), running.sign(NAME, area="other")
            for one in (running.port, port):
                assert [get(one, url).body for url in urls] == [MARK, b"another file"]
                swapped = urls[0].replace("/signed/", "/also-signed/")
                assert get(one, swapped).status == 403
                assert get(one, urls[1].replace("/also-signed/", "/signed/")).status == 403
