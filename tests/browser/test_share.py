"""Sharing on the spot: clicks and pages, what is stored, and what is said where it fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, Route

from portal.identity import passwords
from tests.browser.test_accessibility import axe, problems
from tests.support.browser.portal import Portal, choose_files, make_folder, wait_until_uploaded
from tests.support.browser.stored import rows
from tests.support.browser.tour import SIZES, Stop

__all__ = ["axe"]

CONTENT = b"What is shared.\n"
COPY = ["clipboard-read", "clipboard-write"]
ZONE = "Pacific/Auckland"
SHARE = "SELECT name, expires_at, password_hash, download_limit, downloads, revoked_at, public_id"

REFUSE = """() => {
  const refuse = () => Promise.reject(new DOMException("", "NotAllowedError"));
  Object.assign(navigator.clipboard, { write: refuse, writeText: refuse });
}"""
SEND = """() => {
  navigator.share = async (sent) => { window.sent = sent; };
}"""


class Steps:
    """What somebody needs for a task: clicks, and pages that are loaded."""

    def __init__(self, page: Page) -> None:
        self._page, self.clicks, self.pages = page, 0, 0
        page.on("request", self._count)

    def click(self, role: Any, name: str, **more: Any) -> None:
        self.clicks += 1
        self._page.get_by_role(role, name=name, **more).click()

    def _count(self, request: Any) -> None:
        self.pages += request.is_navigation_request()


def folder_with(page: Page, folder: str, name: str) -> None:
    """Create a folder with a file, and stay there."""
    make_folder(page, folder)
    choose_files(page, {"name": name, "mimeType": "text/plain", "buffer": CONTENT})
    wait_until_uploaded(page, name)


def details(page: Page, name: str) -> None:
    """Go to the page of a file in the list."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name="Details").click()


def share_of(portal: Portal, name: str) -> list[Any]:
    """Return the rows of the links to a file."""
    of_entry = "FROM share WHERE entry_id = (SELECT id FROM entry WHERE name = ?) ORDER BY id"
    return rows(portal.run, f"{SHARE} {of_entry}", name)


def in_two_weeks() -> datetime:
    there = ZoneInfo(ZONE)
    day = datetime.now(there).date() + timedelta(days=14)
    return datetime.combine(day, time.max, there).astimezone(UTC).replace(tzinfo=None)


def is_near(stored: str, wanted: datetime) -> bool:
    """Return whether it is that moment; a day more, if midnight has passed meanwhile."""
    return wanted - datetime.fromisoformat(stored) in {timedelta(), timedelta(days=1)}


def test_shared_from_the_list_in_two_clicks_and_its_downloads_in_one(portal: Portal) -> None:
    name = "Two clicks.txt"
    page = portal.sign_in(permissions=COPY, timezone_id=ZONE)
    folder_with(page, "Shared on the spot", name)
    page.get_by_role("row", name=name).hover()
    steps = Steps(page)
    steps.click("link", f"Share {name}", exact=True)
    steps.click("button", "Create and copy link")
    page.get_by_text("Copied.").wait_for()
    assert (steps.clicks, steps.pages) == (2, 0)
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.get_by_label("Link", exact=True).input_value()
    assert page.evaluate("getSelection().toString()") == link
    ((own, expires, hashed, limit, count, revoked, link_id),) = share_of(portal, name)
    assert (own, hashed, limit, count, revoked) == ("", None, None, 0, None)
    assert is_near(expires, in_two_weeks())

    visitor = portal.context().new_page()
    visitor.goto(link)
    with visitor.expect_download() as download:
        visitor.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == CONTENT

    here, before = page.url, page.evaluate("history.length")
    page.go_back()  # as a phone's button does
    page.get_by_role("dialog").wait_for(state="hidden")
    assert (page.url, page.evaluate("history.length")) == (here, before)
    page.goto(f"{portal.url}/links")
    steps = Steps(page)
    row = page.get_by_role("row", name=name)
    row.get_by_role("link", name="1 download by A link", exact=True).click()
    steps.clicks += 1
    page.get_by_role("heading", name="Activity of a link").wait_for()
    assert (steps.clicks, steps.pages) == (1, 1)
    page.get_by_role("cell", name=re.compile("^download")).wait_for()
    recorded = rows(portal.run, "SELECT action, actor FROM activity WHERE link = ?", link_id)
    assert sorted(recorded) == [("download", ""), ("share", "alice")]


def test_dialog_says_what_is_wrong_and_creates_one_link_with_all_that_was_chosen(
    portal: Portal,
) -> None:
    name = "Chosen.txt"
    page = portal.sign_in(permissions=COPY, timezone_id=ZONE)
    folder_with(page, "Shared with choices", name)
    page.evaluate("navigator.clipboard.writeText('before')")
    details(page, name)
    page.get_by_role("link", name="Share", exact=True).click()
    page.get_by_label("Name", exact=True).fill("For the auditor")
    page.get_by_label("Generated").check()
    page.set_viewport_size({"width": 390, "height": 844})  # a phone has them, too
    page.get_by_text("Limit and note").click()
    page.get_by_label("Download limit").fill("many")
    page.set_viewport_size({"width": 1280, "height": 800})
    create = page.get_by_role("button", name="Create and copy link")
    create.click()
    page.get_by_text("Enter a whole number").wait_for()
    assert page.evaluate("document.activeElement.name") == "download_limit"
    assert share_of(portal, name) == []
    assert page.evaluate("navigator.clipboard.readText()") == "before"
    page.get_by_label("Download limit").fill("3")
    page.context.set_offline(True)
    create.click()
    page.get_by_text("The portal does not answer.").wait_for()
    page.context.set_offline(False)
    page.get_by_label("In 7 days").check()
    slow(page)
    create.dblclick()
    page.get_by_role("heading", name="Link created").wait_for()
    page.get_by_role("button", name="Copy password").click()
    password = page.evaluate("navigator.clipboard.readText()")
    ((own, expires, hashed, limit, _, revoked, _),) = share_of(portal, name)
    assert (own, limit, revoked) == ("For the auditor", 3, None)
    assert is_near(expires, in_two_weeks() - timedelta(days=7))
    assert passwords.verify(hashed, password)

    page.get_by_role("link", name="Revoke link").click()
    page.get_by_role("heading", name="Revoke this link?").wait_for()
    assert not share_of(portal, name)[0][5]
    page.get_by_role("button", name="Revoke link").click()
    page.get_by_role("heading", name="Link to Chosen.txt revoked.").wait_for()
    assert share_of(portal, name)[0][5]
    page.keyboard.press("Escape")
    # The page behind it says so without being loaded again.
    page.locator("[data-links]").get_by_text("For the auditor: revoked").wait_for()


def slow(page: Page) -> None:
    """Have the next answers take a while, as on a train."""

    def wait(route: Route) -> None:
        page.wait_for_timeout(300)
        route.continue_()

    page.route("**/share", wait)


def test_shared_by_keyboard_where_nothing_may_be_copied(portal: Portal) -> None:
    name = "Keys.txt"
    page = portal.sign_in()
    folder_with(page, "Shared by keyboard", name)
    page.evaluate(REFUSE)
    page.get_by_role("link", name=f"Share {name}", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Share a file").wait_for()
    page.keyboard.type("For the auditor")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # in 30 days
    page.keyboard.press("ArrowRight")  # on a day
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "until"
    page.keyboard.press("Enter")
    page.get_by_text("It is selected: copy it with the keyboard.").wait_for()
    link = page.get_by_label("Link", exact=True).input_value()
    assert page.evaluate("getSelection().toString()") == link
    ((own, *_),) = share_of(portal, name)
    assert own == "For the auditor"
    page.go_back()  # which would lose the link
    page.get_by_text("Copy the link first").wait_for()
    assert page.get_by_label("Link", exact=True).input_value() == link
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent").startswith("Share")


def test_dialog_is_for_everybody_on_a_phone_too(portal: Portal, axe: str) -> None:
    name = "For everybody.txt"
    page = portal.sign_in()
    make_folder(page, "Shared on a phone")
    choose_files(page, {"name": name, "mimeType": "text/plain", "buffer": CONTENT})
    wait_until_uploaded(page, name)
    details(page, name)
    page.evaluate(SEND)
    page.get_by_role("link", name="Share", exact=True).click()
    page.get_by_label("My own").check()
    page.get_by_label("On a day").check()
    found = problems(Stop("share", page), axe)
    page.get_by_label("Generated").check()
    page.set_viewport_size(SIZES["phone"])
    page.get_by_role("button", name="Create and copy link").click()
    page.get_by_role("button", name="Send").click()
    link = page.get_by_label("Link", exact=True).input_value()
    assert page.evaluate("window.sent") == {"title": name, "url": link}
    found += problems(Stop("link created", page), axe)
    assert not found, "\n".join(found)


def test_link_is_shared_without_javascript(portal: Portal) -> None:
    name = "Plain.txt"
    folder_with(portal.sign_in(), "Shared without a script", name)
    page = portal.sign_in(java_script_enabled=False)
    page.get_by_role("link", name="Shared without a script", exact=True).click()
    row = page.get_by_role("row", name=name)
    row.get_by_role("link", name="Share", exact=True).click()
    page.get_by_label("Name", exact=True).fill("For the auditor")
    page.get_by_label("Never").check()
    assert not page.get_by_label("Last day").is_visible()
    page.get_by_label("Generated").check()
    page.get_by_role("button", name="Create link").click()
    page.get_by_role("heading", name="Link created").wait_for()
    assert page.get_by_role("img", name="QR code of the link").is_visible()
    password = page.get_by_label("Password", exact=True).input_value()
    ((own, expires, hashed, *_, link_id),) = share_of(portal, name)
    assert (own, expires) == ("For the auditor", None)
    assert passwords.verify(hashed, password)
    page.reload()  # creates no second one, and shows no secret again
    assert [link[-1] for link in share_of(portal, name)] == [link_id]
    page.get_by_text("New links are shown only once.").wait_for()
