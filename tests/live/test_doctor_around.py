"""The doctor finds what stands around a hand-off: before it, and in other rules of the server."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from flask_delegate.testing.apache import free_port
from tests.support.apaches import make_certificate
from tests.support.doctor import findings, run
from tests.support.nginxes import nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, new_site

FAILURE = "failure"
WARNING = "warning"
PASSWORD = "correct-horse"
PROTOCOLS = ("proxy", "uwsgi")
UNPROXIED = "proxy_pass http://127.0.0.1:{upstream}; proxy_set_header Host $http_host;"
PROXIED = UNPROXIED + "proxy_set_header X-Flask-Delegate $flask_delegate;"


def inside(location: str) -> str:
    buffers = "".join(f"{kind}_buffer_size 32k; {kind}_buffers 8 32k;" for kind in PROTOCOLS)
    return f"location / {{{{ {buffers} {location} }}}}"


@dataclass
class Examined:
    site: Site
    upstream: int

    def __call__(
        self,
        *options: str,
        server: str = "",
        http: str = "",
        lost: str = "",
        location: str = PROXIED,
        url: str = "http://127.0.0.1:{port}/",
    ) -> dict[str, dict[str, Any]]:
        """Run the doctor on nginx.

        :param server: what stands in the ``server`` block beside what was generated.
        :param http: what stands in the ``http`` block.
        :param lost: what the generated file lacks: as if nginx had no such directive.
        """
        generated = self.site.nginx_config()
        if lost:
            generated, number = re.subn(rf"^ *{lost} .*;\n", "", generated, flags=re.MULTILINE)
            assert number
        include = generated + server
        locations = inside(location)
        with nginx_in_front(
            self.site, self.upstream, include, http=http, locations=locations
        ) as port:
            return findings(self.site.configure(), url.format(port=port), *options)


@pytest.fixture(scope="module")
def examined() -> Iterator[Examined]:
    with new_site(DELEGATE_BACKEND="nginx") as site, python_server(site, *GUNICORN) as upstream:
        yield Examined(site, upstream)


def wrong(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        name: item["level"] for name, item in found.items() if item["level"] in (FAILURE, WARNING)
    }


INHERITED = {
    "ssi": ("ssi on;", "filters", "ssi"),
    "sub_filter": ("sub_filter '</body>' '<script></script></body>';", "filters", "sub_filter"),
    "add_after_body": ("add_after_body /banner;", "filters", "add_after_body"),
    "charset": (
        "charset koi8-r; override_charset on; charset_map koi8-r utf-8 { 80 E282AC; }",
        "policies",
        "koi8-r",
    ),
    "gzip_static": ("gzip_static on;", "siblings", ".gz"),
    "gzip": ("gzip on; gzip_min_length 1;", "codings", "gzip"),
    "expires": ("expires 30d;", "policies", "max-age=2592000"),
    "open_file_cache": ("open_file_cache max=100;", "fresh", "another file"),
    "max_ranges": ("max_ranges 0;", "range", "200"),
    "if_modified_since": ("if_modified_since off;", "conditional", "200"),
}


@pytest.mark.parametrize("directive", INHERITED)
def test_what_a_hand_off_inherits_is_found(examined: Examined, directive: str) -> None:
    line, check, seen = INHERITED[directive]
    banner = "location /banner { internal; return 200 BANNER; }"
    found = examined(http=line, lost=directive, server=banner)
    assert wrong(found)[check] == (WARNING if check == "codings" else FAILURE), wrong(found)
    assert seen in found[check]["seen"]
    assert found[check]["seen"].count("http://127.0.0.1:")
    assert directive in found[check]["fix"] + found[check]["seen"]


BEYOND_RULES = {
    "return": (
        "if ($uri ~ ^/private/) { return 301 https://other.example$request_uri; }",
        "handoff",
        "'return' or 'rewrite'",
    ),
    "rewrite": ("rewrite ^/private/(.*) /nowhere/$1;", "handoff", "'rewrite'"),
    "auth_basic": ("auth_basic all; auth_basic_user_file /dev/null;", "handoff", "auth_basic"),
    "deny": ("deny all;", "handoff", "deny"),
    "add_trailer": ("add_trailer X-Any 1;", "length", "add_trailer"),
}


@pytest.mark.parametrize("directive", BEYOND_RULES)
def test_what_no_generated_rule_undoes_is_named(examined: Examined, directive: str) -> None:
    server, check, said = BEYOND_RULES[directive]
    found = examined(server=server, location=f"allow all; auth_basic off; {PROXIED}")
    assert set(wrong(found)) == {check}
    assert said in found[check]["why"] + found[check]["fix"]
    assert examined.site.token() not in str(found)


def password(site: Site) -> str:
    """Return directives that ask for a password."""
    file = site.folder / "passwords"
    file.write_text(f"ann:{{PLAIN}}{PASSWORD}\n")
    file.chmod(0o644)
    return f"auth_basic site; auth_basic_user_file {file};"


HIDDEN = {
    "refused": ("location ~ /\\. { deny all; }", "403"),
    "not found": ("location ~ /\\. { return 404; }", "404"),
}
IN_FRONT = {
    "a firewall": ("deny all;", "403", "firewall"),
    "maintenance": ("return 503;", "503", "maintenance"),
    "a sign-in page": ("return 302 /login;", "302 by nginx/", "sign-in"),
    "one page for all": ("return 200 hello;", "200", "every URL"),
    "a limit": ("return 429;", "429", "limit"),
    "a broken application": ("return 500;", "500", "another Python"),
}


def assert_probe(found: dict[str, dict[str, Any]], status: str, cause: str) -> None:
    assert wrong(found) == {"probe": FAILURE}
    assert f"/.well-known/flask-delegate/… was answered with {status}" in found["probe"]["seen"]
    assert cause in found["probe"]["why"] + found["probe"]["fix"]


@pytest.mark.parametrize("what", HIDDEN)
def test_a_rule_for_hidden_files_is_named(examined: Examined, what: str) -> None:
    rule, status = HIDDEN[what]
    assert_probe(examined(server=rule), status, "hidden files")


@pytest.mark.parametrize("what", IN_FRONT)
def test_what_is_in_front_is_told_apart(examined: Examined, what: str) -> None:
    rule, status, cause = IN_FRONT[what]
    assert_probe(examined(location=rule), status, cause)


def test_a_page_is_told_from_the_root(examined: Examined) -> None:
    refused = "location /page/reports/ { return 403; }"
    for path in ("nowhere/", "page/reports/"):
        found = examined(server=refused, url=f"http://127.0.0.1:{{port}}/{path}")
        assert set(wrong(found)) == {"probe"}
        assert "is not the application's root" in found["probe"]["seen"]
        assert re.fullmatch(r"Give the doctor http://127.0.0.1:\d+/\.", found["probe"]["fix"])


def test_plain_http_is_told_from_no_answer(examined: Examined) -> None:
    found = examined(url="https://127.0.0.1:{port}/")
    assert wrong(found) == {"reach": FAILURE}
    assert "speaks plain HTTP" in found["reach"]["why"]
    assert "http://127.0.0.1:" in found["reach"]["fix"]
    folder, port = examined.site.folder, free_port()
    make_certificate(folder)
    tls = f"listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/server.crt;"
    tls += f"ssl_certificate_key {folder}/server.key;"
    found = examined(server=tls, url=f"https://127.0.0.1:{port}/")
    assert wrong(found) == {"reach": FAILURE}
    assert "--insecure" in found["reach"]["fix"]
    found = examined("--insecure", server=tls, url=f"https://127.0.0.1:{port}/")
    assert wrong(found) == {}, found["reach"]
    assert found["attack-http2"]["level"] == "skipped"
    found = examined(server=tls, url=f"http://127.0.0.1:{port}/")
    assert set(wrong(found)) == {"probe"}
    assert "https://" in found["probe"]["fix"]


def test_a_password_lets_the_doctor_through(examined: Examined) -> None:
    asked = password(examined.site)
    found = examined(server=asked)
    assert wrong(found) == {"probe": FAILURE}
    assert "--header" in found["probe"]["fix"]
    assert wrong(examined(server=asked, url=f"http://ann:{PASSWORD}@127.0.0.1:{{port}}/")) == {}
    pair = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert wrong(examined("--header", f"authorization: Basic {pair}", server=asked)) == {}


def test_attacks_have_the_password_as_well(examined: Examined) -> None:
    site = examined.site
    generated = site.nginx_config().replace("internal;", "")
    include = re.sub(r"if \(\$arg_k.*?\}", "", generated, flags=re.DOTALL) + password(site)
    with nginx_in_front(site, examined.upstream, include, locations=inside(PROXIED)) as port:
        url = f"http://ann:{PASSWORD}@127.0.0.1:{port}/"
        code, text = run(site.configure(), url, "--json")
    assert code == 1
    found = {item["check"]: item for item in json.loads(text)["findings"]}
    assert found["attack-plain"]["level"] == FAILURE
    assert PASSWORD not in text
    assert base64.b64encode(f"ann:{PASSWORD}".encode()).decode() not in text


def test_no_way_is_called_closed_that_was_not_looked_at(examined: Examined) -> None:
    found = examined(server=f"location /files/ {{ alias {examined.site.root}/; }}")
    for check in ("apache-paths", "other-paths"):
        assert (found[check]["level"], found[check]["fix"]) == ("skipped", "")
        assert found[check]["seen"].startswith("the backend is nginx;")
    main = examined.site.folder / "server.conf"
    main.write_text("location /other/ { root /srv; }")
    found = examined("--server-config", str(main), server="location /other/ { root /srv; }")
    assert wrong(found) == {}
    assert found["other-paths"]["seen"].endswith("other URLs in the configuration has the file")


@pytest.mark.parametrize("where", ["nowhere", "outside of the location"])
def test_a_header_that_is_not_passed_on_is_named(examined: Examined, where: str) -> None:
    shown = "proxy_set_header X-Flask-Delegate $flask_delegate;"
    outside = "" if where == "nowhere" else shown
    found = examined(server=outside, location=UNPROXIED)
    assert wrong(found) == {"guard": FAILURE, "handoff": FAILURE}
    assert "no header X-Flask-Delegate" in found["guard"]["seen"]
    assert f"'{shown}' beside proxy_pass" in found["guard"]["fix"]
    assert "inherits none" in found["guard"]["fix"]


def test_uwsgi_needs_a_parameter() -> None:
    command = (*GUNICORN, "--protocol", "uwsgi")
    needed = "uwsgi_param HTTP_X_FLASK_DELEGATE $flask_delegate;"
    passed = " ".join(
        f"uwsgi_param {name.upper()} ${name};"
        for name in ("query_string", "request_method", "content_type", "content_length")
    )
    passed += "uwsgi_param PATH_INFO $document_uri; uwsgi_param SERVER_PROTOCOL $server_protocol;"
    passed += "uwsgi_param SERVER_NAME $server_name; uwsgi_param SERVER_PORT $server_port;"
    passed += "uwsgi_param REQUEST_URI $request_uri; uwsgi_pass 127.0.0.1:{upstream};"
    passed += "proxy_set_header X-Flask-Delegate $flask_delegate;"
    with new_site(DELEGATE_BACKEND="nginx") as site, python_server(site, *command) as upstream:
        examined = Examined(site, upstream)
        found = examined(location=passed)
        assert wrong(found) == {"guard": FAILURE, "handoff": FAILURE}
        assert f"'{needed}'" in found["guard"]["fix"]
        assert wrong(examined(location=passed + needed)) == {}


def test_a_cache_in_front_is_found() -> None:
    cached = (
        "proxy_cache all; proxy_cache_valid 200 1h; proxy_pass http://127.0.0.1:{upstream};"
        "proxy_ignore_headers Cache-Control Vary; proxy_set_header Host $http_host;"
    )
    with new_site(DELEGATE_BACKEND="stream") as site, python_server(site, *GUNICORN) as upstream:
        http = f"proxy_cache_path {site.folder}/cache keys_zone=all:1m;"
        with nginx_in_front(site, upstream, "", http=http, locations=inside(cached)) as port:
            found = findings(site.configure(), f"http://127.0.0.1:{port}/")
    assert wrong(found)["fresh"] == FAILURE


def test_nothing_is_wrong_where_nothing_is_lost(examined: Examined) -> None:
    http = "\n".join(line for line, *_ in INHERITED.values())
    found = examined(http=http, server="location /banner { internal; return 200 BANNER; }")
    assert wrong(found) == {}
    names = {"names", "filters", "siblings", "codings", "policies", "length", "fresh"}
    assert {found[name]["level"] for name in names} == {"ok"}
