"""Files that are seen in the browser: over their list, by pointer, keys and fingers."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from portal.demo import samples
from tests.support.browser.portal import Portal, choose_files, make_folder

HOSTILE = b"""
</pre></template><script>document.title = 'taken over'</script>
<img src=https://elsewhere.test/1.png onerror="document.title = 'taken over'">
![a](https://elsewhere.test/2.png) [a](javascript:document.title='taken%20over')
<style>@import url(https://elsewhere.test/3.css)</style><meta http-equiv=refresh content=0>
<iframe src=https://elsewhere.test/4></iframe>
"""
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = 'taken over'</script>
<image href="https://elsewhere.test/5.png"/></svg>"""
# As the list sorts them; the last two are not seen.
FILES = {
    "1 photo.png": samples.png(1600, 1200),
    "2 letter.pdf": samples.pdf("Dear all"),
    "3 second.png": samples.png(300, 200),
    "4 notes.md": b"# Notes\n\n| Name | Price |\n|---|--:|\n| Apple | 3 |\n\n" + HOSTILE,
    "5 text.txt": HOSTILE,
    "6 bell.wav": samples.wav(),
    "7 page.html": HOSTILE,
    "8 drawing.svg": SVG,
}
SEEN = 6
SEND = """async ([form, files]) => {
  const sent = new FormData(form);
  sent.delete("file");
  for (const [name, content] of files) {
    sent.append("file", new File([Uint8Array.from(atob(content), (c) => c.charCodeAt())], name));
  }
  return (await fetch(form.action, { method: "POST", body: sent })).status;
}"""


@pytest.fixture(scope="module")
def folder() -> dict[str, str]:
    """Remember the folder that the first test fills."""
    return {}


class Watched:
    """A browser on the folder's page, and what it asks for."""

    def __init__(self, portal: Portal, folder: dict[str, str], **options: Any) -> None:
        self.page = portal.sign_in(**options)
        if not folder:
            folder["url"] = _fill(portal)
        self.url = folder["url"]
        self.page.goto(self.url)
        self.title = self.page.title()
        self.pages = 0
        self.hosts: set[str | None] = set()
        self.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).hostname)
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self.pages += 1

    def link(self, start: str) -> Any:
        return self.page.locator("#entries tbody th a").filter(has_text=start)

    def sees(self, start: str, shown: str) -> None:
        """Wait until the viewer shows a file, in an element of the stage."""
        expect(self.page.locator("dialog.over h1")).to_contain_text(start)
        self.page.locator(f"dialog.over .stage {shown}").wait_for()

    def has_closed(self) -> None:
        expect(self.page.locator("dialog.over")).to_have_count(0)
        assert self.page.url == self.url


def _fill(portal: Portal) -> str:
    page = portal.sign_in()
    make_folder(page, "Seen")
    coded = [[name, base64.b64encode(content).decode()] for name, content in FILES.items()]
    form = page.locator("#upload").element_handle()
    assert page.evaluate(SEND, [form, coded]) == 200
    return page.url


def test_photo_is_seen_by_one_click_and_the_next_by_one_each(
    portal: Portal, folder: dict[str, str]
) -> None:
    at = Watched(portal, folder)
    page, dialog = at.page, at.page.locator("dialog.over")
    at.link("1 photo").click()
    at.sees("1 photo", "img")
    picture = page.locator(".stage img")
    expect(picture).to_have_js_property("naturalWidth", 1600)
    expect(dialog.locator(".position")).to_have_text(f"1 of {SEEN}")
    with page.expect_response(lambda answer: answer.url.endswith("/preview")) as answer:
        dialog.get_by_role("link", name="Next").click()
    at.sees("2 letter", "iframe")
    assert answer.value.status == 200
    assert answer.value.headers["content-type"] == "application/pdf"
    # What a policy refuses has another address.
    assert any(frame.url.endswith("/preview") for frame in page.frames)
    assert at.pages == 0
    # The picture after it was loaded before it is asked for.
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("ArrowRight")
    at.sees("3 second", "img")
    assert not [url for url in asked if "signed" in url or "preview" in url]
    expect(page.locator("dialog .said")).to_have_text(f"3 second.png, 3 of {SEEN}")
    page.keyboard.press("End")
    at.sees("6 bell", "audio")
    expect(dialog.get_by_role("link", name="Next")).to_have_count(0)
    page.keyboard.press("Home")
    at.sees("1 photo", "img")
    page.get_by_role("button", name="Actual size").click()
    assert picture.evaluate("one => one.clientWidth") == 1600
    page.keyboard.press("z")
    assert picture.evaluate("one => one.clientWidth") < 1280
    for _ in range(20):  # the focus stays inside
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('main')")
    page.keyboard.press("ArrowRight")
    at.sees("2 letter", "iframe")
    page.keyboard.press("Escape")
    at.has_closed()
    expect(at.link("2 letter")).to_be_focused()
    assert at.pages == 0


def test_address_is_that_of_what_is_seen(portal: Portal, folder: dict[str, str]) -> None:
    at = Watched(portal, folder)
    page = at.page
    at.link("3 second").click()
    at.sees("3 second", "img")
    page.keyboard.press("ArrowLeft")
    at.sees("2 letter", "iframe")
    address = page.url
    page.go_back()
    at.has_closed()
    assert at.pages == 0
    page.go_forward()
    at.sees("2 letter", "iframe")
    page.reload()
    at.sees("2 letter", "iframe")
    page.go_back()
    at.has_closed()
    page.goto(address)  # as by a link from elsewhere
    at.sees("2 letter", "iframe")
    page.get_by_role("dialog").get_by_role("link", name="Close").click()
    at.has_closed()
    # A click that asks for a tab of its own gets the page of the file. With Ctrl, it selects.
    with page.context.expect_page() as tab:
        at.link("3 second").click(button="middle")
    tab.value.wait_for_url("**/view")
    expect(tab.value.locator(".stage img")).to_have_js_property("naturalWidth", 300)
    tab.value.keyboard.press("ArrowLeft")
    tab.value.locator(".stage iframe").wait_for()
    tab.value.wait_for_load_state("domcontentloaded")  # which is after its scripts
    tab.value.keyboard.press("Escape")
    expect(tab.value).to_have_url(at.url)


def test_nothing_that_is_seen_runs(portal: Portal, folder: dict[str, str]) -> None:
    at = Watched(portal, folder)
    page = at.page
    at.link("4 notes").click()
    at.sees("4 notes", ".prose h2")
    expect(page.locator(".left-out")).to_have_text("a")
    page.keyboard.press("ArrowRight")
    at.sees("5 text", "pre")
    expect(page.locator(".stage pre")).to_contain_text("<script>document.title")
    assert not page.locator(".stage").locator("script, iframe, style, meta, img, a").count()
    for name in ("7 page", "8 drawing"):
        page.goto(at.url)
        with page.expect_download():
            at.link(name).click()
    assert page.title() == at.title
    assert at.hosts == {"127.0.0.1"}


def test_files_are_swiped_through_on_a_phone(portal: Portal, folder: dict[str, str]) -> None:
    size = {"width": 320, "height": 640}
    at = Watched(portal, folder, has_touch=True, is_mobile=True, viewport=size)
    page = at.page
    at.link("3 second").tap()
    at.sees("3 second", "img")
    swipe(page, 260, 60)
    at.sees("4 notes", ".prose")
    # A table in Markdown is one on a phone, too, with its heads.
    expect(page.locator(".prose thead")).to_have_css("clip-path", "none")
    expect(page.locator(".prose th").last).to_be_in_viewport()
    expect(page.locator(".prose td").last).to_have_css("text-align", "right")
    swipe(page, 60, 260)
    at.sees("3 second", "img")
    swipe(page, 160, 170)  # no swipe, but a tap that slipped
    at.sees("3 second", "img")
    box = page.locator("dialog.over").get_by_role("link", name="Next").bounding_box()
    assert box
    assert box["y"] + box["height"] <= size["height"]
    assert min(box["width"], box["height"]) >= 44
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    assert at.pages == 0


def swipe(page: Page, start: int, end: int) -> None:
    """Move a finger over the stage."""
    session = page.context.new_cdp_session(page)
    for kind, at in (("Start", start), ("Move", (start + end) // 2), ("Move", end), ("End", None)):
        points = [] if at is None else [{"x": at, "y": 300}]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    session.detach()


def test_files_are_seen_without_javascript(portal: Portal, folder: dict[str, str]) -> None:
    at = Watched(portal, folder, java_script_enabled=False)
    page = at.page
    at.link("1 photo").click()
    page.get_by_role("img", name="1 photo.png").wait_for()
    page.get_by_role("link", name="Next").click()
    page.locator("iframe").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_role("img", name="3 second.png").wait_for()
    page.get_by_role("link", name="Close").click()
    page.get_by_role("heading", name="Seen").wait_for()
    assert page.url == at.url


def test_viewer_goes_on_where_the_list_has_another_page(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "Long")
    small = base64.b64encode(samples.png(8, 8)).decode()
    names = [f"{number:03}.png" for number in range(102)]
    form = page.locator("#upload").element_handle()
    for some in (names[:51], names[51:]):
        assert page.evaluate(SEND, [form, [[name, small] for name in some]]) == 200
    page.reload()
    heading = page.locator("dialog.over h1")
    page.get_by_role("link", name="099.png", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("link", name="Next")).to_be_visible()
    for name in names[100:]:
        page.keyboard.press("ArrowRight")
        expect(heading).to_have_text(name)
        expect(page.locator(".stage img")).to_have_attribute("alt", name)
    expect(page.get_by_role("dialog").get_by_role("link", name="Next")).to_have_count(0)
    page.reload()  # where it is on no page of the list that is known
    expect(heading).to_have_text(names[101])
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(names[100])


def test_files_are_seen_while_others_are_uploaded(portal: Portal, folder: dict[str, str]) -> None:
    """Pages are kept then, by a handler of all navigations: the viewer's are none of its."""
    at = Watched(portal, folder)
    page = at.page
    page.route("**/uploads/**", lambda _: None)  # which is never answered
    choose_files(page, {"name": "new.bin", "mimeType": "text/plain", "buffer": b"x"})
    page.locator("#tray li").wait_for()
    at.link("3 second").click()
    at.sees("3 second", "img")
    page.keyboard.press("ArrowLeft")
    at.sees("2 letter", "iframe")
    page.go_back()
    at.has_closed()
    at.link("1 photo").click()
    at.sees("1 photo", "img")
    page.get_by_role("dialog").get_by_role("link", name="Details").click()
    page.get_by_role("heading", name="Rename").wait_for()
    expect(page.locator("dialog.over")).to_have_count(0)
    page.go_back()
    at.sees("1 photo", "img")
    page.go_back()
    at.has_closed()
    expect(at.link("1 photo")).to_be_visible()
    assert at.pages == 0
    assert page.locator("#tray li").count() == 1
