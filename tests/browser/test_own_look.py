"""The organisation's own look and terms are for everybody, whatever its colour is."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from sqlalchemy import select
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from portal import create_app
from portal.core import database
from portal.core.models import FileRequest, Folder, Share
from portal.demo.create import ensure_account
from portal.sharing import links
from tests.browser.test_accessibility import axe, problems
from tests.support.browser.portal import sign_in
from tests.support.browser.tour import Stop

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["axe"]

WIDE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 230 46"><path d="M0 0h230v46z"/></svg>'


def compressed(app: Flask) -> WSGIApplication:
    """Return an application that compresses its texts, as each web server in front of it does."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = Response.from_app(app, environ, buffered=True)
        is_text = (response.mimetype or "").startswith(
            "text/"
        ) or response.mimetype == "image/svg+xml"
        if is_text and response.get_data() and "Content-Encoding" not in response.headers:
            response.set_data(gzip.compress(response.get_data()))
            response.headers["Content-Encoding"] = "gzip"
        return response(environ, start_response)

    return answer


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Serve a portal without a web server; return its address, alice's password and two links."""
    (folder / "logo").write_text(WIDE)
    look = {"LOGO": str(folder / "logo"), "TERMS_URL": "/terms", "IMPRINT_URL": "/imprint"}
    own = {"DATA": str(folder.resolve() / "data"), "SESSION_COOKIE_SECURE": False}
    app = create_app(own | look | settings)
    with app.app_context():
        database.upgrade()
        password = ensure_account("alice")
        projects = select(Folder).where(Folder.name == "Projects")
        entry = database.db.session.scalars(projects).one()
        paths = [f"/s/{links.create(Share, entry)[1]}", f"/r/{links.create(FileRequest, entry)[1]}"]
        database.db.session.close()
    server = make_server("127.0.0.1", 0, compressed(app), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", password, paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            database.db.engine.dispose()


@pytest.mark.parametrize("colour", ["#ffcc00", "#003366"])
def test_own_look_is_for_everybody(colour: str, browser: Browser, axe: str, tmp_path: Path) -> None:
    name = "Stadtarchiv Musterstadt an der Ruhr"
    # In a thread of its own: in this one, playwright's event loop runs.
    with ThreadPoolExecutor(1) as pool:
        serving = served(tmp_path, COLOUR=colour, NAME=name)
        url, password, paths = pool.submit(serving.__enter__).result()
        try:
            found = [
                one
                for scripts in (True, False)
                for stop in visits(browser, url, password, paths, scripts=scripts)
                for one in (problems(stop, axe) if scripts else [])
            ]
        finally:
            pool.submit(serving.__exit__, None, None, None).result()
    assert not found, "\n".join(found)


def visits(
    browser: Browser, url: str, password: str, paths: list[str], *, scripts: bool
) -> Iterator[Stop]:
    """Sign in, and come by links and accept the terms, with scripts or without."""
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    sign_in(page, url, "alice", password)
    yield Stop("files", page)
    context.close()
    for path in paths:
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.goto(url + path)
        yield Stop("terms", page)
        press(page, "Continue")  # which the browser refuses
        page.get_by_role("heading", name="Accept the terms").wait_for()
        page.get_by_label("I accept the terms").check()
        press(page, "Continue")
        page.get_by_text("Projects" if path.startswith("/s/") else "Send files").first.wait_for()
        yield Stop("accepted", page)
        context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    page.wait_for_load_state("networkidle")
