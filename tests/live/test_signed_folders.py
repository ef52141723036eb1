"""A cookie that opens a folder: Apache and nginx verify it without the application."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_delegate.doctor.requests.families import Attack, targets
from flask_delegate.servers import signing
from flask_delegate.servers.signed import folders
from flask_delegate.testing.apache import free_port
from tests.support.clients import everything, get, over_http2
from tests.support.extension import SECRET
from tests.support.http2 import Client
from tests.support.http2 import get as http2_get
from tests.support.signing import (
    APPLICATION_THAT_SIGNS,
    SETTINGS,
    VERIFYING,
    Signing,
    apache,
    forge,
    forge_cookie,
    new_site_that_signs,
    nginx,
)
from tests.support.sites import Site
from tests.support.spellings import MARK

FOLDER = "films/42"
FILE = f"{FOLDER}/index.m3u8"
ODD_FOLDERS = ["a b", "Übersicht 日本", "100%", "what?e=1&s=2", "a;b#c&d=e", "a, b='c'", "films/.x"]
NEIGHBOURS = [
    "films/4/index.m3u8",
    "films/421/index.m3u8",
    "films/42.old/index.m3u8",
    "films/Films/index.m3u8",
    "Films/42/index.m3u8",
    "films/index.m3u8",
    "films/42index.m3u8",
    "films/43/index.m3u8",
    "index.m3u8",
    "42/index.m3u8",
]
UPWARDS = ("%2e%2e/", "..%2f", "%2e%2e%2f", ".%2e/", "..//", "..;/", "..\\", "..%5c")
BESIDE = b"which is beside the folder"
# What is in front of a name in a path, and leads nowhere.
DETOURS = ("films/../", "./", "x/y/../../", "42/../", "/", "%2e/", "films/..%2f", "..;/../")
BROWSER = "0123456789abcdef" * 2
COOKIE = f"{signing.COOKIE}={BROWSER}"


@pytest.fixture(scope="module", params=VERIFYING)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def site(backend: str) -> Iterator[Site]:
    with new_site_that_signs(backend) as made:
        files = [FILE, f"{FOLDER}/720p/seg 1.ts"]
        for name in [*files, *(f"{folder}/x" for folder in ODD_FOLDERS)]:
            made.write(name, MARK)
        for name in NEIGHBOURS:
            made.write(name, MARK + BESIDE)
        yield made


@pytest.fixture(scope="module")
def server(backend: str, site: Site) -> Iterator[Signing]:
    with VERIFYING[backend](site) as running:
        yield running


def ask(server: Signing, target: str, cookies: str, method: str = "GET") -> int:
    return get(server.port, target, method=method, headers={"Cookie": cookies}).status


def cookies_for(site: Site, folder: str = FOLDER, **options: int | str) -> str:
    return f"{COOKIE}; {forge_cookie(site, folder, browser=BROWSER, **options)}"  # type: ignore[arg-type]


def test_one_decision_opens_all_that_is_in_a_folder(site: Site, server: Signing) -> None:
    url, cookies = server.open(f"{FOLDER}/")
    assert url == "/signed/films/42/"
    before = server.count()
    for name in ("index.m3u8", "720p/seg%201.ts"):
        reply = get(server.port, url + name, headers={"Cookie": cookies})
        assert (reply.status, reply.body) == (200, MARK)
        assert over_http2(server.http2, url + name, {"cookie": cookies}) == (200, MARK)
    assert ask(server, f"{url}nothing.ts", cookies) == 404
    # What is put there later is open, too.
    site.write(f"{FOLDER}/later.ts", MARK)
    assert ask(server, f"{url}later.ts", cookies) == 200
    assert server.count() == before + 1


def test_the_cookie_is_for_the_folder_and_for_its_time(server: Signing) -> None:
    reply = get(server.port, f"/open/{FOLDER}?expires_in=1000")
    browser, folder = sorted(reply.headers.get_all("Set-Cookie") or ())
    assert re.fullmatch(
        rf"{signing.COOKIE}=[0-9a-f]{{32}}; HttpOnly; Path=/; SameSite=Lax", browser
    )
    assert re.fullmatch(
        rf"{folders.COOKIE}2=[0-9]{{10}}\.[0-9a-f]{{40,64}}; Expires=[^;]+; Max-Age=(999|1000);"
        r" HttpOnly; Path=/signed/films/42/; SameSite=Lax",
        folder,
    )
    assert reply["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_any_folder_can_be_opened(folder: str, server: Signing) -> None:
    url, cookies = server.open(folder)
    assert ask(server, f"{url}x", cookies) == 200
    assert ask(server, "/signed/films/42/index.m3u8", cookies) == 403


def test_a_name_that_is_no_text_is_a_name(site: Site, server: Signing) -> None:
    site.write(b"films/\xff/\xfe.ts", MARK)
    cookies = cookies_for(site, "films/\udcff")
    assert ask(server, "/signed/films/%ff/%fe.ts", cookies) == 200
    assert ask(server, "/signed/films/%fe/%fe.ts", cookies) == 403
    assert ask(server, f"/signed/{FILE}", cookies) == 403


def test_a_hundred_cookies_and_a_long_path_hold_nobody_up(site: Site, server: Signing) -> None:
    longest = 64 if "nginx" in site.settings.values() else 40
    one = f"{folders.COOKIE}8={'9' * 10}.{'0' * longest}"
    many = "; ".join([COOKIE, *[one] * (8000 // (len(one) + 2) - 1)])
    for cookies in (many, f"{COOKIE};" + " " * 7900, "; " * 3950, f"{COOKIE}; " * 120):
        for path in ("/".join("x" * 3500), "x" * 7900, "/".join(["x" * 600] * 13)):
            started = time.monotonic()
            assert ask(server, f"/signed/{path}", cookies) in {403, 404}
            assert time.monotonic() - started < 1
    assert ask(server, f"/signed/{FILE}", cookies_for(site)) == 200


def test_folders_are_opened_down_to_eight_names(site: Site, server: Signing) -> None:
    deepest = "/".join("12345678")
    site.write(f"{deepest}/9/x", MARK)
    for depth in range(1, folders.DEEPEST + 1):
        url, cookies = server.open(deepest[: 2 * depth - 1])
        assert ask(server, f"/signed/{deepest}/9/x", cookies) == 200, url
    assert get(server.port, f"/open/{deepest}/9").status == 500


def test_files_have_the_type_of_their_names_and_others_are_saved(
    site: Site, server: Signing
) -> None:
    shown = {
        "a.m3u8": "application/vnd.apple.mpegurl",
        "a.MPD": "application/dash+xml",
        "a.ts": "video/mp2t",
        "a.m4s": "video/iso.segment",
        "a.mp4": "video/mp4",
        "a.vtt": "text/vtt; charset=utf-8",
        "a.html.jpg": "image/jpeg",
        "a b;c.txt": "text/plain; charset=utf-8",
    }
    url, cookies = server.open("types", cookies=COOKIE) if (site.write("types/x")) else ("", "")
    for name, kind in shown.items():
        site.write(f"types/{name}", MARK)
        reply = get(server.port, url + name.replace(" ", "%20"), headers={"Cookie": cookies})
        assert (reply["Content-Type"], reply["Content-Disposition"]) == (kind, "inline")
        lists = name.lower().endswith((".m3u8", ".mpd", ".vtt"))
        assert (reply.get("Content-Security-Policy") is not None) == lists
        assert reply["X-Content-Type-Options"] == "nosniff"
        assert reply["Cache-Control"] == "private, no-cache"
        assert reply["Vary"] == "Cookie"
    saved = [
        "a.html",
        "a.svg",
        "a.xml",
        "a.php",
        "a.js",
        "a.jpg.html",
        "jpg",
        "a.jpg.",
        ".htaccess",
    ]
    for name in saved:
        site.write(f"types/{name}", MARK)
        reply = get(server.port, url + name, headers={"Cookie": cookies})
        assert (reply.status, reply.body) == (200, MARK)
        assert reply["Content-Type"] == "application/octet-stream"
        assert reply["Content-Disposition"] == "attachment"


def test_parts_heads_and_conditions_are_the_servers(site: Site, server: Signing) -> None:
    url, cookies = f"/signed/{FILE}", {"Cookie": cookies_for(site)}
    part = get(server.port, url, headers={"Range": "bytes=5-8", **cookies})
    assert (part.status, part.body) == (206, MARK[5:9])
    head = get(server.port, url, method="HEAD", headers=cookies)
    assert (head.status, head["Content-Length"], head.body) == (200, str(len(MARK)), b"")
    again = get(server.port, url, headers={"If-None-Match": head["ETag"], **cookies})
    assert again.status == 304
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        assert ask(server, url, cookies["Cookie"], method) in {403, 405}


def test_neighbours_are_refused_however_they_are_spelled(site: Site, server: Signing) -> None:
    cookies = cookies_for(site)
    opened = [f"/signed/{FILE}", "/signed/films/x/../42/index.m3u8", f"/%73igned/{FILE}"]
    assert [ask(server, target, cookies) for target in opened] == [200] * 3
    got = []
    for name in NEIGHBOURS:
        rest = f"../../{name}"
        detours = [f"/signed/{FOLDER}/{rest}", f"/signed/{FOLDER}/x/../{rest}"]
        detours += [f"/signed/{FOLDER}/{rest.replace('../', way)}" for way in UPWARDS]
        detours += [f"/signed/{FOLDER}%2f..%2f..%2f{name}", f"/signed/{FOLDER}/%00/../{rest}"]
        detours += [f"//signed/{FOLDER}//{rest}", f"/signed/films/42;/../../{name}"]
        asked = [target.encode() for target in detours] + targets("/signed/", name)
        got += [
            target
            for target in asked
            if MARK in everything(server.port, Attack(target, headers={"Cookie": cookies}).to())
        ]
    assert got == []


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Draw a path to the folder's file or a neighbour, by detours and with characters escaped."""
    name = draw(st.sampled_from([FILE, *NEIGHBOURS]))
    through = draw(st.sampled_from(["", f"{FOLDER}/../../", f"{FOLDER}/720p/../../../"]))
    parts = [
        "".join(draw(st.lists(st.sampled_from(DETOURS), max_size=2))) + part
        for part in f"{through}{name}".split("/")
    ]
    path = f"/signed/{'/'.join(parts)}"
    escaped = draw(st.sets(st.integers(1, len(path) - 1), max_size=len(path)))
    return "".join(
        f"%{ord(one):02x}" if index in escaped and one != "%" else one
        for index, one in enumerate(path)
    )


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=paths(), method=st.sampled_from(["GET", "GET", "POST"]))
def test_no_path_leads_beside_the_folder(
    path: str, method: str, site: Site, server: Signing
) -> None:
    attack = Attack(path.encode(), method, headers={"Cookie": cookies_for(site)})
    assert BESIDE not in everything(server.port, attack.to())


@pytest.mark.parametrize(
    "target",
    [
        "/signed/films/42",
        "/signed/films/42/",
        "/signed/films/42/720p",
        "/signed/films/42/720p/",
        "/signed/films/42/index.m3u8?",
    ],
)
def test_folders_are_neither_listed_nor_shown(target: str, site: Site, server: Signing) -> None:
    cookies = cookies_for(site)
    reply = get(server.port, target, headers={"Cookie": cookies})
    assert reply.status == (200 if target.endswith("?") else reply.status)
    assert reply.status in {200, 403, 404}
    assert reply.get("Location") is None
    assert b"index.m3u8" not in reply.body


@pytest.mark.parametrize(
    "query", ["x=1", "ct=text/html", "x=1&ct=text%2Fhtml&cd=inline", "e=1&ct=a&cd=b&s=c", "%00"]
)
def test_a_query_says_nothing_of_a_file(query: str, site: Site, server: Signing) -> None:
    assert ask(server, f"/signed/{FILE}?{query}", cookies_for(site)) in {400, 403}


def bad_cookies(site: Site) -> dict[str, str]:
    good = forge_cookie(site, FOLDER, browser=BROWSER)
    name, _, value = good.partition("=")
    expires, _, mac = value.partition(".")
    other = "f" * 32
    of_url = forge(site, FILE).partition("&s=")[2]
    return {
        "none": COOKIE,
        "no browser's": good,
        "another browser's": f"{signing.COOKIE}={other}; {good}",
        "made for another browser": f"{COOKIE}; {forge_cookie(site, FOLDER, browser=other)}",
        "expired": cookies_for(site, end=-1),
        "of another key": cookies_for(site, key="0" * 32),
        "of the token": cookies_for(site, key=site.token()),
        "with a longer life": f"{COOKIE}; {name}={int(expires) + 1}.{mac}",
        "of another folder": cookies_for(site, "films/43"),
        "of a folder in it": cookies_for(site, f"{FOLDER}/720p"),
        "of a folder by prefix": cookies_for(site, "films/4"),
        "of another depth": f"{COOKIE}; {folders.COOKIE}1={value}",
        "under another name": f"{COOKIE}; x{good}",
        "in a value": f"{COOKIE}; x={good}",
        "with more": f"{COOKIE}; {good}0",
        "with less": f"{COOKIE}; {good[:-1]}",
        "in capitals": f"{COOKIE}; {name}={expires}.{mac.upper()}",
        "of a signed URL": f"{COOKIE}; {name}={expires}.{of_url}",
    }


def test_other_cookies_open_nothing(site: Site, server: Signing) -> None:
    for kind, cookies in bad_cookies(site).items():
        assert ask(server, f"/signed/{FILE}", cookies) == 403, kind
        # Nor do they where a client writes them, or what stands beside them, into the path.
        for added in (f"x;{cookies};", f"x ;{cookies}; ", "x GET t=1000000000000000 "):
            path = f"/signed/{FOLDER}/{added}/../index.m3u8".replace(" ", "%20")
            assert ask(server, path, cookies) == 403, kind


def test_other_cookies_beside_it_do_not_matter(site: Site, server: Signing) -> None:
    good = cookies_for(site)
    browser, folder = good.split("; ")
    for cookies in (
        f"{folder}; {browser}",
        f"a=b; {good}; c=d",
        f"{good};",
        f"{folders.COOKIE}1={'1' * 10}.{'0' * 40}; {folders.COOKIE}3=x; {good}",
        f"{good}; {cookies_for(site, 'films', end=-9).split('; ')[1]}",
    ):
        assert ask(server, f"/signed/{FILE}", cookies) == 200, cookies
    # Other applications of the host may set cookies that are no text, and browsers split them.
    strange = f"x=\xff; {good}; y=\xe4\xf6"
    assert ask(server, f"/signed/{FILE}", strange) == 200
    fields = [("cookie", one) for one in good.split("; ")]
    with Client(server.http2) as client:
        stream = client.ask(http2_get(f"/signed/{FILE}", *fields))
        client.receive_answers(1)
        assert client.bodies[stream] == MARK
    # The folder above it opens it as well, also beside one that has expired.
    above = f"{COOKIE}; {forge_cookie(site, FOLDER, end=-1, browser=BROWSER)}"
    above += f"; {forge_cookie(site, 'films', browser=BROWSER)}"
    assert ask(server, f"/signed/{FILE}", above) == 200


def test_it_ends(server: Signing) -> None:
    url, cookies = server.open(FOLDER, expires_in=1)
    assert ask(server, f"{url}index.m3u8", cookies) == 200
    time.sleep(2.1)
    assert ask(server, f"{url}index.m3u8", cookies) == 403


def test_links_are_not_followed(site: Site, server: Signing) -> None:
    (site.root / FOLDER / "link.ts").symlink_to(site.root / NEIGHBOURS[0])
    (site.root / FOLDER / "way").symlink_to(site.root / "films/4")
    cookies = cookies_for(site)
    assert ask(server, f"/signed/{FOLDER}/link.ts", cookies) in {403, 404}
    assert ask(server, f"/signed/{FOLDER}/way/index.m3u8", cookies) in {403, 404}
    # A link to a folder of the area is opened by the folder's own path.
    url, cookies = server.open(f"{FOLDER}/way")
    assert url == "/signed/films/4/"
    assert ask(server, f"{url}index.m3u8", cookies) == 200


def test_a_replaced_key_is_good_until_it_is_forgotten(backend: str, site: Site) -> None:
    old, rotated = cookies_for(site), {"SECRET_KEY": "a new secret"}
    application = APPLICATION_THAT_SIGNS.replace("SECRET_KEY=SECRET", 'SECRET_KEY="a new secret"')
    settings = rotated | {"SECRET_KEY_FALLBACKS": [SECRET]}
    with VERIFYING[backend](site, application, **settings) as running:
        url, cookies = running.open(FOLDER, cookies=COOKIE)
        assert cookies != old
        for known in (old, cookies):
            assert ask(running, f"{url}index.m3u8", known) == 200
    with VERIFYING[backend](site, application, **rotated) as running:
        assert ask(running, f"{url}index.m3u8", cookies) == 200
        assert ask(running, f"{url}index.m3u8", old) == 403


@pytest.mark.parametrize("value", ["On", "NoDecode"])
def test_slashes_that_apache_decodes_lead_nowhere(value: str, shared_site: Site) -> None:
    shared_site.settings.update(SETTINGS)
    for name in (FILE, NEIGHBOURS[0]):
        shared_site.write(name, MARK)
    cookies = cookies_for(shared_site)
    after = f"AllowEncodedSlashes {value}\nAcceptPathInfo On\n"
    with apache(shared_site, after=after) as running:
        assert ask(running, f"/signed/{FILE}", cookies) == 200
        for way in ("..%2f", "%2e%2e%2f", "..%2F", ".%2e%2f", "/..%2f", "x%2f..%2f..%2f"):
            for target in (
                f"/signed/{FOLDER}/{way}{way}{NEIGHBOURS[0]}",
                f"/signed/{FOLDER}/{way}4/index.m3u8",
                f"/signed/{FOLDER}/720p/{way}../4/index.m3u8",
            ):
                reply = get(running.port, target, headers={"Cookie": cookies})
                assert reply.status in {400, 403, 404}, target


REWRITTEN = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    RewriteEngine On
    RewriteRule "^/to/(.*)_(.*)$" "/signed/$1/../$2" [PT]
</VirtualHost>
"""


def test_a_path_that_rules_of_apaches_site_made_is_refused(shared_site: Site) -> None:
    shared_site.settings.update(SETTINGS)
    for name in (FILE, NEIGHBOURS[0]):
        shared_site.write(name, MARK)
    cookies = {"Cookie": cookies_for(shared_site)}
    port = free_port()
    with apache(shared_site, after=REWRITTEN.format(port=port)):
        assert get(port, f"/signed/{FILE}", headers=cookies).status == 200
        assert get(port, f"/to/{FOLDER}_4/index.m3u8", headers=cookies).status == 403
        assert get(port, f"/to/{FOLDER}/720p_../4/index.m3u8", headers=cookies).status == 403


def test_a_path_that_rules_of_nginxs_site_made_is_refused(shared_site: Site) -> None:
    shared_site.settings.update(SETTINGS | {"DELEGATE_BACKEND": "nginx"})
    for name in (FILE, NEIGHBOURS[0]):
        shared_site.write(name, MARK)
    cookies = cookies_for(shared_site)
    before = "merge_slashes off; dav_methods PUT DELETE MOVE COPY;"
    before += " location /to/ { rewrite ^/to/(.*)_(.*)$ /signed/$1/../$2 last; }"
    with nginx(shared_site, before=before) as running:
        assert ask(running, f"/signed/{FILE}", cookies) == 200
        assert ask(running, f"/to/{FOLDER}_4/index.m3u8", cookies) == 403
        assert ask(running, "/signed/films//42/index.m3u8", cookies) == 403
        # nginx can write files, too, where somebody lets it do so for the whole server.
        for method in ("PUT", "DELETE", "MOVE", "COPY"):
            assert ask(running, f"/signed/{FILE}", cookies, method) in {403, 405}
            signed = forge(shared_site, FILE)
            assert ask(running, signed, cookies, method) in {403, 405}
        assert (shared_site.root / FILE).read_bytes() == MARK
