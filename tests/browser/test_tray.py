"""What the upload tray says, of itself and to screen readers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.support.browser.portal import Portal, choose_files, make_folder
from tests.support.browser.stored import stored_in


@pytest.fixture
def page(portal: Portal, request: pytest.FixtureRequest) -> Page:
    """A folder of the test's own, where an upload does not end."""
    page = portal.sign_in()
    make_folder(page, request.node.name[:60])
    page.route("**/uploads/*", lambda route: route.fallback() if _creates(route) else None)
    # Small ones come with the request that creates them.
    choose_files(page, {"name": "a.bin", "mimeType": "any/type", "buffer": bytes(300_000)})
    expect(page.locator("#tray h2")).to_have_text("Uploading 1 of 1")
    return page


def _creates(route: Route) -> bool:
    return route.request.method != "PATCH"


def test_paused_upload_is_called_so(page: Page, portal: Portal) -> None:
    page.get_by_role("button", name="Pause a.bin").click()
    expect(page.locator("#tray h2")).to_have_text("Paused, 0 of 1 uploaded")
    page.unroute("**/uploads/*")
    page.get_by_role("button", name="Resume a.bin").click()
    expect(page.locator("#tray h2")).to_have_text("Uploaded 1 of 1")
    assert "a.bin" in stored_in(portal.run, "test_paused_upload_is_called_so")


def test_cancelling_the_last_upload_is_heard(page: Page) -> None:
    page.get_by_role("button", name="Cancel a.bin").click()
    expect(page.locator("#tray")).to_be_hidden()
    # Only what is shown, if only to screen readers, has a role there.
    said = page.get_by_role("status").filter(has_text="The upload of a.bin was cancelled.")
    expect(said).to_have_count(1)


def test_new_version_offers_to_reload_and_does_not_stop_the_upload(page: Page) -> None:
    def answer_anew(route: Route) -> None:
        response = route.fetch()
        route.fulfill(
            response=response, body=re.sub("/static/[0-9a-f]+/", "/static/0/", response.text())
        )

    page.get_by_role("link", name="Links", exact=True).click()
    page.get_by_role("heading", name="Links", level=1).wait_for()
    expect(page.locator("#tray .updated")).to_be_hidden()
    page.route(re.compile("/trash$"), answer_anew)
    page.get_by_role("link", name="Trash", exact=True).click()
    page.get_by_role("heading", name="Trash", level=1).wait_for()
    expect(page.get_by_role("status").filter(has_text="has been updated")).to_be_visible()
    expect(page.locator("#tray h2")).to_have_text("Uploading 1 of 1")

    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    with page.expect_navigation():
        page.get_by_role("button", name="Reload").click()
    assert asked == ["beforeunload"]
    expect(page.locator("#tray")).to_be_hidden()
    assert page.locator("head script").first.get_attribute("src") == "/static/0/page.js"
