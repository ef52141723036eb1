"""Every page that there is, in both colour schemes, wide and on a phone.

axe and an HTML validator find nothing, nothing is wider than the screen, also with texts of another
language, which are longer, and borders can be seen.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from portal import create_app
from tests.support.browser.portal import Portal
from tests.support.browser.tour import SIZES, Look, Stop, looks, tour
from tests.support.tools import tool

MOST = 100 * 1000
"""Bytes of a page with all that it loads, before content."""

WIDTHS = (320, 390, 769, 850, 925, 961, 1440)
"""Of screens, in CSS pixels: small phones, where tables begin to have columns, and wide ones."""

WIDTHS_OF_LONGER_TEXTS = (320, 390, 1280)

RULES = {"root": True, "extends": ["html-validate:standard"]}
"""What the standard says, and nothing of style."""

NO_PAGES = {
    "activity.everybody_csv",
    "activity.index_csv",
    "zips.download_folder",
    "files.download",
    "entries.show_in_folder",
    "files.preview",
    "health.healthz",
    "received.download",
    "share_page.thumbnail",
    "thumbnails.show",
    "second_factor.qr_code",
    "static",
    "versions.download",
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


class Sources:
    """The HTML of each page as it came, for the validator."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latest: dict[Page, Response] = {}
        folder.mkdir()
        (folder / ".htmlvalidate.json").write_text(json.dumps(RULES))

    def watch(self, context: BrowserContext) -> BrowserContext:
        context.on("response", self._note)
        return context

    def keep(self, stop: Stop) -> None:
        if latest := self._latest.pop(stop.page, None):
            (self._folder / f"{stop.name}.html").write_text(latest.text())

    def problems(self) -> list[str]:
        pages = sorted(str(path) for path in self._folder.glob("*.html"))
        assert len(pages) > 40
        command = [tool("node"), os.environ["HTML_VALIDATE"], "--formatter", "text", *pages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout.splitlines()

    def _note(self, response: Response) -> None:
        # A PDF within a page is none.
        is_page = response.request.is_navigation_request() and not response.frame.parent_frame
        if is_page and response.status not in REDIRECTS:
            self._latest[response.frame.page] = response


REDIRECTS = {301, 302, 303}


def test_every_page_is_for_everybody(portal: Portal, axe: str, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "pages")
    make = portal.context
    portal = replace(portal, context=lambda **given: sources.watch(make(**given)))
    rules = url_map(tmp_path / "data")
    urls = rules.bind("")
    missed = {rule.endpoint for rule in rules.iter_rules() if "GET" in (rule.methods or ())}
    missed -= NO_PAGES | {e for e in missed if e.startswith("tus.")}
    found: list[str] = []
    for stop in tour(portal):
        sources.keep(stop)
        found += problems(stop, axe)
        with suppress(HTTPException):  # where a form's answer is shown, there is nothing to GET
            missed.discard(urls.match(urlsplit(stop.page.url).path)[0])
    found += sources.problems()
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
    found += [f"{stop.name} shows what is hidden: {one}" for one in world.run(SHOWN)]
    world.run(axe)
    for look in looks(page):
        found += [
            f"{stop.name}, {look.scheme}, {look.size}: {one}" for one in at(page, world, look)
        ]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if wide := world.run(WIDER):
            found.append(f"{stop.name} is wider than {width} pixels: {wide}")
    found += longer(stop, world)
    page.set_viewport_size(SIZES["wide"])
    return found


def longer(stop: Stop, world: World) -> list[str]:
    """Look at a page with words that are 40 % longer, and say what does not fit then."""
    found: list[str] = []
    world.run(LENGTHEN)
    for width in WIDTHS_OF_LONGER_TEXTS:
        stop.page.set_viewport_size({"width": width, "height": 800})
        if wide := world.run(WIDER) or world.run(WIDER_WITHIN):
            found.append(f"{stop.name} with longer texts does not fit in {width} pixels: {wide}")
    world.run(SHORTEN)
    return found


def at(page: Page, world: World, look: Look) -> list[str]:
    found = [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in world.run(AXE)
        for node in one["nodes"]
    ]
    found += [f"a border that is hard to see: {one}" for one in world.run(FAINT)]
    if (lightness(page) < 0.2) != (look.scheme == "dark"):
        found.append("the ground has the other scheme's colour")
    return found


AXE = "axe.run({ resultTypes: ['violations'] }).then(found => found.violations)"
WIDER = """(() => {
  const page = document.documentElement;
  return page.scrollWidth <= innerWidth ? null : [...document.querySelectorAll("body *")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
    .map(one => one.outerHTML.slice(0, 120)).slice(0, 3);
})()"""
WIDER_WITHIN = """(() => {
  const found = [...document.querySelectorAll("dialog[open], #tray:not([hidden]), :popover-open")]
    .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
    .map(one => one.outerHTML.slice(0, 120));
  return found.length ? found : null;
})()"""
# Names, sizes and times are as long in each language, and what is typed is nobody's text.
LENGTHEN = """(() => {
  const kept = "bdi, code, kbd, time, textarea, script, style, .sheet";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  globalThis.lengthened = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.closest(kept)) lengthened.push([node, node.data]);
  }
  for (const [node, data] of lengthened) {
    const more = (word) => "o".repeat(Math.ceil(word.length * 0.4));
    node.data = data.replace(/\\p{L}{2,}/gu, (word) => word + more(word));
  }
})()"""
SHORTEN = """(() => {
  for (const [node, data] of lengthened) node.data = data;
})()"""
# WCAG 2.2, 1.4.11: what shows where a control is has a contrast of 3 to 1.
FAINT = """(() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const controls = ".main, .quiet, .danger, input:not([type=checkbox], [type=hidden], [type=file]),"
    + " select, textarea";
  return [...document.querySelectorAll(controls)]
    .filter(one => one.checkVisibility() && !one.matches(":disabled, .hidden, [hidden]"))
    .filter(one => {
      const style = getComputedStyle(one);
      const behind = ground(one.parentElement);
      return ![style.borderTopColor, style.backgroundColor].map(rgba)
        .some(colour => colour[3] === 255 && contrast(colour, behind) >= 3);
    }).map(one => one.outerHTML.slice(0, 120));
})()"""
SHOWN = """[...document.querySelectorAll("[hidden]")]
  .filter(element => getComputedStyle(element).display !== "none")
  .map(element => element.outerHTML.slice(0, 80))"""

SHIFT = """new Promise(resolve => {
  new PerformanceObserver(list => resolve(list)).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve({ getEntries: () => [] }), 100);
}).then(list => list.getEntries()
  .filter(entry => !entry.hadRecentInput)
  .reduce((sum, entry) => sum + entry.value, 0))"""


def weight(page: Page) -> int:
    """Add up what came: the page and all that it loaded, other than from the browser's cache."""
    return int(
        page.evaluate(
            """() => [...performance.getEntriesByType("navigation"),
              ...performance.getEntriesByType("resource")]
              .filter(entry => !/signed|preview/.test(entry.name))
              .filter(entry => !["fetch", "xmlhttprequest"].includes(entry.initiatorType))
              .reduce((sum, entry) => sum + entry.transferSize, 0)"""
        )
    )


def lightness(page: Page) -> float:
    """Return how light the page's ground is, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in colour[4:-1].split(",")[:3])
    return (red + green + blue) / 765
