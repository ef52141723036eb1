"""The portal in a real browser, and what people do there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ..portal_process import Run
from ..tools import tool


@dataclass
class Portal:
    """The portal, and people's browsers.

    :param context: makes a browser profile.
    """

    run: Run
    context: Callable[..., BrowserContext]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.run.port}"

    def sign_in(self, name: str = "alice", url: str = "", **options: Any) -> Page:
        """Open a profile of somebody's own, and sign in there."""
        page = self.context(**options).new_page()
        sign_in(page, url or self.url, name, self.run.password(name))
        page.get_by_role("heading", name="My files").wait_for()
        wait_for_scripts(page)
        return page


def chromium_options() -> list[str]:
    """Return what Chromium is started with."""
    options = ["--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]
    # Its sandbox does not work for root.
    return [*options, "--no-sandbox"] if os.geteuid() == 0 else options


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=tool("chromium"), args=chromium_options()
        )
        yield browser
        browser.close()


@contextmanager
def opened(run: Run, browser: Browser) -> Iterator[Portal]:
    """Let people's profiles be made, and close them at the end."""
    contexts: list[BrowserContext] = []

    def context(**options: Any) -> BrowserContext:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(30_000)
        return contexts[-1]

    yield Portal(run, context)
    for made in contexts:
        made.close()


def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Fill the form for it, and send it."""
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state("networkidle")


def wait_for_scripts(page: Page) -> None:
    """Wait until all scripts of the page that is open have run, without which keys do nothing.

    What a page shows is there before them, and the upload tray before the keys.
    """
    page.wait_for_load_state()


def make_folder(page: Page, name: str) -> None:
    """Create a folder of a test's own, and open it."""
    more = page.get_by_role("button", name="More actions for this folder")
    if more.is_visible():  # on a phone
        more.click()
    page.get_by_text("New folder", exact=True).click()
    page.get_by_label("Name of the new folder").fill(name)
    page.get_by_role("button", name="Create folder").click()
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
    wait_for_scripts(page)


def choose_files(page: Page, *files: Any) -> None:
    """Choose files in the page's form: paths, or what playwright takes for files."""
    page.get_by_label("Files from this device").set_input_files(list(files))


def drop_files(page: Page, *files: Path, onto: str = "body") -> None:
    """Drop files on an element of the page, as a browser tells it of that."""
    page.evaluate(
        """() => {
          const carrier = document.createElement("input");
          Object.assign(carrier, { type: "file", id: "carrier", multiple: true });
          document.body.append(carrier);
        }"""
    )
    page.set_input_files("#carrier", list(files))
    page.evaluate(
        """(onto) => {
          const [dropped, carrier] = [new DataTransfer(), document.getElementById("carrier")];
          for (const file of carrier.files) dropped.items.add(file);
          carrier.remove();
          const event = { dataTransfer: dropped, bubbles: true, cancelable: true };
          const place = document.querySelector(onto);
          place.dispatchEvent(new DragEvent("dragover", event));
          place.dispatchEvent(new DragEvent("drop", event));
        }""",
        onto,
    )


def wait_until_uploaded(page: Page, name: str) -> None:
    """Wait until the tray says that a file is done, and the list has it."""
    done = page.locator("#tray li[data-state=done]").filter(has_text=name)
    done.wait_for(state="attached", timeout=120_000)  # on a phone, the tray is folded
    page.locator("#entries").get_by_role("link", name=name, exact=True).wait_for()


def cancel_unfinished(page: Page) -> None:
    """Cancel what an account has begun to upload: other tests expect that there is nothing."""
    page.goto(urljoin(page.url, "/unfinished"))
    if (cancel := page.get_by_role("button", name="Cancel all")).is_visible():
        cancel.click()
    page.get_by_role("heading", name="No unfinished uploads").wait_for()


def choose_action(page: Page, name: str, action: str) -> None:
    """Choose an action in the menu of a file's or folder's row."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def sha256_of(page: Page, name: str) -> str:
    """Read a file's hash from its page."""
    choose_action(page, name, "Details")
    found = re.search(r"[0-9a-f]{64}", page.locator("dl.facts code").inner_text())
    assert found
    return found[0]


def drop_tree(page: Page, tree: dict[str, Any]) -> None:
    """Drop files and folders, also empty ones: a file is its text, a folder what it holds.

    A script cannot make what a browser makes of a folder, so this stands in for it.
    """
    page.evaluate(
        """(tree) => {
          const entryOf = ([name, inner], above) => {
            const fullPath = `${above}/${name}`;
            if (typeof inner === "string") {
              const file = (resolve) => resolve(new File([inner], name));
              return { isFile: true, fullPath, file };
            }
            const entries = Object.entries(inner).map((one) => entryOf(one, fullPath));
            const createReader = () => {
              const portions = [...entries.map((entry) => [entry]), []];
              return { readEntries: (resolve) => resolve(portions.shift()) };
            };
            return { isFile: false, fullPath, createReader };
          };
          const items = Object.entries(tree).map((one) => {
            const entry = entryOf(one, "");
            return { webkitGetAsEntry: () => entry };
          });
          const event = new Event("drop", { bubbles: true, cancelable: true });
          event.dataTransfer = { items, files: [], types: ["Files"] };
          document.body.dispatchEvent(event);
        }""",
        tree,
    )
