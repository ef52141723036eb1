"""A shared cache gives nobody what another person was answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.caches import APACHE_CACHE, CACHES
from tests.support.clients import Reply, get
from tests.support.servers import SERVERS
from tests.support.sites import express, new_site

CONTENT = b"private content\n"
# Every answer says that it is public.
APPLICATION = """
import functools
import itertools

from flask import Flask, abort, redirect, request

from flask_delegate import Delegate, Handoff, delegated, send_via_apache

app = Flask("cached", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)
application = app
count = itertools.count()


@app.after_request
def publish(response):
    response.headers["Cache-Control"] = "public, max-age=600"
    response.headers.pop("Vary", None)
    return response


def is_alice(**_):
    return "alice" in (request.cookies.get("who"), request.headers.get("Authorization"))


def signed_in(view):
    @functools.wraps(view)
    def wrapped(**arguments):
        if not is_alice():
            return redirect("/", 301)
        return view(**arguments)

    return wrapped


@app.get("/public")
def public():
    return f"{next(count)}"


@app.get("/named/<name>")
@delegated(lambda name: True)
def named(name):
    return Handoff("report.txt", download_name=name, max_age=600)


@app.get("/forbidden")
@delegated(is_alice)
def forbidden():
    return "report.txt"


@app.get("/concealed")
@delegated(is_alice, conceal=True)
def concealed():
    return "report.txt"


@app.get("/failing")
@delegated(lambda: True)
def failing():
    if not is_alice():
        raise RuntimeError("on purpose")
    return "report.txt"


@app.get("/fallback")
@delegated(lambda: True)
def fallback():
    return "report.txt" if is_alice() else app.make_response("nothing for you")


@app.get("/redirecting")
@delegated(lambda: True)
def redirecting():
    return "report.txt" if is_alice() else redirect("/", 308)


@app.get("/sign-in")
@signed_in
@delegated(is_alice)
def sign_in():
    return "report.txt"


@app.get("/missing")
def missing():
    return send_via_apache("report.txt" if is_alice() else "nothing.txt")
"""
# What others are answered.
VIEWS = {
    "/forbidden": 403,
    "/concealed": 404,
    "/failing": 500,
    "/fallback": 200,
    "/redirecting": 308,
    "/sign-in": 301,
    "/missing": 404,
}
PAIRS: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
    ({"Cookie": "who=alice"}, {}),
    ({"Cookie": "who=alice", "Range": "bytes=0-3"}, {"Cookie": "who=bob"}),
    ({"Authorization": "alice"}, {"Authorization": "bob"}),
)
number = itertools.count()


@pytest.fixture(
    scope="module",
    params=[
        *("mod_wsgi-daemon", "nginx-gunicorn", "caddy-gunicorn", "xsendfile-mod_wsgi"),
        *("lighttpd-gunicorn", "gunicorn"),
    ],
)
def caches(request: pytest.FixtureRequest) -> Iterator[dict[str, int]]:
    """Yield the ports of caches in front of one server."""
    with new_site() as site, ExitStack() as stack:
        site.application = APPLICATION
        site.write("report.txt", CONTENT)
        server = stack.enter_context(SERVERS[request.param](site))
        yield {
            name: stack.enter_context(start(site, server.port)) for name, start in CACHES.items()
        }


@pytest.fixture(params=CACHES)
def port(request: pytest.FixtureRequest, caches: dict[str, int]) -> int:
    return caches[request.param]


def test_the_cache_works(port: int) -> None:
    target = f"/public?{next(number)}"
    first, second = (get(port, target, headers={"Cookie": who}) for who in ("a", "b"))
    assert first.body == second.body


def is_alices(reply: Reply) -> bool:
    return reply.status in {200, 206} and reply.body in {CONTENT, CONTENT[:4]}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("alice", "bob"), PAIRS)
def test_each_gets_their_own_answer(
    port: int, view: str, alice: dict[str, str], bob: dict[str, str]
) -> None:
    for order in ((alice, bob, alice), (bob, alice, bob)):
        target = f"{view}?{next(number)}"
        for headers in order:
            reply = get(port, target, headers=headers)
            if headers is alice:
                assert is_alices(reply)
            else:
                assert (reply.status, CONTENT in reply.body) == (VIEWS[view], False)


LOAD = "".join(
    f"<IfModule !{name}_module>\n"
    f"    LoadModule {name}_module ${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so\n</IfModule>\n"
    for name in ("cache", "cache_disk")
)
"""mod_cache in the server that sends the files."""


@pytest.mark.parametrize("quick", ["On", "Off"])
def test_apache_caches_nothing_under_the_internal_url(quick: str) -> None:
    # Even where the operator has private answers stored, and queries ignored.
    storing = "CacheStorePrivate On\nCacheStoreNoStore On\nCacheIgnoreQueryString On\n"
    with new_site() as site:
        site.write("report.txt", CONTENT)
        cache = site.folder / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        caching = f"{APACHE_CACHE.format(base=cache)}{storing}CacheQuickHandler {quick}\n"
        include = LOAD + site.apache_config() + caching
        with express(site, APPLICATION, include=include) as server:
            for name in ("a.txt", "b.txt", "b.txt"):
                reply = get(server.port, f"/named/{name}")
                assert reply.body == CONTENT
                assert reply["Content-Disposition"] == f'inline; filename="{name}"'
            assert get(server.port, "/private/report.txt").status == 403
        stored = [path.read_bytes() for path in cache.rglob("*.header")]
        assert stored
        assert not any(b"/private/" in one for one in stored)
