"""Nobody but a hand-off of this application gets a private file."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from flask_delegate.testing import Apache
from flask_delegate.testing.apache import free_port
from tests.support.application import APPLICATION, with_raw_location
from tests.support.clients import everything, file_url, get, over_http2
from tests.support.sites import Site, express
from tests.support.spellings import MARK, SPOOFED, attacks, targets

NAME = "report.txt"

# Configuration that an operator may well have, and that must not open the area.
LOOSENINGS = {
    "location-root": '<Location "/">\nRequire all granted\n</Location>\n',
    "location-private": '<Location "/private">\nRequire all granted\n</Location>\n',
    "location-match": '<LocationMatch "^/private/">\nRequire all granted\n</LocationMatch>\n',
    "if-true": '<If "true">\nRequire all granted\n</If>\n',
    "files": '<FilesMatch ".">\nRequire all granted\n</FilesMatch>\n',
    "directory": '<Directory "{root}">\nRequire all granted\nOptions All\n</Directory>\n',
    "directory-parent": '<Directory "{folder}">\nRequire all granted\n</Directory>\n',
    "htaccess": '<Directory "{root}">\nAllowOverride All\n</Directory>\n',
    "satisfy-any": '<Location "/">\nOrder allow,deny\nAllow from all\nSatisfy Any\n</Location>\n',
    "second-alias": 'Alias "/other/" "{root}/"\n',
}


@pytest.fixture(scope="module")
def guarded(shared_site: Site) -> Iterator[Apache]:
    shared_site.write(NAME, MARK)
    with express(
        shared_site, APPLICATION, "--http2", include=shared_site.apache_config()
    ) as running:
        yield running


def leaks(port: int) -> list[bytes]:
    """Send every direct request; return those that got the file."""
    found = [attack.to() for attack in attacks(NAME) if MARK in everything(port, attack.to())]
    for target in targets(NAME):
        try:
            text = target.decode("ascii")
        except UnicodeDecodeError:
            continue
        if MARK in over_http2(port, text)[1]:
            found.append(b"HTTP/2 " + target)
    return found


def test_the_handoff_gets_the_file(guarded: Apache) -> None:
    assert get(guarded.port, file_url(NAME)).body == MARK
    assert over_http2(guarded.port, file_url(NAME)) == (200, MARK)


def test_no_direct_request_gets_the_file(guarded: Apache) -> None:
    assert len(attacks(NAME)) > 150
    assert leaks(guarded.port) == []


def test_a_direct_request_is_forbidden_rather_than_unknown(guarded: Apache) -> None:
    for target in (f"/private/{NAME}", f"/%70rivate/{NAME}", f"//private/{NAME}", "/private/"):
        assert get(guarded.port, target).status == 403
    assert over_http2(guarded.port, f"/private/{NAME}")[0] == 403


def test_existence_is_not_told(guarded: Apache) -> None:
    there, missing = (get(guarded.port, f"/private/{name}") for name in (NAME, "missing.txt"))
    assert (there.status, there.body) == (missing.status, missing.body)


def test_http2_with_spoofed_headers_is_forbidden(guarded: Apache) -> None:
    for headers in SPOOFED:
        lowered = {
            name.lower(): value
            for name, value in headers.items()
            if name not in ("Upgrade", "HTTP2-Settings")
        }
        assert MARK not in over_http2(guarded.port, f"/private/{NAME}", lowered)[1]


def test_the_right_token_alone_opens_nothing(guarded: Apache, shared_site: Site) -> None:
    query = f"k={shared_site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    assert get(guarded.port, f"/private/{NAME}?{query}").status == 403


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", LOOSENINGS)
def test_the_guard_survives(site: Site, name: str, where: str) -> None:
    site.write(NAME, MARK)
    site.write(".htaccess", b"Require all granted\nOptions +Indexes\n")
    loose = LOOSENINGS[name].format(root=site.root, folder=site.folder)
    config = site.apache_config()
    include = loose + config if where == "before" else config + loose
    with express(site, APPLICATION, include=include) as running:
        for target in (f"/private/{NAME}", f"/%70rivate/{NAME}", "/private/", f"/other/{NAME}"):
            assert MARK not in get(running.port, target).body
            assert get(running.port, target).status in (403, 404)
        assert get(running.port, f"/private/{NAME}").status == 403
        assert get(running.port, file_url(NAME)).body == MARK


def in_virtual_host(port: int, rules: str) -> str:
    return f"<VirtualHost 127.0.0.1:{port}>\n{rules}</VirtualHost>\n"


def test_an_uploaded_htaccess_file_cannot_grant_what_the_guard_denies(site: Site) -> None:
    site.write(NAME, MARK)
    site.write(".htaccess", b'<If "true">\nRequire all granted\n</If>\n')
    switched_on = LOOSENINGS["htaccess"].format(root=site.root)
    with express(site, APPLICATION, include=site.apache_config() + switched_on) as running:
        assert get(running.port, f"/private/{NAME}").status == 403
        assert get(running.port, file_url(NAME)).body == MARK


def manuals_guard(site: Site) -> str:
    """Write the guard of mod_wsgi's manual: the request line against the internal URL."""
    return f"""
RewriteEngine On
RewriteCond %{{THE_REQUEST}} ^\\S+\\s/private/
RewriteRule ^/private/ - [F]
Alias /private/ "{site.root}/"
<Directory "{site.root}/">
    Require all granted
</Directory>
"""


def test_the_manuals_guard_is_walked_around(site: Site) -> None:
    site.write(NAME, MARK)
    port = free_port()
    include = in_virtual_host(port, manuals_guard(site))
    with express(site, APPLICATION, "--http2", include=include, port=port):
        assert get(port, f"/private/{NAME}").status == 403
        assert get(port, f"/%70rivate/{NAME}").body == MARK
        assert get(port, f"//private/{NAME}").body == MARK
        assert len(leaks(port)) > 30


def test_the_manuals_guard_protects_nothing_where_express_includes_it(site: Site) -> None:
    site.write(NAME, MARK)
    with express(site, APPLICATION, include=manuals_guard(site)) as running:
        assert get(running.port, f"/private/{NAME}").body == MARK


def test_ours_holds_in_a_virtual_host(site: Site) -> None:
    site.write(NAME, MARK)
    port = free_port()
    modules = site.apache_config().partition("SetEnv ")[0]
    include = modules + in_virtual_host(port, site.apache_config("--site"))
    with express(site, APPLICATION, "--http2", include=include, port=port):
        assert leaks(port) == []
        assert get(port, file_url(NAME)).body == MARK


def test_an_unminted_location_gets_no_file_even_past_the_application(site: Site) -> None:
    """A middleware outside the extension's guard, or another application, sends the Location."""
    site.write(NAME, MARK)
    minted = f"/private/{NAME}?k={site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    with express(site, with_raw_location(APPLICATION), include=site.apache_config()) as running:
        assert get(running.port, f"/raw?{minted}").body == MARK
        for altered in (
            f"/private/{NAME}",
            f"/private/{NAME}?k={'0' * 32}&id=0123456789abcdef&ct=text/plain&cd=inline",
            f"{minted}&x=1",
            f"{minted}&ma=1x",
            minted.replace("?", "?x=1&"),
            minted.replace("&ct=text/plain", ""),
            minted.replace("&ct=", "&ma=1&ct="),
            f"{minted}&ma=1&ma=2",
        ):
            reply = get(running.port, f"/raw?{altered}")
            assert (reply.status, MARK in reply.body) == (403, False), altered


def test_a_folder_is_neither_listed_nor_redirected_to(site: Site) -> None:
    """The application never hands a folder off; should it become one, nothing is told."""
    site.write("folder/index.html", MARK)
    query = f"k={site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    options = ("--directory-listing", "--directory-index", "index.html")
    with express(
        site, with_raw_location(APPLICATION), *options, include=site.apache_config()
    ) as running:
        for path in ("folder", "folder/", ""):
            reply = get(running.port, f"/raw?/private/{path}?{query}")
            assert reply.status in (403, 404)
            assert MARK not in reply.body
            assert "Location" not in reply.headers
            assert site.token() not in str(reply.headers) + reply.body.decode()


def test_only_the_named_process_group_hands_off(site: Site) -> None:
    site.write(NAME, MARK)
    minted = f"/private/{NAME}?k={site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    for group, status in (("chosen", 200), ("another", 403)):
        config = site.apache_config("--process-group", group)
        with express(
            site, with_raw_location(APPLICATION), "--process-group", "chosen", include=config
        ) as running:
            assert get(running.port, f"/raw?{minted}").status == status
            assert get(running.port, file_url(NAME)).body == MARK
            refused = "only the process group 'another' may hand off" in running.log()
            assert refused == (group == "another")


# Rules that look at every URL, the internal one of a hand-off included.
OTHER_RULES = """
RewriteEngine On
RewriteRule "^(.*)\\.txt$" "$1" [R=301,L]
ProxyPassMatch "^/(.*\\.php)$" "http://127.0.0.1:1/$1"
CheckSpelling On
"""


def test_rules_for_other_urls_do_not_send_a_handoff_elsewhere(site: Site) -> None:
    site.write(NAME, MARK)
    site.write("shell.php", MARK)
    port = free_port()
    modules = site.apache_config().partition("SetEnv ")[0] + "".join(
        f'LoadModule {name}_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so"\n'
        for name in ("proxy", "proxy_http", "speling")
    )
    rules = site.apache_config("--site") + OTHER_RULES
    misspelled = (
        f"/raw?/private/repotr.txt?k={site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    )
    with express(
        site,
        with_raw_location(APPLICATION),
        include=modules + in_virtual_host(port, rules),
        port=port,
    ):
        # They are at work, on other URLs.
        assert get(port, "/environ/x.txt").status == 301
        assert get(port, "/x.php").status == 503
        for name in (NAME, "shell.php"):
            assert get(port, f"/hex/{name.encode().hex()}").body == MARK
        missing = get(port, misspelled)
        assert missing.status == 404
        assert site.token() not in str(missing.headers) + missing.body.decode()


def test_a_missing_module_stops_the_start_with_its_name(site: Site) -> None:
    server = express(site, APPLICATION, include=site.apache_config("--site"))
    with pytest.raises(RuntimeError, match=r"needs mod_(ratelimit|setenvif)\. .*a2enmod"), server:
        pass


@pytest.mark.parametrize(
    "target",
    ["/environ", "/private/report.txt", "//private/x", "/", "/private/../environ", " /environ"],
)
def test_a_local_redirect_that_was_not_minted_is_stopped(server: Apache, target: str) -> None:
    for query in (
        {"to": target},
        {"to": target, "status": "302 Found", "header": "200 OK"},
        {"to": target, "status": "200 Something"},
    ):
        reply = get(server.port, f"/elsewhere?{urlencode(query)}")
        assert reply.status == 500
        assert reply.body == b"Internal Server Error\n"
        assert "Location" not in reply.headers
    several = urlencode([("to", "https://example.org/"), ("to", target)])
    assert get(server.port, f"/elsewhere?{several}").status == 500
    assert "was stopped: with status 200 Apache would serve that URL" in server.log()


def test_an_honest_redirect_passes(server: Apache) -> None:
    reply = get(server.port, "/elsewhere?to=/next&status=302%20Found")
    assert (reply.status, reply["Location"]) == (302, "/next")
    reply = get(server.port, "/elsewhere?to=/made/1&status=201%20Created")
    assert (reply.status, reply["Location"]) == (201, "/made/1")
    reply = get(server.port, "/elsewhere?to=https://example.org/")
    assert (reply.status, reply["Location"]) == (200, "https://example.org/")
