"""Many uploads, whatever is pressed and whatever breaks meanwhile: what is stored in the end."""

from __future__ import annotations

import hashlib
import os
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Page, Request, Route, expect

from tests.support.browser.portal import (
    Portal,
    cancel_unfinished,
    choose_action,
    choose_files,
    drop_tree,
    make_folder,
    sign_in,
    wait_until_uploaded,
)
from tests.support.browser.proxy import Proxy, proxied
from tests.support.browser.stored import assert_consistent, rows, stored_in
from tests.support.portal_process import wait_for

MIB = 1024**2
Files = Mapping[str, bytes]


@pytest.fixture
def slow(portal: Portal) -> Iterator[Proxy]:
    with proxied(portal.run.port, rate=4 * MIB) as proxy:
        yield proxy


def some_files(count: int, size: int = 0) -> Files:
    """Make files of their own content, the first one empty where no size is given."""
    return {f"{n:03}.bin": os.urandom(size) if size else b"%d" % n * n for n in range(count)}


def choose(page: Page, files: Files) -> None:
    payload = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, content in files.items()
    ]
    choose_files(page, *payload)


def hashes(files: Files) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def wait_until_ended(page: Page) -> None:
    expect(page.locator("#tray h2")).to_have_text(re.compile("^Uploaded "), timeout=120_000)


_UPLOAD, _TAKEN = re.compile("/uploads/(?!taken/)"), re.compile("/uploads/taken/")


def requests_of(page: Page, kind: re.Pattern[str] = _UPLOAD) -> Counter[str]:
    """Count the requests of a kind that a page sends from now on, by their methods."""
    found: Counter[str] = Counter()

    def note(request: Request) -> None:
        if kind.search(request.url):
            found[request.method] += 1

    page.on("request", note)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 12, 300])
def test_each_of_many_files_is_stored_once(count: int, portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, f"{count} at once")
    files, sent, asked = some_files(count), requests_of(page), requests_of(page, _TAKEN)
    choose(page, files)
    wait_until_ended(page)
    assert stored_in(portal.run, f"{count} at once") == hashes(files)
    # Small files go together, and are complete with one request.
    assert sent == Counter({"POST": -(-count // 64)})
    assert asked == Counter({"POST": 1})  # before that, which of their names are taken
    expect(page.locator("#entries tbody tr")).to_have_count(min(count, 100))
    expect(page.get_by_role("link", name="Download all as ZIP")).to_be_visible()
    assert_consistent(portal.run)


def test_empty_folders_are_created_where_they_are_dropped(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "With empty ones")
    trip = {"Empty": {}, "day 1": {"Inner": {}, "a.txt": "a"}}
    drop_tree(page, {"Alone": {}, "Trip": trip, "b": "b"})
    wait_until_ended(page)
    folders = ("Alone/", "Trip/", "Trip/Empty/", "Trip/day 1/", "Trip/day 1/Inner/")
    empty = dict.fromkeys(folders, "")
    files = hashes({"b": b"b", "Trip/day 1/a.txt": b"a"})
    assert stored_in(portal.run, "With empty ones") == empty | files
    page.locator("#entries").get_by_role("link", name="Alone", exact=True).wait_for()


@pytest.mark.parametrize(("seed", "size"), [(1, MIB // 2), (2, MIB // 2), (3, MIB // 5)])
def test_whatever_is_pressed_each_file_is_stored_once_or_not_at_all(
    seed: int, size: int, portal: Portal, slow: Proxy
) -> None:
    """Buttons are pressed at random while the line is cut now and then."""
    chosen = random.Random(seed)  # noqa: S311  (repeatable)
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    make_folder(page, f"Pressed {seed}")
    files = some_files(12, size)
    cancelled: set[str] = set()
    choose(page, files)
    for _ in range(40):
        action = chosen.choice(["pause", "resume", "resume", "retry", "cancel", "cut", "wait"])
        if action == "cut":
            slow.cut()
            slow.restore()
        elif action == "wait":
            page.wait_for_timeout(chosen.randrange(200))
        elif action != "cancel" or len(cancelled) < 4:
            name = page.evaluate(PRESS, [action, chosen.random()])
            cancelled |= {name} if name and action == "cancel" else set()
    while left := page.locator("#tray li:not([data-state=done])").count():
        for action in ("resume", "retry"):
            page.evaluate(PRESS, [action, 0])
        page.wait_for_timeout(50)
        assert left
    stored = stored_in(portal.run, f"Pressed {seed}")
    wanted = hashes(files)
    # What is cancelled at its very end may be there.
    assert wanted.items() >= stored.items()
    assert wanted.keys() - cancelled <= stored.keys()
    # What was cancelled, whenever that was, takes no space.
    begun = """SELECT upload.name FROM upload JOIN entry ON entry.id = folder_id
        WHERE finished_at IS NULL AND entry.name = ?"""
    wait_for(lambda: rows(portal.run, begun, f"Pressed {seed}") == [])
    assert_consistent(portal.run)


PRESS = """([action, which]) => {
  const buttons = [...document.querySelectorAll(`#tray [data-action=${action}]:not([hidden])`)];
  const button = buttons[Math.floor(which * buttons.length)];
  const name = button?.closest("li").querySelector(".name").textContent;
  button?.click();
  return name;
}"""
"""Press one of the tray's buttons, and return the file's name."""


def offset_and_size(portal: Portal, name: str) -> tuple[int, int]:
    """Return what has arrived of an unfinished upload, and its size."""
    query = "SELECT arrived, size FROM upload WHERE name = ? AND finished_at IS NULL"
    ((arrived, size),) = rows(portal.run, query, name)
    return arrived, size


def end_sessions(portal: Portal) -> None:
    with closing(sqlite3.connect(portal.run.data / "portal.db", timeout=30)) as database:
        database.execute("DELETE FROM sign_in")
        database.commit()


def offsets_of(page: Page) -> list[int]:
    """Note where in the file the pieces begin that the page sends from now on."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


def test_upload_goes_on_where_it_was_after_its_session_ended(portal: Portal, slow: Proxy) -> None:
    url = f"http://127.0.0.1:{slow.port}"
    page = portal.sign_in(url=url)
    make_folder(page, "Ended session")
    folder, content = page.url, os.urandom(12 * MIB)
    start = slow.sent
    choose(page, {"long.bin": content})
    wait_for(lambda: slow.sent - start > 5 * MIB)
    page.get_by_role("button", name="Pause long.bin").click()
    wait_for(lambda: offset_and_size(portal, "long.bin")[0] > 3 * MIB)
    end_sessions(portal)
    page.get_by_role("button", name="Resume long.bin").click()
    page.get_by_role("alert").get_by_text("You are signed out.").wait_for()
    offsets, before = offsets_of(page), offset_and_size(portal, "long.bin")
    # In this tab: the person lands in the folder, and the upload goes on there.
    page.locator("#tray").get_by_role("link", name="Sign in").click()
    page.wait_for_url("**/sign-in?*")
    page.get_by_label("Name", exact=True).fill("alice")
    page.get_by_label("Password").fill(portal.run.password("alice"))
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Ended session", level=1).wait_for()
    assert page.url == folder
    wait_until_uploaded(page, "long.bin")
    assert offsets[0] == before[0]
    assert stored_in(portal.run, "Ended session") == hashes({"long.bin": content})
    assert rows(portal.run, "SELECT 1 FROM upload WHERE name = 'long.bin'") == [(1,)]


def paused(portal: Portal, slow: Proxy, folder: str, name: str) -> tuple[Page, bytes]:
    """Begin an upload of 8 MiB over the slow line, and pause it in the middle."""
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    make_folder(page, folder)
    content, start = os.urandom(8 * MIB), slow.sent
    choose(page, {name: content})
    wait_for(lambda: slow.sent - start > 2 * MIB)
    page.get_by_role("button", name=f"Pause {name}").click()
    return page, content


def test_upload_goes_on_by_itself_after_a_sign_in_in_another_tab(
    portal: Portal, slow: Proxy
) -> None:
    url = f"http://127.0.0.1:{slow.port}"
    page, content = paused(portal, slow, "Other tab", "tab.bin")
    end_sessions(portal)
    other = page.context.new_page()
    sign_in(other, url, "alice", portal.run.password("alice"))
    # The token of the page is another session's.
    offsets = offsets_of(page)
    page.get_by_role("button", name="Resume tab.bin").click()
    wait_until_uploaded(page, "tab.bin")
    assert min(offsets) > 0
    assert stored_in(portal.run, "Other tab") == hashes({"tab.bin": content})
    assert rows(portal.run, "SELECT 1 FROM upload WHERE name = 'tab.bin'") == [(1,)]


def test_upload_waits_while_somebody_else_is_signed_in(portal: Portal, slow: Proxy) -> None:
    """What has arrived is not forgotten: it goes on once its own account is back."""
    url = f"http://127.0.0.1:{slow.port}"
    page, content = paused(portal, slow, "Shared machine", "mine.bin")
    other = page.context.new_page()
    for name in ("bob", "alice"):
        other.goto(url)
        other.get_by_role("button", name="Sign out").click()
        other.get_by_text("You are signed out.").wait_for()
        sign_in(other, url, name, portal.run.password(name))
        if name == "bob":
            drop_tree(page, {"Empty": {}})
            page.get_by_role("button", name="Resume mine.bin").click()
            said = "bob is signed in now. Sign out, sign in as alice, and the upload resumes."
            expect(page.locator("#tray .said").get_by_text(said)).to_have_count(2)
            page.evaluate("dispatchEvent(new Event('focus'))")  # which changes nothing yet
            expect(page.locator("#tray .said").get_by_text(said)).to_have_count(2)
            expect(page.get_by_role("link", name="Sign in")).to_be_hidden()
            offsets = offsets_of(page)
    page.evaluate("dispatchEvent(new Event('focus'))")
    wait_until_uploaded(page, "mine.bin")
    assert min(offsets) > 0
    assert stored_in(portal.run, "Shared machine") == hashes({"mine.bin": content}) | {"Empty/": ""}
    assert rows(portal.run, "SELECT 1 FROM upload WHERE name = 'mine.bin'") == [(1,)]


def test_an_upload_that_another_tab_cancelled_is_not_sent_again(
    portal: Portal, slow: Proxy
) -> None:
    url = f"http://127.0.0.1:{slow.port}"
    page, _ = paused(portal, slow, "Cancelled elsewhere", "gone.bin")
    wait_for(lambda: offset_and_size(portal, "gone.bin")[0] > MIB)
    other = page.context.new_page()
    other.goto(f"{url}/unfinished")
    other.get_by_role("button", name="Cancel gone.bin").click()
    other.get_by_text("Upload of gone.bin cancelled.").wait_for()
    page.get_by_role("button", name="Resume gone.bin").click()
    said = "This upload was cancelled. Choose the file again to send it."
    page.locator("#tray .said").get_by_text(said).wait_for()
    assert rows(portal.run, "SELECT 1 FROM upload WHERE name = 'gone.bin'") == []
    choose(page, {"gone.bin": b"another one"})
    expect(page.locator("#tray li[data-state=done] .name")).to_have_text("gone.bin")
    assert stored_in(portal.run, "Cancelled elsewhere") == hashes({"gone.bin": b"another one"})


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("is_paused", [False, True])
def test_a_small_file_that_was_stored_before_it_was_cancelled_is_told(
    count: int, is_paused: bool, portal: Portal
) -> None:
    """Its request has been done, and the answer is on its way."""
    page = portal.sign_in()
    folder = f"{count} answered late, {'paused' if is_paused else 'running'}"
    make_folder(page, folder)
    files = some_files(count, 300)
    page.route(_UPLOAD, lambda route: route.fetch() and None, times=1)
    choose(page, files)
    while stored_in(portal.run, folder) != hashes(files):
        page.wait_for_timeout(50)  # in which the request is handed on
    if is_paused:
        page.get_by_role("button", name="Pause 000.bin").click()
    page.get_by_role("button", name="Cancel 000.bin").click()
    said = "000.bin was uploaded before it was cancelled."
    page.get_by_role("alert").get_by_text(said).wait_for()
    expect(page.locator("#entries").get_by_role("link", name="000.bin", exact=True)).to_be_visible()


@pytest.mark.parametrize("is_late", [False, True])
def test_two_tabs_at_once_and_a_reload_store_each_file_once(
    is_late: bool, portal: Portal, slow: Proxy, tmp_path: Path
) -> None:
    """The other one is late where the first has stored all before it begins."""
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    folder = f"Two tabs, one {'late' if is_late else 'beside the other'}"
    make_folder(page, folder)
    files, start = some_files(2, 16 * MIB), slow.sent
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_bytes(files[path.name])
    choose_files(page, *paths)
    wait_for(lambda: slow.sent - start > 2 * MIB)
    page.evaluate("localStorage.setItem('tus::what nobody can read::1', '{')")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.get_by_text("000.bin is not uploaded completely").wait_for()
    other = page.context.new_page()
    other.goto(page.url)
    told: dict[Page, tuple[Route, APIResponse]] = {}

    def hold(route: Route) -> None:
        if (tab := route.request.frame.page) in told:
            route.fallback()
        else:
            told[tab] = route, route.fetch()

    page.context.route(_TAKEN, hold)
    for tab in (page, other):
        choose_files(tab, *paths)
    while len(told) < len((page, other)):
        page.wait_for_timeout(50)
    # When either is told that no name is taken, neither has stored a file.
    for tab in (page, other):
        route, answer = told[tab]
        route.fulfill(response=answer)
        if is_late and tab is page:
            wait_until_ended(page)
    for tab in (page, other):
        wait_until_ended(tab)
    assert stored_in(portal.run, folder) == hashes(files)
    # A tab that comes later is told that they are there.
    choose_files(other, *paths)
    other.get_by_role("dialog", name="This name is taken").get_by_text("Skip").click()
    other.get_by_role("dialog").wait_for(state="hidden")
    assert stored_in(portal.run, folder) == hashes(files)
    assert_consistent(portal.run)


@pytest.mark.parametrize("is_trashed", [False, True])
def test_complete_upload_whose_tab_never_heard_of_it_is_not_taken_for_the_file(
    is_trashed: bool, portal: Portal, tmp_path: Path
) -> None:
    page = portal.sign_in()
    folder = f"Answer lost, {'trashed' if is_trashed else 'kept'}"
    make_folder(page, folder)
    path = tmp_path / "000.bin"
    path.write_bytes(os.urandom(300 * 1024))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()

    def lose(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fetch()
        else:
            route.fallback()

    page.route(_UPLOAD, lose)
    choose_files(page, path)
    while not stored_in(portal.run, folder):
        page.wait_for_timeout(50)
    other = page.context.new_page()
    other.goto(page.url)
    page.close()
    if is_trashed:
        choose_action(other, "000.bin", "Move to trash")
        other.get_by_role("button", name="Undo").wait_for()
    choose_files(other, path)
    if not is_trashed:
        other.get_by_role("dialog", name="This name is taken").get_by_text("Keep both").click()
    wait_until_ended(other)
    names = ["000.bin"] if is_trashed else ["000.bin", "000 (2).bin"]
    assert stored_in(portal.run, folder) == dict.fromkeys(names, expected)


_KEEPS_NOTHING = {
    "refused": "Object.defineProperty(window, 'localStorage', { get() { throw new Error() } })",
    "none": "Object.defineProperty(window, 'localStorage', { value: null })",
    "full": "Storage.prototype.setItem = () => { throw new Error() }",
}


@pytest.mark.parametrize("kind", _KEEPS_NOTHING)
def test_browser_that_keeps_nothing_uploads(kind: str, portal: Portal) -> None:
    page = portal.sign_in()
    page.add_init_script(_KEEPS_NOTHING[kind])
    page.reload()
    make_folder(page, f"Keeps nothing, {kind}")
    for files in ({"small.bin": b"small"}, {"large.bin": os.urandom(MIB)}):
        choose(page, files)
        wait_until_uploaded(page, *files)
    wait_until_ended(page)
    expected = {"small.bin": b"small", **files}
    assert stored_in(portal.run, f"Keeps nothing, {kind}") == hashes(expected)


def test_file_that_is_replaced_during_a_pause_is_sent_anew(
    portal: Portal, slow: Proxy, tmp_path: Path
) -> None:
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    make_folder(page, "Replaced during a pause")
    path, start = tmp_path / "000.bin", slow.sent
    path.write_bytes(os.urandom(16 * MIB))
    time = path.stat().st_mtime_ns
    choose_files(page, path)
    wait_for(lambda: slow.sent - start > 2 * MIB)
    page.get_by_role("button", name="Pause 000.bin").click()
    files = {"000.bin": os.urandom(16 * MIB)}
    path.write_bytes(files["000.bin"])
    os.utime(path, ns=(time, time))
    page.get_by_role("button", name="Resume 000.bin").click()
    wait_until_ended(page)
    assert stored_in(portal.run, "Replaced during a pause") == hashes(files)
    cancel_unfinished(page)


def test_two_tabs_with_two_files_of_one_name_size_and_time_mix_nothing(
    portal: Portal, slow: Proxy, tmp_path: Path
) -> None:
    page = portal.sign_in(url=f"http://127.0.0.1:{slow.port}")
    make_folder(page, "Mixed")
    other = page.context.new_page()
    other.goto(page.url)
    content, start = os.urandom(6 * MIB), slow.sent
    contents = [content, content[: 2 * MIB] + os.urandom(4 * MIB)]
    for tab, one in zip((page, other), contents, strict=True):
        asked = tab.get_by_role("dialog", name="This name is taken")
        tab.add_locator_handler(asked, lambda dialog: dialog.get_by_text("Keep both").click())
        tab.evaluate("size => document.getElementById('tray').dataset.chunk = size", MIB)
        path = tmp_path / hashlib.sha256(one).hexdigest() / "000.bin"
        path.parent.mkdir()
        path.write_bytes(one)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        choose_files(tab, path)
        wait_for(lambda: slow.sent - start > MIB)
    for tab in (page, other):
        wait_until_ended(tab)
    expected = {hashlib.sha256(one).hexdigest() for one in contents}
    assert set(stored_in(portal.run, "Mixed").values()) == expected
    assert_consistent(portal.run)
    cancel_unfinished(page)


def test_visitor_has_the_same_tray_within_the_links_limits(portal: Portal) -> None:
    owner = portal.sign_in()
    make_folder(owner, "Inbox of many")
    owner.get_by_role("link", name="Folder details").click()
    owner.get_by_role("link", name="Request files").click()
    owner.get_by_text("Limits and note").click()
    owner.get_by_label("File limit").fill("101")
    owner.get_by_role("button", name="Create and copy link").click()
    link = owner.get_by_label("Link", exact=True).input_value()
    page = portal.context().new_page()
    page.goto(link)
    files = some_files(100)
    choose(page, files)
    wait_until_ended(page)
    assert stored_in(portal.run, "Inbox of many") == hashes(files)
    page.get_by_text("This link accepts 1 more file.").wait_for()
    drop_tree(page, {"Trip": {"a.txt": "a"}, "b.txt": "b"})
    page.get_by_text("This link has received all the files that it accepts.").wait_for()
    wait_until_ended(page)
    said = page.locator("#tray li[data-state=failed] .said").inner_text()
    full = ("This link accepts no more files", "All that this link accepts has been sent or")
    assert said.startswith(full)
    assert len(stored_in(portal.run, "Inbox of many")) in {101, 102}  # with the folder
    asked = "SELECT files, file_limit FROM file_request ORDER BY id DESC LIMIT 1"
    assert rows(portal.run, asked) == [(101, 101)]
    assert_consistent(portal.run)


def test_tray_on_a_phone_is_one_line_and_its_heading_stays(portal: Portal) -> None:
    page = portal.sign_in(viewport={"width": 390, "height": 844})
    make_folder(page, "Phone")
    choose(page, some_files(12))
    wait_until_ended(page)
    tray, heading = page.locator("#tray"), page.locator("#tray h2")
    height = "tray => tray.getBoundingClientRect().height / innerHeight"
    assert tray.evaluate(height) < 0.1
    show = page.get_by_role("button", name="Show the list of uploads")
    expect(show).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_text("Done, 2 bytes")).to_be_hidden()
    show.press("Enter")
    page.locator("#tray li").last.scroll_into_view_if_needed()
    expect(heading).to_be_in_viewport(ratio=1)
    assert tray.evaluate(height) < 0.5
    page.get_by_role("button", name="Hide the list of uploads").press("Enter")
    assert tray.evaluate(height) < 0.1
