"""Files whose names are taken: asked about, replaced, and given what they held before."""

from __future__ import annotations

import hashlib
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser.portal import (
    Portal,
    choose_files,
    drop_files,
    make_folder,
    sha256_of,
    wait_until_uploaded,
)
from tests.support.browser.stored import assert_consistent, rows, stored_in

OLD, NEW, OTHER = b"What it held.\n", b"What it holds now, which is longer.\n", b"Another one.\n"
_HELD = """
SELECT version.sha256 FROM entry version JOIN entry file ON file.id = version.version_of
JOIN entry folder ON folder.id = file.parent_id WHERE folder.name = ? ORDER BY version.id
"""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def held(portal: Portal, folder: str) -> list[str]:
    """Return the hashes of what a folder's files held before."""
    return [sha256 for (sha256,) in rows(portal.run, _HELD, folder)]


def answer(page: Page, button: str, *, is_for_all: bool = True) -> None:
    asked = page.get_by_role("dialog", name="This name is taken")
    expect(asked).to_be_visible()
    if not is_for_all:
        asked.get_by_role("checkbox").uncheck()
    asked.get_by_role("button", name=button, exact=True).click()


def wait_until_done(page: Page, count: int) -> None:
    said = f"Uploaded {count} of {count}"
    expect(page.locator("#tray h2")).to_have_text(said, timeout=30_000)
    page.wait_for_load_state("networkidle")


def test_dropped_file_replaces_another_one_that_is_restored(portal: Portal, tmp_path: Path) -> None:
    page = portal.sign_in()
    make_folder(page, "Replaced")
    file = tmp_path / "a.txt"
    for content in (OLD, NEW):
        file.write_bytes(content)
        drop_files(page, file)
        if content is NEW:
            answer(page, "Replace")
        wait_until_uploaded(page, "a.txt")
    wait_until_done(page, 2)
    assert page.locator("#entries tbody tr").count() == 1
    assert stored_in(portal.run, "Replaced") == {"a.txt": digest(NEW)}
    assert held(portal, "Replaced") == [digest(OLD)]

    assert sha256_of(page, "a.txt") == digest(NEW)
    version = page.locator("#versions li")
    expect(version).to_have_count(1)
    expect(version.locator("code")).to_have_text(digest(OLD))
    with page.expect_download() as download:
        version.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == OLD
    button = version.get_by_role("button", name="Restore")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Version of a.txt restored").wait_for()
    expect(page.locator("dl.facts code")).to_have_text(digest(OLD))
    expect(version.locator("code")).to_have_text(digest(NEW))
    assert stored_in(portal.run, "Replaced") == {"a.txt": digest(OLD)}
    assert held(portal, "Replaced") == [digest(NEW)]
    assert_consistent(portal.run)

    version.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete permanently").click()
    page.get_by_text("Version of a.txt deleted").wait_for()
    assert held(portal, "Replaced") == []
    assert_consistent(portal.run)


def test_each_taken_name_is_asked_about_or_all_at_once(portal: Portal) -> None:
    """By the keyboard, too; whatever else is selected with them is uploaded."""
    page = portal.sign_in()
    make_folder(page, "Several")

    def choose(content: bytes, *names: str) -> None:
        given = [{"name": name, "mimeType": "text/plain", "buffer": content} for name in names]
        choose_files(page, *given)

    choose(OLD, "1.txt", "2.txt", "3.txt")
    wait_until_done(page, 3)
    choose(NEW, "1.txt", "2.txt", "3.txt", "new.txt")
    answer(page, "Keep both", is_for_all=False)
    expect(page.get_by_role("dialog").get_by_text("2.txt")).to_be_visible()
    answer(page, "Replace", is_for_all=False)
    expect(page.get_by_role("dialog").get_by_text("3.txt")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Do the same")).to_be_hidden()
    page.keyboard.press("Escape")  # which skips it
    wait_until_done(page, 6)
    old, new = digest(OLD), digest(NEW)
    expected = {"1.txt": old, "1 (2).txt": new, "2.txt": new, "3.txt": old, "new.txt": new}
    assert stored_in(portal.run, "Several") == expected
    assert held(portal, "Several") == [old]
    choose(OTHER, "1.txt", "2.TXT", "new.txt")
    answer(page, "Replace")
    wait_until_done(page, 9)
    other = dict.fromkeys(["1.txt", "2.txt", "new.txt"], digest(OTHER))
    assert stored_in(portal.run, "Several") == expected | other
    assert sorted(held(portal, "Several")) == sorted([old, old, new, new])
    assert_consistent(portal.run)


def test_form_without_javascript_replaces(portal: Portal) -> None:
    page = portal.sign_in(java_script_enabled=False)
    make_folder(page, "Plainly replaced")
    for content in (OLD, NEW):
        choose_files(page, {"name": "a.txt", "mimeType": "text/plain", "buffer": content})
        page.get_by_label("If a name is taken").select_option("replace")
        page.get_by_role("button", name="Upload files").click()
        page.get_by_role("link", name="a.txt", exact=True).wait_for()
    page.get_by_text("Replaced: a.txt").wait_for()
    assert stored_in(portal.run, "Plainly replaced") == {"a.txt": digest(NEW)}
    assert held(portal, "Plainly replaced") == [digest(OLD)]
