"""The portal on a phone: installed, and sent files from another app."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser.portal import Portal, chromium_options
from tests.support.browser.stored import assert_consistent, rows, stored_in
from tests.support.portal_process import wait_for
from tests.support.tools import tool

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
FORM = """<form method="post" enctype="multipart/form-data" action="{}/receive/files">
  <input type="file" name="file" multiple><button>Share</button></form>"""


def share(page: Page, portal: Portal, *files: dict[str, Any]) -> None:
    """Send files as another app, or a page of another site, can."""

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html; charset=utf-8", body=FORM.format(portal.url))

    page.route("http://other.example/", answer)
    page.goto("http://other.example/")
    page.locator("input").set_input_files(list(files))  # type: ignore[arg-type]
    page.get_by_role("button", name="Share").click()
    page.get_by_role("heading", name="Save files").wait_for()


def file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def ready(page: Page) -> None:
    """Wait until the page's worker takes what is sent."""
    state = "navigator.serviceWorker.getRegistration('/receive/').then((one) => one?.active?.state)"
    wait_for(lambda: page.evaluate(state) == "activated")


def waits(page: Page) -> int:
    """Return how many files wait in the browser, whatever the page says."""
    found = page.evaluate(
        """() => new Promise((resolve, reject) => {
          const opening = indexedDB.open("portal-waiting", 1);
          opening.onupgradeneeded = () => opening.result.createObjectStore("files");
          opening.onerror = reject;
          opening.onsuccess = () => {
            const asked = opening.result.transaction("files").objectStore("files").get("waiting");
            asked.onsuccess = () => {
              opening.result.close();
              resolve(asked.result?.files.length ?? 0);
            };
          };
        })"""
    )
    return int(found)


def test_portal_can_be_installed(portal: Portal, browser: Browser, tmp_path: Path) -> None:
    # In a profile of a browser's own: the others, like private windows, install nothing.
    context = browser.browser_type.launch_persistent_context(
        tmp_path, executable_path=tool("chromium"), args=chromium_options()
    )
    with context:
        page = context.new_page()
        page.goto(f"{portal.url}/sign-in")
        session = context.new_cdp_session(page)
        assert session.send("Page.getInstallabilityErrors") == {"installabilityErrors": []}
        said = session.send("Page.getAppManifest")
    assert said["errors"] == []
    assert '"share_target"' in said["data"]


def test_shared_files_wait_for_a_tap_and_are_stored_once(portal: Portal) -> None:
    page = portal.sign_in("alice", **PHONE)
    ready(page)
    first, second = b"first" * 100, b"second" * 100_000
    stored = rows(portal.run, "SELECT count(*) FROM entry")
    share(page, portal, file("IMG 1.jpg", first), file("IMG 2.jpg", second))
    expect(page.get_by_text("2 files", exact=True)).to_be_visible()
    # What comes later takes the place of what waited.
    share(page, portal, file("IMG 3.jpg", second), file("IMG Ü 日本.jpg", first))
    expect(page.locator("[data-part=list] li")).to_have_text(["IMG 3.jpg", "IMG Ü 日本.jpg"])
    page.reload()
    expect(page.locator("[data-part=list] li")).to_have_count(2)
    assert rows(portal.run, "SELECT count(*) FROM entry") == stored
    assert rows(portal.run, "SELECT count(*) FROM upload WHERE name LIKE 'IMG%'") == [(0,)]
    assert waits(page) == 2

    page.get_by_role("link", name="Pictures", exact=True).click()
    page.get_by_role("button", name="Save in Pictures").click()
    expect(page.locator("#tray h2")).to_have_text("Uploaded 2 of 2")
    there = stored_in(portal.run, "Pictures")
    digests = {"IMG 3.jpg": second, "IMG Ü 日本.jpg": first}
    for name, content in digests.items():
        assert there[name] == hashlib.sha256(content).hexdigest()
    page.reload()
    expect(page.get_by_text("No files wait here.")).to_be_visible()
    assert waits(page) == 0
    assert rows(portal.run, "SELECT count(*) FROM entry WHERE name LIKE 'IMG%'") == [(2,)]
    assert page.evaluate("caches.keys()") == []

    # About a name that is taken, the page asks; until that is answered, the file waits.
    share(page, portal, file("IMG 3.jpg", first), file("IMG 4.jpg", first))
    page.get_by_role("link", name="Pictures", exact=True).click()
    question = page.get_by_role("dialog", name="This name is taken")
    for answer in ("Reload", "Escape"):
        page.get_by_role("button", name="Save in Pictures").click()
        question.wait_for()
        assert waits(page) == 2
        if answer == "Reload":
            page.reload()
    page.keyboard.press("Escape")
    said = page.get_by_text("1 file is being saved in Pictures. 1 file still waits.")
    expect(said).to_be_visible()
    expect(page.locator("[data-part=list] li")).to_have_text(["IMG 3.jpg"])
    expect(page.get_by_role("button", name="Save in Pictures")).to_be_focused()
    expect(page.locator("#tray h2")).to_have_text("Uploaded 1 of 1")
    assert waits(page) == 1
    page.get_by_role("button", name="Save in Pictures").click()
    question.get_by_role("button", name="Skip").click()
    expect(page.get_by_text("1 file was skipped.")).to_be_visible()
    assert waits(page) == 0
    there = stored_in(portal.run, "Pictures")
    assert there["IMG 3.jpg"] == hashlib.sha256(second).hexdigest()
    assert there["IMG 4.jpg"] == hashlib.sha256(first).hexdigest()
    assert_consistent(portal.run)


def test_what_waits_is_deleted_by_signing_out_and_after_an_hour(portal: Portal) -> None:
    page = portal.sign_in("bob", **PHONE)
    ready(page)
    share(page, portal, file("a.jpg", b"a"))
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("No files wait here.").wait_for()
    assert waits(page) == 0
    share(page, portal, file("b.jpg", b"b"))
    page.evaluate("Date.now = (now => () => now + 3_600_001)(Date.now())")
    page.evaluate(
        "import(document.querySelector('[src$=\"phone.js\"]').src.replace('phone', 'waiting'))"
        ".then((one) => one.waiting())"
    )
    assert waits(page) == 0
    share(page, portal, file("c.jpg", b"c"))
    assert waits(page) == 1
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("You are signed out.").wait_for()
    # A slow browser is not waited for with that, and this page goes on.
    wait_for(lambda: waits(page) == 0)
    count = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
    wait_for(lambda: page.evaluate(count) == 0)
    assert page.evaluate("caches.keys()") == []
    # Without the worker the portal is asked, and stores nothing.
    page.goto(f"{portal.url}/sign-in")
    page.get_by_label("Name").fill("bob")
    page.get_by_label("Password").fill(portal.run.password("bob"))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="My files").wait_for()
    ready(page)
    page.evaluate(
        "navigator.serviceWorker.getRegistration('/receive/').then((one) => one.unregister())"
    )
    before = rows(portal.run, "SELECT count(*) FROM entry")
    share(page, portal, file("d.jpg", b"d"))
    expect(page.get_by_text("Nothing was saved")).to_be_visible()
    assert waits(page) == 0
    assert rows(portal.run, "SELECT count(*) FROM entry") == before
