"""What people do, in a browser: with and without JavaScript, with a keyboard, on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from tests.support.browser.portal import (
    Portal,
    choose_action,
    choose_files,
    make_folder,
    wait_for_scripts,
    wait_until_uploaded,
)

pytestmark = pytest.mark.parametrize("portal", ["run", "hosts"], indirect=True)

NAME = "Übersicht 日本 (2026).txt"
CONTENT = b"What the file says.\n"


def upload(page: Page, name: str = NAME) -> None:
    choose_files(page, {"name": name, "mimeType": "text/plain", "buffer": CONTENT})
    wait_until_uploaded(page, name)


def test_plain_form_uploads_without_javascript(portal: Portal) -> None:
    page = portal.sign_in(java_script_enabled=False)
    make_folder(page, "Plain")
    page.get_by_text("Up to 1 GiB at once").wait_for()
    choose_files(page, {"name": NAME, "mimeType": "text/plain", "buffer": CONTENT})
    page.get_by_role("button", name="Upload").click()
    page.get_by_text(f"Uploaded: {NAME}").wait_for()
    page.get_by_role("link", name=NAME, exact=True).wait_for()


def test_download_has_its_name_and_its_bytes(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "Downloads")
    upload(page)
    page.get_by_role("link", name=NAME, exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == NAME
    assert Path(download.value.path()).read_bytes() == CONTENT


def test_no_stored_file_runs_in_a_page(portal: Portal) -> None:
    """Its address is of the portal's own origin, whose scripts and styles pages may load."""
    page = portal.sign_in()
    make_folder(page, "Scripts")
    for name, content in (("a.js", b"document.title = 'taken over'"), ("a.css", b"* {color: red}")):
        choose_files(page, {"name": name, "mimeType": "text/plain", "buffer": content})
        wait_until_uploaded(page, name)
    load = """([kind, url]) => new Promise((resolve) => {
        const made = document.createElement(kind);
        if (kind === "script") Object.assign(made, { src: url, type: "module" });
        else Object.assign(made, { href: url, rel: "stylesheet" });
        made.onload = () => resolve("loaded");
        made.onerror = () => resolve("refused");
        document.head.append(made);
    })"""
    for kind, name in (("script", "a.js"), ("link", "a.css")):
        url = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        assert page.evaluate(load, [kind, url]) == "refused"
        address, which = ("src", "[src]") if kind == "script" else ("href", "[rel=stylesheet]")
        own = page.locator(f"head {kind}{which}").first.get_attribute(address)
        assert page.evaluate(load, [kind, own]) == "loaded"
    assert page.title() != "taken over"


def test_shared_file_arrives_in_another_profile(portal: Portal) -> None:
    page = portal.sign_in(permissions=["clipboard-read", "clipboard-write"])
    make_folder(page, "Shared by browser")
    upload(page)
    page.get_by_role("link", name=f"Share {NAME}").click()
    page.get_by_role("button", name="Create and copy link").click()
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.get_by_label("Link", exact=True).input_value()

    visitor = portal.context().new_page()
    visitor.goto(link)
    with visitor.expect_download() as download:
        visitor.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == NAME
    assert Path(download.value.path()).read_bytes() == CONTENT


def test_deleted_file_comes_back(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "Deleted")
    upload(page)
    page.get_by_label(f"Select {NAME}").check()
    page.get_by_text("1 selected").wait_for()
    page.get_by_role("button", name="Move to trash").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name=NAME, exact=True).wait_for()


def test_film_is_searched_by_ranges(portal: Portal, tmp_path: Path) -> None:
    page = portal.sign_in()
    make_folder(page, "Film")
    choose_files(page, long_film(tmp_path / "long.webm"))
    wait_until_uploaded(page, "long.webm")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    choose_action(page, "long.webm", "Details")
    film = page.locator("video")
    expect(film).to_have_js_property("duration", 30)
    film.evaluate("film => { film.currentTime = 25; }")
    expect(film).to_have_js_property("seeking", False)
    film.evaluate("film => { film.muted = true; return film.play(); }")
    page.wait_for_function("film => film.currentTime > 25.2", arg=film.element_handle())
    asked = [answer for answer in answers if answer.request.resource_type == "media"]
    assert 206 in {answer.status for answer in asked}
    address = film.get_attribute("src") or ""
    assert page.request.get(portal.url + address).headers["content-type"] == "video/webm"
    assert_refused(portal.context(), portal.url + address)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("You are signed out.").wait_for()
    assert_refused(page.context, portal.url + address)


def assert_refused(context: BrowserContext, address: str) -> None:
    """Check that a browser gets no film: Apache knows its address, elsewhere the portal asks."""
    answer = context.request.get(address)
    assert answer.status == 403 or "/sign-in?" in answer.url
    assert not answer.headers["content-type"].startswith("video/")


def long_film(path: Path) -> Path:
    """Write half a minute of snow: 20 MB, which no browser loads before it is asked to go on."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libvpx", rate=10, options={"deadline": "realtime"})
        stream.width, stream.height, stream.bit_rate, stream.gop_size = 320, 240, 6_000_000, 10
        for _ in range(300):
            frame = av.VideoFrame(320, 240, "yuv420p")
            for plane in frame.planes:
                plane.update(os.urandom(plane.buffer_size))
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def tab_to(page: Page, name: str, role: str = "") -> None:
    """Press the tabulator until what has this name has the focus, which has to be seen."""
    wanted = page.get_by_role(role, name=name) if role else page.get_by_label(name)  # type: ignore[arg-type]
    for _ in range(80):
        page.keyboard.press("Tab")
        handle = wanted.first.element_handle()  # the list may have been renewed meanwhile
        if page.evaluate("element => element === document.activeElement", handle):
            style = "element => [getComputedStyle(element).outlineStyle, element.tagName].join()"
            assert not page.evaluate(style, handle).startswith("none"), name
            return
    raise AssertionError(f"the tabulator does not reach {name}")


def test_everything_is_done_by_keyboard_alone(portal: Portal) -> None:
    page = portal.context().new_page()
    # Some time before the key is pressed: the browser hears of it in its own time.
    page.on("filechooser", lambda _: None)
    page.goto(f"{portal.url}/sign-in")
    tab_to(page, "Name")
    page.keyboard.type("alice")
    tab_to(page, "Password")
    page.keyboard.type(portal.run.password("alice"))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="My files").wait_for()
    wait_for_scripts(page)
    page.keyboard.press("n")
    expect(page.get_by_label("Name of the new folder")).to_be_focused()
    page.keyboard.type("0 by keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="0 by keyboard", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="0 by keyboard", level=1).wait_for()
    wait_for_scripts(page)
    folder = page.url

    tab_to(page, "Upload files", "button")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    name = "by keyboard.txt"
    chooser.value.set_files({"name": name, "mimeType": "text/plain", "buffer": CONTENT})
    wait_until_uploaded(page, name)

    tab_to(page, name, "link")
    page.keyboard.press("Enter")
    page.get_by_text(CONTENT.decode().strip()).wait_for()
    with page.expect_download():
        page.keyboard.press("d")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")

    tab_to(page, f"Actions for {name}", "button")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Download").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to(page, "Create and copy link", "button")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Link created").wait_for()

    page.goto(folder)
    tab_to(page, f"Select {name}")
    page.keyboard.press("Space")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Undo").wait_for()
    tab_to(page, "Trash", "link")
    page.keyboard.press("Enter")
    tab_to(page, f"Restore {name}", "button")
    page.keyboard.press("Enter")
    page.get_by_text("Restored").wait_for()


def test_times_are_in_the_readers_zone(portal: Portal) -> None:
    page = portal.sign_in(timezone_id="Asia/Tokyo", locale="en-GB")
    time = page.locator("#entries time").first
    # The page before has told the zone.
    assert (time.get_attribute("title") or "").endswith("JST")
    moment = time.get_attribute("datetime")
    shown = page.evaluate(
        """moment => new Intl.DateTimeFormat("en-GB",
          { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Tokyo" }
        ).format(new Date(moment))""",
        moment,
    )
    expect(time).to_have_text(shown)
    page.get_by_role("link", name="Activity", exact=True).click()
    page.get_by_text("Filter").first.click()
    expect(page.get_by_text("in the time zone Asia/Tokyo")).to_be_visible()
