"""Many uploads, whatever is pressed and whatever breaks meanwhile: what is stored in the end."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Page, Request, expect

from tests.support.browser.portal import Portal, choose_files, drop_tree, make_folder
from tests.support.browser.proxy import Proxy, proxied
from tests.support.browser.stored import assert_consistent, stored_in

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
    expect(page.locator("#tray h2")).to_have_text(re.compile("^Uploads: "), timeout=120_000)


def requests_of(page: Page) -> Counter[str]:
    """Count the requests to upload that a page sends from now on, by their methods."""
    found: Counter[str] = Counter()

    def note(request: Request) -> None:
        if "/uploads/" in request.url:
            found[request.method] += 1

    page.on("request", note)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 12, 300])
def test_each_of_many_files_is_stored_once(count: int, portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, f"{count} at once")
    files, sent = some_files(count), requests_of(page)
    choose(page, files)
    wait_until_ended(page)
    assert stored_in(portal.run, f"{count} at once") == hashes(files)
    # An empty file is complete with its creation.
    assert sent == Counter({"POST": count, "PATCH": count - 1})
    expect(page.locator("#entries tbody tr")).to_have_count(min(count, 100))
    expect(page.get_by_role("link", name="Download all as ZIP")).to_be_visible()
    assert_consistent(portal.run)


def test_empty_folders_are_created_where_they_are_dropped(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "With empty ones")
    trip = {"Empty": {}, "day 1": {"Inner": {}, "a.txt": "a"}}
    drop_tree(page, {"Alone": {}, "Trip": trip, "b": "b"})
    wait_until_ended(page)
    empty = dict.fromkeys(("Alone/", "Trip/", "Trip/Empty/", "Trip/day 1/", "Trip/day 1/Inner/"), "")
    files = hashes({"b": b"b", "Trip/day 1/a.txt": b"a"})
    assert stored_in(portal.run, "With empty ones") == empty | files
    page.locator("#entries").get_by_role("link", name="Alone", exact=True).wait_for()
