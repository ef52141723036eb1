"""Rows of a list: opened, selected, moved, renamed, deleted in few steps, on one page."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect

from tests.support.browser.layout import moved
from tests.support.browser.portal import (
    Portal,
    choose_files,
    make_folder,
    wait_for_scripts,
    wait_until_uploaded,
)
from tests.support.browser.stored import rows, stored_in

LONG = "Minutes of the third meeting of the committee on finance, 2026.pdf"
PHONE = {"width": 390, "height": 844}

UNTIL_NOTHING_IS_OVER = """() => new Promise((resolve) => {
  const look = () => (history.state?.over ? setTimeout(look, 20) : resolve());
  look();
})"""
PRESS_DELETE_TWICE = """() => {
  const pressed = () => new KeyboardEvent("keydown", { key: "Delete", bubbles: true });
  for (let time = 0; time < 2; time++) document.activeElement.dispatchEvent(pressed());
}"""


class Steps:
    """What somebody does on a page, and how many pages are loaded for it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.taken = self.pages = 0
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        self.pages += request.is_navigation_request()

    def click(self, wanted: Locator, **how: Any) -> None:
        self.taken += 1
        wanted.click(**how)

    def press(self, key: str) -> None:
        self.taken += 1
        self.page.keyboard.press(key)

    def drag(self, dragged: Locator, onto: Locator) -> None:
        self.taken += 1
        dragged.drag_to(onto)

    def were(self, most: int, pages: int = 0) -> None:
        """Check what was needed since the last time."""
        assert (self.taken <= most, self.pages) == (True, pages), (self.taken, self.pages)
        self.taken = self.pages = 0


def link(page: Page, name: str) -> Locator:
    return page.locator("#entries").get_by_role("link", name=name, exact=True)


def message(page: Page, text: str) -> Locator:
    return page.locator(".toast").get_by_text(text)


def item(page: Page, name: str) -> Locator:
    return page.get_by_role("menuitem", name=name)


def menu(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=f"Actions for {name}", exact=True)


def fill(page: Page, folder: str, *names: str, folders: int = 0) -> None:
    """Open a folder of the test's own, with some files and folders."""
    make_folder(page, folder)
    here = page.url
    for number in range(folders):
        make_folder(page, f"Inner {number}")
        page.goto(here)
    choose_files(page, *(file(name) for name in names))
    for name in names:
        wait_until_uploaded(page, name)
    page.reload()


def file(name: str) -> Any:
    return {"name": name, "mimeType": "text/plain", "buffer": name.encode()}


def names_in(portal: Portal, folder: str) -> set[str]:
    return set(stored_in(portal.run, folder))


def test_files_are_moved_by_one_drag_or_three_keys(portal: Portal) -> None:
    page = portal.sign_in()
    page.set_viewport_size({"width": 1280, "height": 500})
    fill(page, "Moved", "a.txt", "b.txt", "c.txt", LONG, folders=2)
    page.evaluate("scrollTo(0, 200)")
    top = page.evaluate("scrollY")
    steps = Steps(page)
    steps.drag(link(page, LONG), link(page, "Inner 1"))
    message(page, "Moved to Inner 1").wait_for()
    steps.were(1)
    assert page.evaluate("scrollY") == top > 0
    assert f"Inner 1/{LONG}" in names_in(portal, "Moved")
    expect(link(page, LONG)).to_have_count(0)
    steps.click(page.get_by_role("button", name="Undo"))
    link(page, LONG).wait_for()
    steps.were(1)
    assert LONG in names_in(portal, "Moved")

    for name in ("a.txt", "b.txt"):
        page.get_by_label(f"Select {name}").check()
    steps.drag(link(page, "a.txt"), link(page, "Inner 0"))
    message(page, "Moved to Inner 0: 2 items").wait_for()
    steps.were(1)
    inside = {"Inner 0/", "Inner 1/", "Inner 0/a.txt", "Inner 0/b.txt", "c.txt", LONG}
    assert names_in(portal, "Moved") == inside

    # A folder onto itself goes nowhere, and onto the path to this one, up.
    link(page, "Inner 0").drag_to(page.get_by_role("row", name="Inner 0").locator("td.time"))
    page.get_by_label("Select c.txt").focus()
    steps.press("m")
    page.get_by_role("heading", name="Move c.txt").wait_for()
    wait_for_scripts(page)
    steps.press("i")
    expect(page.locator(".folders li").nth(1).get_by_role("button")).to_be_focused()
    steps.press("Enter")
    said = page.get_by_role("status").filter(has_text="Moved to Inner 1: c.txt")
    said.get_by_role("link", name="Open Inner 1").wait_for()
    steps.were(3, pages=3)  # where to, the form, and back
    assert "Inner 1/c.txt" in names_in(portal, "Moved")
    link(page, "Inner 1").click()
    page.get_by_role("heading", name="Inner 1").wait_for()
    steps.were(3, pages=1)
    steps.drag(link(page, "c.txt"), page.get_by_role("link", name="Moved", exact=True))
    message(page, "Moved to Moved").wait_for()
    steps.were(1)
    assert names_in(portal, "Moved") == inside


def test_renaming_deleting_and_restoring_take_two_clicks(portal: Portal) -> None:
    page = portal.sign_in()
    fill(page, "Renamed", "a.txt", "b.txt", LONG)
    steps = Steps(page)
    steps.click(menu(page, LONG))
    steps.click(item(page, "Rename"))
    field = page.get_by_label(f"New name of {LONG}")
    expect(field).to_be_focused()
    page.keyboard.type("New")  # the type is not selected
    for wrong, problem in (("x/y.pdf", "cannot contain"), ("B.txt", "is taken"), ("", "Enter a")):
        field.fill(wrong)
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text=problem).wait_for()
        assert names_in(portal, "Renamed") == {"a.txt", "b.txt", LONG}
    field.fill("New.pdf")
    page.keyboard.press("Enter")
    expect(link(page, "New.pdf")).to_be_focused()
    steps.were(2)
    assert names_in(portal, "Renamed") == {"a.txt", "b.txt", "New.pdf"}
    steps.press("F2")
    page.keyboard.type("Newer")
    page.keyboard.press("Escape")
    expect(link(page, "New.pdf")).to_be_focused()
    steps.press("F2")
    page.keyboard.type("Newest")
    page.keyboard.press("Enter")
    expect(link(page, "Newest.pdf")).to_be_focused()
    steps.were(2)
    for name, selected in (
        ("Newest.tar.gz", "Newest"),
        ("Newest 1.2.pdf", "Newest 1.2"),
        ("Newest.pdf", "Newest"),
    ):
        page.keyboard.press("F2")
        page.keyboard.press("Control+a")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(link(page, name)).to_be_focused()
        page.keyboard.press("F2")
        assert page.evaluate("getSelection().toString()") == selected
        page.keyboard.press("Escape")

    here = page.url
    for close in (page.go_back, lambda: page.keyboard.press("Escape")):
        menu(page, "a.txt").click()
        item(page, "Move to trash").wait_for()
        close()
        item(page, "Move to trash").wait_for(state="hidden")
        page.evaluate(UNTIL_NOTHING_IS_OVER)
        assert page.url == here
    steps.click(menu(page, "a.txt"))
    steps.click(item(page, "Move to trash"))
    message(page, "Moved to the trash: a.txt").wait_for()
    steps.were(2)
    assert names_in(portal, "Renamed") == {"b.txt", "Newest.pdf"}
    expect(menu(page, "b.txt")).to_be_focused()  # the next
    steps.click(page.get_by_role("button", name="Undo"))
    link(page, "a.txt").wait_for()
    steps.were(1)
    page.keyboard.press("Control+a")
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.extend([request.url] * (request.method == "POST"))

    page.on("request", note)
    steps.taken += 1
    page.evaluate(PRESS_DELETE_TWICE)
    page.get_by_role("heading", name="No files here yet").wait_for()
    steps.were(1)
    assert not names_in(portal, "Renamed")
    assert len(sent) == 1
    steps.click(page.get_by_role("link", name="Trash", exact=True))
    steps.click(page.get_by_role("button", name="Restore b.txt"))
    link(page, "b.txt").wait_for()
    steps.were(2, pages=3)
    assert names_in(portal, "Renamed") == {"b.txt"}

    # Another tab is faster.
    other = page.context.new_page()
    other.goto(page.url)
    menu(other, "b.txt").click()
    item(other, "Move to trash").click()
    message(other, "Moved to the trash: b.txt").wait_for()
    link(page, "b.txt").focus()
    steps.press("F2")
    page.keyboard.type("Typed")
    sent.clear()
    steps.press("Enter")
    message(page, "b.txt is not here any more").wait_for()
    page.get_by_role("heading", name="No files here yet").wait_for()
    steps.were(2)
    assert len(sent) == 1
    assert not names_in(portal, "Renamed")


def test_rows_open_and_are_selected_by_pointer_and_keys(portal: Portal) -> None:
    page = portal.sign_in()
    # Some time before the key is pressed: the browser hears of it in its own time.
    page.on("filechooser", lambda _: None)
    names = [f"{number}.txt" for number in range(5)]
    fill(page, "Pointed at", *names, folders=1)
    cell = page.locator("#entries tbody tr").locator("td.time")
    selected = page.get_by_label(re.compile("^Select ")).and_(page.locator(":checked"))
    cell.nth(1).click()
    page.get_by_role("dialog").get_by_role("heading", name="0.txt").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    cell.nth(1).click(modifiers=["Control"])
    link(page, "3.txt").click(modifiers=["Shift"])
    expect(selected).to_have_count(4)
    cell.nth(2).click(modifiers=["Control"])
    expect(selected).to_have_count(3)
    page.keyboard.press("Escape")
    expect(selected).to_have_count(0)
    with page.context.expect_page() as other:
        link(page, "Inner 0").click(button="middle")
    other.value.get_by_role("heading", name="Inner 0").wait_for()
    other.value.close()
    box = cell.nth(2).bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 20)
    page.mouse.up()
    assert page.evaluate("getSelection().toString().length") > 2
    page.evaluate("getSelection().empty()")

    cell.nth(2).click(button="right")
    expect(item(page, "Open")).to_be_focused()
    for key, name in (
        ("ArrowDown", "Share"),
        ("End", "Move to trash"),
        ("d", "Download"),
        ("d", "Details"),
    ):
        page.keyboard.press(key)
        expect(item(page, name)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)

    link(page, "Inner 0").focus()
    for key, name in (("j", "0.txt"), ("ArrowDown", "1.txt"), ("k", "0.txt")):
        page.keyboard.press(key)
        expect(link(page, name)).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    expect(selected).to_have_count(2)
    page.keyboard.press("x")
    expect(selected).to_have_count(1)
    page.keyboard.press("Space")
    expect(selected).to_have_count(2)
    for key in ("s", "F2", "d"):
        page.keyboard.press(key)
        message(page, "This is for one item at a time").wait_for()
        expect(page.locator("#tray-alert")).to_contain_text("one item")
        page.get_by_role("button", name="Close the message").click()
        expect(page.locator("#main")).to_be_focused()
        link(page, "1.txt").focus()
    page.keyboard.press("Space")
    expect(selected).to_have_count(1)
    for key in ("Alt+x", "Control+j"):  # somebody else's
        page.keyboard.press(key)
    expect(link(page, "1.txt")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("nxs?")
    expect(page.get_by_label("Search all my files")).to_have_value("nxs?")
    expect(selected).to_have_count(1)
    page.get_by_role("link", name="My files").focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.get_by_label("Use keys that are single letters").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("n")
    expect(page.get_by_label("Name of the new folder")).to_be_hidden()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_label("Use keys that are single letters").check()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.get_by_label("Name of the new folder")).to_be_focused()
    for name in ("..", "New"):
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        message(page, "cannot be" if name == ".." else "Folder created").wait_for()
        if name == "..":
            expect(page.get_by_label("Name of the new folder")).to_be_focused()
            page.keyboard.press("Control+a")
    expect(link(page, "New")).to_be_focused()
    expect(page.get_by_label("Name of the new folder")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(selected).to_have_count(0)
    page.keyboard.press("Delete")
    message(page, "Moved to the trash: New").wait_for()
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(link(page, "New")).to_be_focused()
    page.keyboard.press("Delete")
    message(page, "Moved to the trash: New").wait_for()
    menu(page, "Inner 0").click()
    item(page, "Request files").click()
    page.get_by_role("dialog").get_by_role("heading", name="Request files").wait_for()
    page.keyboard.press("Escape")
    menu(page, "1.txt").click()
    expect(item(page, "Request files")).to_be_hidden()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="My files").focus()
    with page.expect_file_chooser():
        page.keyboard.press("u")
    link(page, "1.txt").focus()
    page.keyboard.press("s")
    page.get_by_role("dialog").get_by_role("heading", name="Share a file").wait_for()
    assert names_in(portal, "Pointed at") == {"Inner 0/", *names}


def test_list_stays_as_it_was_and_does_not_move(portal: Portal) -> None:
    page = portal.sign_in()
    fill(page, "Remembered", "a.txt", "bb.txt", LONG)
    page.get_by_role("link", name="Size").click()
    page.get_by_role("link", name="Size").click()
    page.get_by_role("button", name="Grid").click()
    expect(page.locator("#entries[data-view=grid]")).to_be_visible()
    page.get_by_role("link", name="My files").click()
    page.get_by_role("link", name="Remembered", exact=True).click()
    plain = portal.context(java_script_enabled=False)
    plain.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    other = plain.new_page()
    for one in (page, other):
        one.goto(page.url.partition("?")[0])
        expect(one.locator("#entries[data-view=grid]")).to_be_visible()
        found = one.locator("#entries tbody th a").evaluate_all(
            "all => all.map(a => a.textContent)"
        )
        assert found == [LONG, "bb.txt", "a.txt"]
    other.get_by_role("button", name="List", exact=True).click()
    expect(other.get_by_role("button", name="List", exact=True, pressed=True)).to_be_visible()
    expect(other.locator("#entries[data-view=list]")).to_be_visible()
    other.get_by_role("row", name="a.txt").get_by_role("link", name="Details").click()
    other.get_by_role("heading", name="Rename").wait_for()

    page.keyboard.press("v")
    for size in ({"width": 1280, "height": 800}, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.reload()
        page.wait_for_load_state("networkidle")
        assert moved(page) == 0
        name = link(page, LONG)
        shown = name.locator("span")
        assert shown.last.inner_text().endswith("2026.pdf")
        assert (name.get_attribute("title"), name.inner_text().count("\n") < 2) == (LONG, True)
    assert shown.first.evaluate("one => one.scrollWidth > one.clientWidth")
    assert shown.last.evaluate("one => one.scrollWidth <= one.clientWidth")


PASTE = """([kind, name]) => {
  const data = new DataTransfer();
  if (kind === "file") data.items.add(new File(["pasted"], name, { type: "image/png" }));
  else data.setData("text/plain", name);
  const event = { clipboardData: data, bubbles: true, cancelable: true };
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", event));
}"""


def test_phone_shows_files_at_once_and_takes_what_is_pasted(portal: Portal) -> None:
    page = portal.sign_in(viewport=PHONE, has_touch=True)
    fill(page, "On a phone", "a.txt")
    assert page.locator("#entries tbody tr").first.bounding_box()["y"] <= 300  # type: ignore[index]
    tray = page.locator("#tray")
    for kind, name in (("text", "only text"), ("file", "image.png"), ("file", "Plan.png")):
        page.evaluate(PASTE, [kind, name])
    wait_until_uploaded(page, "Plan.png")
    heading = tray.get_by_role("heading", name="Uploaded 2 of 2")
    expect(heading).to_be_in_viewport()
    assert tray.bounding_box()["height"] <= 64  # type: ignore[index]
    stored = names_in(portal, "On a phone") - {"a.txt", "Plan.png"}
    assert re.fullmatch(r"\{'Screenshot \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png'\}", str(stored))
    page.get_by_label("Search all my files").focus()
    page.evaluate(PASTE, ["file", "image.png"])  # while somebody types
    tray.get_by_role("button", name="Show the list").click()
    tray.locator("ul").evaluate("list => list.scrollTo(0, 1000)")
    expect(heading).to_be_in_viewport()
    tray.get_by_role("button", name="Clear finished").click()

    steps = Steps(page)
    steps.click(menu(page, "a.txt"))
    steps.click(item(page, "Move to trash"))
    message(page, "Moved to the trash: a.txt").wait_for()
    steps.were(2)
    steps.click(page.get_by_role("button", name="More"))
    page.get_by_text("New folder", exact=True).click()
    page.get_by_label("Name of the new folder").fill("Made here")
    page.keyboard.press("Enter")
    link(page, "Made here").wait_for()
    assert names_in(portal, "On a phone") == {"Made here/", "Plan.png", *stored}
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert rows(portal.run, "SELECT count(*) FROM upload WHERE finished_at IS NULL") == [(0,)]
