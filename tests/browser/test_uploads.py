"""The upload tray, and tus-js-client behind it."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from tests.support.browser.portal import (
    Portal,
    cancel_unfinished,
    choose_files,
    drop_files,
    drop_tree,
    make_folder,
    sha256_of,
    wait_until_uploaded,
)
from tests.support.browser.proxy import Proxy, proxied
from tests.support.browser.stored import rows, stored_in
from tests.support.portal_process import uploads_daemons, wait_for

MIB = 1024**2
NAME = "Übersicht 概要.bin"


@pytest.fixture
def slow(portal: Portal) -> Iterator[Proxy]:
    with proxied(portal.run.port, rate=4 * MIB) as proxy:
        yield proxy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(os.urandom(MIB) * 24)
    return path


@pytest.fixture
def page(portal: Portal, slow: Proxy, request: pytest.FixtureRequest) -> Page:
    """A folder of the test's own, over a line of 4 MiB a second."""
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    make_folder(page, request.node.name[:60])
    return page


def wait_until_half_sent(proxy: Proxy) -> None:
    start = proxy.sent
    wait_for(lambda: proxy.sent - start > 8 * MIB)


def offsets_of(page: Page) -> list[int]:
    """Note where in the file the pieces begin that the page sends from now on."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


def assert_is_whole(page: Page, file: Path) -> None:
    wait_until_uploaded(page, file.name)
    assert sha256_of(page, file.name) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_dropped_file_goes_on_after_its_connection_was_cut(
    page: Page, slow: Proxy, file: Path
) -> None:
    drop_files(page, file)
    wait_until_half_sent(slow)
    offsets = offsets_of(page)
    slow.cut()
    slow.restore()
    assert_is_whole(page, file)
    assert offsets[-1] > 4 * MIB


def test_upload_goes_on_after_its_connection_went_dead(page: Page, slow: Proxy, file: Path) -> None:
    """After half a minute without a byte, the page asks for another one."""
    choose_files(page, file)
    wait_until_half_sent(slow)
    offsets = offsets_of(page)
    slow.freeze()
    assert_is_whole(page, file)
    assert offsets[-1] > 4 * MIB


def test_upload_goes_on_in_another_tab_after_its_own_was_closed(
    page: Page, slow: Proxy, file: Path
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    address, context = page.url, page.context
    page.close()
    again = context.new_page()
    again.goto(address)
    again.get_by_text("To resume, select or drop it again in the browser that began it.").wait_for()
    offsets = offsets_of(again)
    choose_files(again, file)
    assert_is_whole(again, file)
    assert min(offsets) > 4 * MIB


def test_another_content_of_the_same_size_and_time_does_not_go_on(
    page: Page, slow: Proxy, file: Path
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    address, context, time = page.url, page.context, file.stat().st_mtime_ns
    page.close()
    with file.open("r+b") as changed:
        changed.write(b"changed")
    os.utime(file, ns=(time, time))
    again = context.new_page()
    again.goto(address)
    offsets = offsets_of(again)
    choose_files(again, file)
    assert_is_whole(again, file)
    assert offsets[0] == 0
    cancel_unfinished(again)


def test_file_that_changes_while_it_is_sent_is_to_be_chosen_again(
    page: Page, slow: Proxy, file: Path, portal: Portal
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    file.write_bytes(os.urandom(24 * MIB))
    slow.cut()
    slow.restore()
    said = page.locator("#tray li .said")
    changed = said.get_by_text("The file was changed or removed since it was chosen.")
    changed.wait_for(timeout=10_000)
    page.get_by_role("button", name=f"Retry {NAME}").click()
    changed.wait_for(timeout=10_000)
    assert stored_in(portal.run, page.locator("h1").inner_text()) == {}
    choose_files(page, file)
    assert_is_whole(page, file)
    cancel_unfinished(page)


def test_upload_that_a_closed_tab_has_left_can_be_cancelled(
    page: Page, slow: Proxy, file: Path, portal: Portal
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    address, context = page.url, page.context
    page.close()
    again = context.new_page()
    again.goto(address)
    again.get_by_role("button", name=f"Cancel {NAME}").click()
    expect(again.get_by_text("is not uploaded completely")).to_have_count(0)
    assert rows(portal.run, "SELECT name FROM upload WHERE finished_at IS NULL") == []
    wait_for(lambda: not list((portal.run.data / "incoming/parts").iterdir()))


def test_page_shows_nothing_of_an_upload_that_was_cancelled(
    page: Page, slow: Proxy, file: Path
) -> None:
    before = page.locator("#storage-used").inner_text()
    choose_files(page, file)
    wait_until_half_sent(slow)
    page.locator("#tray").get_by_role("button", name=f"Cancel {NAME}").click()
    expect(page.locator("#tray")).to_be_hidden()
    expect(page.get_by_text("is not uploaded completely")).to_have_count(0)
    expect(page.locator("#storage-used")).to_have_text(before, use_inner_text=True)


def test_upload_goes_on_after_its_daemon_was_killed(
    page: Page, slow: Proxy, file: Path, portal: Portal
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    (killed,) = uploads_daemons(portal.run)
    os.kill(killed, signal.SIGKILL)
    assert_is_whole(page, file)


def test_upload_goes_on_while_other_pages_are_shown(page: Page, slow: Proxy, file: Path) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    folder = page.title()
    page.get_by_role("link", name="Trash", exact=True).click()
    page.get_by_role("heading", name="Trash", level=1).wait_for()
    assert page.url.endswith("/trash")
    page.get_by_label("Uploads", exact=True).get_by_text("of 24 MiB").wait_for()
    page.go_back()
    expect(page).to_have_title(folder)
    assert_is_whole(page, file)


def test_upload_can_be_paused_and_resumed(page: Page, slow: Proxy, file: Path) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    page.get_by_role("button", name=f"Pause {NAME}").click()
    resume = page.get_by_role("button", name=f"Resume {NAME}")
    expect(resume).to_be_focused()
    page.locator("#tray .said").get_by_text(re.compile("^Paused, ")).wait_for()
    resume.press("Enter")
    assert_is_whole(page, file)


def test_cancelled_upload_leaves_nothing(page: Page, slow: Proxy, file: Path) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    page.get_by_role("button", name=f"Cancel {NAME}").click()
    expect(page.get_by_label("Uploads", exact=True)).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "main"
    # Once the server has heard of it, the browser forgets it, too.
    wait_for(lambda: page.evaluate("Object.keys(localStorage).length") == 0)


def test_leaving_is_warned_of_while_something_is_uploaded(
    page: Page, slow: Proxy, file: Path
) -> None:
    choose_files(page, file)
    wait_until_half_sent(slow)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    assert_is_whole(page, file)
    assert asked == ["beforeunload"]


def test_dropped_files_and_folders_are_uploaded(portal: Portal, tmp_path: Path) -> None:
    page = portal.sign_in()
    make_folder(page, "Dropped")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"content of {name}")
    drop_files(page, tmp_path / "a.txt", tmp_path / "b.txt")
    wait_until_uploaded(page, "a.txt")
    wait_until_uploaded(page, "b.txt")
    folder = tmp_path / "Trip" / "day 1"
    folder.mkdir(parents=True)
    (folder / "c.txt").write_text("c")
    page.get_by_label("Folder from this device").set_input_files(tmp_path / "Trip")
    trip = page.locator("#entries").get_by_role("link", name="Trip", exact=True)
    trip.wait_for()
    drop_files(page, tmp_path / "b.txt", onto="#entries .icon.folder")  # into it, not beside it
    page.locator("#tray li[data-state=done]").nth(3).wait_for()
    trip.click()
    page.get_by_role("link", name="day 1", exact=True).click()
    page.get_by_role("link", name="c.txt", exact=True).wait_for()
    stored = {path for path, sha256 in stored_in(portal.run, "Dropped").items() if sha256}
    assert stored == {"a.txt", "b.txt", "Trip/b.txt", "Trip/day 1/c.txt"}  # each once


def test_tray_says_the_other_name_that_a_file_got(portal: Portal, tmp_path: Path) -> None:
    page = portal.sign_in()
    make_folder(page, "Taken")
    path = tmp_path / "Übung.txt"
    for content in ("1", "22"):
        path.write_text(content)
        choose_files(page, path)
        if content == "22":
            page.get_by_role("button", name="Keep both").click()
        page.locator("#tray li[data-state=done]").nth(len(content) - 1).wait_for()
    said = page.locator("#tray li[data-state=done] .said").all_inner_texts()
    assert said == ["Done, 1 byte", "Done, 2 bytes. Stored as Übung (2).txt"]
    stored = rows(portal.run, "SELECT name, size FROM entry WHERE name GLOB 'Übung*'")
    assert sorted(stored) == [("Übung (2).txt", 2), ("Übung.txt", 1)]
    drop_tree(page, {"Übung.txt": {"Empty": {}, "a": "1"}})
    page.locator("#tray li[data-state=done]").nth(3).wait_for()
    said = page.locator("#tray li[data-state=done] .said").all_inner_texts()
    assert sorted(said[2:]) == [
        "Done, 1 byte. Stored as Übung (3).txt/a",
        "Folder created as Übung (3).txt/Empty",
    ]
    inside = {path for path in stored_in(portal.run, "Taken") if "/" in path}
    assert inside == {f"Übung (3).txt/{path}" for path in ("", "a", "Empty/")}


def test_what_does_not_fit_says_the_limit_and_the_cure(portal: Portal, tmp_path: Path) -> None:
    page = portal.sign_in("bob")
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(600 * MIB)
    choose_files(page, path)
    said = page.locator("#tray li[data-state=failed] .said")
    said.wait_for()
    limit = "This needs more than all the space that your account has: 20 MiB."
    assert said.inner_text().startswith(limit)
    assert limit in page.get_by_role("alert").inner_text()
    clear = page.get_by_role("button", name="Clear finished")
    expect(clear).to_be_hidden()
    small = tmp_path / "small.txt"
    small.write_text("small")
    choose_files(page, small)
    wait_until_uploaded(page, "small.txt")
    clear.click()
    expect(page.locator("#tray li")).to_have_count(1)  # what failed stays
    expect(clear).to_be_hidden()
    page.get_by_role("button", name="Cancel large.bin").click()
    expect(page.get_by_label("Uploads", exact=True)).to_be_hidden()


def test_1_gib_takes_little_memory(portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(1024 * MIB)
    page = portal.sign_in()
    make_folder(page, "Large")
    choose_files(page, tmp_path / "large.bin")
    page.locator("#tray li[data-state=running]").wait_for()
    before, most = memory(portal), 0
    while page.locator("#tray li[data-state=running]").count():
        most = max(most, memory(portal))
        page.wait_for_timeout(100)
    wait_until_uploaded(page, "large.bin")
    assert most - before < 32 * MIB


def memory(portal: Portal) -> int:
    """Return how much the process for uploads has in memory."""
    (daemon,) = uploads_daemons(portal.run)
    pages = int(Path(f"/proc/{daemon}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
