"""Every page that there is, in both colour schemes, wide and on a phone: axe finds nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import CDPSession, Page
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from portal import create_app
from tests.support.browser.portal import Portal
from tests.support.browser.tour import Look, Stop, looks, tour

MOST = 100 * 1000
"""Bytes of a page with all that it loads, before content."""

NO_PAGES = {
    "activity.everybody_csv",
    "activity.index_csv",
    "zips.download_folder",
    "files.download",
    "files.preview",
    "health.healthz",
    "second_factor.qr_code",
    "static",
    "share_page.download",
    # It only redirects to where its page is, which keeps the link's secret out of the address.
    "invitations.open_invitation",
    "invitations.open_reset",
    "upload_page.enter",
    "share_page.enter",
}
"""Endpoints of a GET that are nothing to look at."""


class World:
    """Scripts of ours in a page, where the page's policy does not bind them."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        frame = self._session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        made = self._session.send("Page.createIsolatedWorld", {"frameId": frame})
        self._id = made["executionContextId"]

    def run(self, expression: str) -> Any:
        sent = {"expression": expression, "contextId": self._id, "awaitPromise": True}
        answer = self._session.send("Runtime.evaluate", sent | {"returnByValue": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


@pytest.fixture(scope="module")
def axe() -> str:
    path = os.environ.get("AXE_CORE")
    assert path, "AXE_CORE names no file: scripts/test sets it"
    return Path(path).read_text()


def test_every_page_is_for_everybody(portal: Portal, axe: str, tmp_path: Path) -> None:
    rules = url_map(tmp_path / "data")
    urls = rules.bind("")
    missed = {rule.endpoint for rule in rules.iter_rules() if "GET" in (rule.methods or ())}
    missed -= NO_PAGES | {e for e in missed if e.startswith("tus.")}
    found: list[str] = []
    for stop in tour(portal):
        found += problems(stop, axe)
        with suppress(HTTPException):  # where a form's answer is shown, there is nothing to GET
            missed.discard(urls.match(urlsplit(stop.page.url).path)[0])
    assert not found, "\n".join(found)
    assert not missed, f"the tour does not come to these: {sorted(missed)}"


def url_map(data: Path) -> Map:
    """Return the portal's addresses."""
    settings = {"DATA": str(data), "SESSION_COOKIE_SECURE": False}
    # In a thread of its own: in this one, playwright's event loop runs.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(create_app, settings).result().url_map


def problems(stop: Stop, axe: str) -> list[str]:
    """Look at a page, and say what is wrong with it."""
    found: list[str] = []
    page = stop.page
    if weight(page) > MOST:
        found.append(f"{stop.name} weighs {weight(page)} bytes")
    world = World(page)
    if (jump := world.run(SHIFT)) > 0.01:
        found.append(f"{stop.name} jumps by {jump} while it loads")
    world.run(axe)
    for look in looks(page):
        found += [
            f"{stop.name}, {look.scheme}, {look.size}: {one}" for one in at(page, world, look)
        ]
    return found


def at(page: Page, world: World, look: Look) -> list[str]:
    found = [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in world.run(AXE)
        for node in one["nodes"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("it is wider than the screen")
    if (lightness(page) < 0.2) != (look.scheme == "dark"):
        found.append("the ground has the other scheme's colour")
    return found


AXE = "axe.run({ resultTypes: ['violations'] }).then(found => found.violations)"
SHIFT = """new Promise(resolve => {
  new PerformanceObserver(list => resolve(list)).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve({ getEntries: () => [] }), 100);
}).then(list => list.getEntries()
  .filter(entry => !entry.hadRecentInput)
  .reduce((sum, entry) => sum + entry.value, 0))"""


def weight(page: Page) -> int:
    """Add up what came: the page and all that it loaded."""
    return int(
        page.evaluate(
            """() => [...performance.getEntriesByType("navigation"),
              ...performance.getEntriesByType("resource")]
              .filter(entry => !/signed|preview/.test(entry.name))
              .filter(entry => !["fetch", "xmlhttprequest"].includes(entry.initiatorType))
              .reduce((sum, entry) => sum + (entry.transferSize || entry.encodedBodySize), 0)"""
        )
    )


def lightness(page: Page) -> float:
    """Return how light the page's ground is, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in colour[4:-1].split(",")[:3])
    return (red + green + blue) / 765
