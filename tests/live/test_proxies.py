"""nginx and mod_xsendfile: chosen by the settings, and never by a request."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support.apaches import PROXY
from tests.support.application import APPLICATION
from tests.support.clients import Reply, file_url, get
from tests.support.nginxes import nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import Site, express
from tests.support.spellings import MARK, attacks, targets

NAME = "report.txt"
HEADERS = {"nginx": "X-Accel-Redirect", "xsendfile": "X-Sendfile"}


@pytest.fixture(params=HEADERS)
def behind_nothing(request: pytest.FixtureRequest, site: Site) -> Iterator[tuple[Site, int]]:
    """Return an application whose server is missing."""
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = request.param
    with python_server(site, *GUNICORN) as port:
        yield site, port


def assert_refused(reply: Reply) -> None:
    assert reply.status == 500
    assert MARK not in reply.body
    assert not {"X-Accel-Redirect", "X-Sendfile", "Location"} & set(reply.headers)


def test_without_its_server_nothing_is_handed_off(behind_nothing: tuple[Site, int]) -> None:
    assert_refused(get(behind_nothing[1], file_url(NAME)))


def test_a_client_that_plays_the_server_gets_nothing(behind_nothing: tuple[Site, int]) -> None:
    site, port = behind_nothing
    keys = site.configure().extensions["delegate"].keys["default"][0]
    for value in ("1", "0" * 32, keys.token, "/private/"):
        for name in ("X-Flask-Delegate", f"flask_delegate.{keys.fingerprint}"):
            assert_refused(get(port, file_url(NAME), headers={name: value}))


@pytest.mark.parametrize("backend", HEADERS)
def test_a_header_that_the_extension_did_not_make_is_stopped(site: Site, backend: str) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = backend
    with python_server(site, *GUNICORN) as port:
        for value in ("/private/report.txt", f"{site.root}/{NAME}", "/etc/passwd"):
            query = urlencode({HEADERS[backend]: value})
            assert_refused(get(port, f"/header?{query}"))
        other = HEADERS["nginx" if backend == "xsendfile" else "xsendfile"]
        assert get(port, f"/header?{urlencode({other: '/x'})}").status == 200


def test_a_stale_nginx_configuration_is_refused(site: Site) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    stale = site.nginx_config()
    site.settings["DELEGATE_HEADERS"] = {"X-Frame-Options": "DENY"}
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, stale) as port,
    ):
        assert_refused(get(port, file_url(NAME)))


def test_no_direct_request_to_nginx_gets_the_file(site: Site) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    token = site.token()
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        assert get(port, file_url(NAME)).body == MARK
        direct = [attack for attack in attacks(NAME) if attack.version != "HTTP/0.9"]
        for attack in direct:
            reply = get(port, attack.target, method=attack.method, headers=attack.headers)
            assert MARK not in reply.body, attack.to()
        for target in targets(NAME):
            assert MARK not in get(port, target + b"?k=" + token.encode()).body


def test_nginx_serves_no_redirect_without_the_token(site: Site) -> None:
    """Another application behind the same nginx names the area."""
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    include = site.nginx_config()
    token = site.token()
    site.settings["DELEGATE_BACKEND"] = "stream"
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, include) as port,
    ):
        for query, status in (
            ("", 403),
            ("?k=", 403),
            (f"?k={'0' * 32}", 403),
            (f"?k={token}", 200),
        ):
            asked = urlencode({"X-Accel-Redirect": f"/private/{NAME}{query}"})
            reply = get(port, f"/header?{asked}")
            assert (reply.status, MARK in reply.body) == (status, status == 200)


def test_nginx_follows_no_link_out_of_the_area(site: Site) -> None:
    outside = site.folder / "outside.txt"
    outside.write_bytes(MARK)
    (site.root / "link").symlink_to(outside)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    include, token = site.nginx_config(), site.token()
    site.settings["DELEGATE_BACKEND"] = "stream"
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, include) as port,
    ):
        asked = urlencode({"X-Accel-Redirect": f"/private/link?k={token}"})
        reply = get(port, f"/header?{asked}")
        assert (reply.status, MARK in reply.body) == (403, False)


def test_areas_may_have_different_servers(site: Site) -> None:
    """One folder through Apache's redirect, another one through mod_xsendfile."""
    site.write(NAME, MARK)
    other = site.folder / "other"
    other.mkdir()
    (other / NAME).write_bytes(b"other")
    site.settings["DELEGATE_AREAS"] = {
        "other": {"root": str(other), "url": "/other-inside/", "backend": "xsendfile"}
    }
    with express(site, APPLICATION, include=site.apache_config()) as running:
        assert get(running.port, file_url(NAME)).body == MARK
        assert get(running.port, file_url(NAME, area="other")).body == b"other"
        assert "Python streams the files" not in running.log()
        for target in (f"/private/{NAME}", f"/other-inside/{NAME}"):
            assert get(running.port, target).status in (403, 404)


def test_a_name_that_no_header_carries_is_refused_in_words(site: Site) -> None:
    site.write("two\nlines.txt")
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with express(site, APPLICATION, include=site.apache_config()) as running:
        name = b"two\nlines.txt".hex()
        assert_refused(get(running.port, f"/hex/{name}"))
        assert "X-Sendfile cannot carry the name" in running.log()


def test_a_path_as_long_as_gunicorn_reads_it_is_handed_off(site: Site) -> None:
    # 3.6 KB when quoted, and the name once more: gunicorn reads no longer address.
    folders = [f"{number}{'長' * 80}" for number in range(4)]
    path = "/".join([*folders, f"{'資' * 80}.txt"])
    site.write(path, MARK)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        reply = get(port, file_url(path))
    assert (reply.status, reply.body) == (200, MARK)


def test_a_client_does_not_choose_where_the_application_is(site: Site) -> None:
    """gunicorn believes SCRIPT_NAME of a proxy, which could pass it on from a client."""
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with python_server(site, *GUNICORN) as upstream:
        include = site.apache_config() + PROXY.format(upstream=upstream)
        with express(site, APPLICATION, include=include) as running:
            assert get(running.port, file_url(NAME)).body == MARK
            for name, value in (("SCRIPT_NAME", "/x"), ("PATH_INFO", file_url(NAME))):
                reply = get(running.port, f"/x{file_url(NAME)}", headers={name: value})
                assert reply.status == 404


@pytest.mark.parametrize("through", ["folder", "link above it"])
def test_the_path_of_an_area_may_have_a_blank_and_later_a_link(site: Site, through: str) -> None:
    above = site.folder / "a b"
    (above / "c d").mkdir(parents=True)
    (above / "c d" / NAME).write_bytes(MARK)
    areas = {"spaced": {"root": str(above / "c d"), "url": "/spaced/"}}
    site.settings |= {"DELEGATE_BACKEND": "nginx", "DELEGATE_AREAS": areas}
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        # gunicorn listens before its worker has loaded the application.
        assert get(port, file_url(NAME, area="spaced")).status == 200
        if through != "folder":
            moved = above.rename(site.folder / "moved")
            above.symlink_to(moved)
        reply = get(port, file_url(NAME, area="spaced"))
    assert (reply.status, reply.body) == (200, MARK)


POLICY_OF_A_HOOK = """
@app.after_request
def set_policy(response):
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response
"""


@pytest.mark.parametrize("csp", [None, "sandbox"])
def test_nginx_sends_the_policy_of_the_file_and_no_hooks(site: Site, csp: str | None) -> None:
    site.write(NAME, MARK)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    site.application = APPLICATION + POLICY_OF_A_HOOK
    options = {} if csp is None else {"csp": csp}
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        reply = get(port, file_url(NAME, **options))
        assert (reply.status, reply.body) == (200, MARK)
        assert reply.headers.get_all("Content-Security-Policy") == (csp and [csp])
        assert not [name for name in reply.headers if name.lower().startswith("x-flask-delegate")]
        home = get(port, "/")
    assert home["Content-Security-Policy"] == "default-src 'self'"
