"""A walk past every page of the portal, for what looks at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyotp
from playwright.sync_api import Page, ViewportSize

from .portal import Portal, choose_files, make_folder, sign_in

SCHEMES = ("light", "dark")
SIZES = {"wide": ViewportSize(width=1280, height=800), "phone": ViewportSize(width=390, height=844)}


class Stop(NamedTuple):
    """A page on the way, as it is open in a browser.

    :param name: what it is called in a picture's file name.
    """

    name: str
    page: Page


class Look(NamedTuple):
    """How a page is looked at.

    :param scheme: one of ``SCHEMES``.
    :param size: one of ``SIZES``.
    """

    scheme: str
    size: str


def looks(page: Page) -> Iterator[Look]:
    """Have a page shown in both schemes, wide and on a phone."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for size, viewport in SIZES.items():
            page.set_viewport_size(viewport)
            yield Look(scheme, size)
    page.set_viewport_size(SIZES["wide"])


Links = dict[str, str]
"""What was handed over on the way, by what it leads to."""


def tour(portal: Portal) -> Iterator[Stop]:
    """Open each page that there is, and some in more states than one."""
    member = portal.sign_in("alice")
    links: Links = {}
    for part in (_signing_in, _files, _details, _links, _trash, _account):
        yield from part(portal, member, links)
    administrator = portal.sign_in("admin")
    yield from _accounts(portal, administrator, links)
    yield from _visits(portal, links)


def _open(page: Page, *steps: str) -> Page:
    """Go to an address, or by links of that name from page to page."""
    for step in steps:
        if step.startswith("http"):
            page.goto(step)
        elif step.startswith("Actions for "):
            page.get_by_role("button", name=step, exact=True).click()
        else:
            link = page.get_by_role("link", name=step, exact=True)
            link.or_(page.get_by_role("menuitem", name=step, exact=True)).first.click()
    page.wait_for_load_state("networkidle")
    return page


def _press(page: Page, button: str) -> Page:
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_load_state("networkidle")
    return page


def _signing_in(portal: Portal, _: Page, __: Links) -> Iterator[Stop]:
    page = portal.context().new_page()
    yield Stop("sign-in", _open(page, f"{portal.url}/sign-in"))
    sign_in(page, portal.url, "alice", "wrong")
    yield Stop("sign-in-refused", page)
    yield Stop("nothing-there", _open(page, f"{portal.url}/nothing"))


def _files(portal: Portal, page: Page, _: Links) -> Iterator[Stop]:
    yield Stop("files", _open(page, portal.url))
    page.get_by_label("Select Letter.pdf").check()
    page.get_by_label("Select Sunrise.png").check()
    yield Stop("files-chosen", page)
    page.keyboard.press("?")
    yield Stop("keys", page)
    page.keyboard.press("Escape")
    page.wait_for_function("() => !history.state?.over")  # it takes a step of the history back
    yield Stop("row-menu", _open(page, portal.url, "Actions for Letter.pdf"))
    page.get_by_role("menuitem", name="Rename").click()
    yield Stop("renaming", page)
    yield Stop("folder", _open(page, portal.url, "Projects"))
    _open(page, portal.url)
    picture, text = (seen_on(page, name) for name in ("Sunrise.png", "Welcome.txt"))
    yield Stop("file-seen", _open(page, portal.url + picture))
    yield Stop("text-seen", _open(page, portal.url + text))
    _open(page, portal.url)
    page.get_by_role("link", name="Sunrise.png", exact=True).click()
    page.locator("dialog.over .stage > img").wait_for()
    yield Stop("file-seen-over-list", page)
    yield Stop("pdf-seen-over-list", _seen_before(page))
    page.context.add_cookies([{"name": "view", "value": "grid", "url": portal.url}])
    yield Stop("files-grid", _open(page, portal.url))
    page.context.clear_cookies(name="view")
    yield Stop("move", _open(page, portal.url, "Actions for Letter.pdf", "Move…"))
    yield Stop("search", _open(page, f"{portal.url}/search?q=e"))
    yield Stop("search-in-vain", _open(page, f"{portal.url}/search?q=nowhere"))
    _open(page, portal.url)
    make_folder(page, "Tour")
    yield Stop("folder-empty", page)
    small = {"name": "Minutes of the meeting.txt", "mimeType": "text/plain", "buffer": b"Hello\n"}
    choose_files(page, small)
    page.locator("#tray li[data-state=done]").wait_for()
    yield Stop("uploaded", page)
    choose_files(page, small | {"buffer": b"Hello again\n"})
    page.get_by_role("dialog").wait_for()
    yield Stop("name-taken", page)
    _press(page, "Replace")
    page.locator("#tray li[data-state=done]").nth(1).wait_for()
    _open(page, page.url, f"Actions for {small['name']}", "Details")
    yield Stop("details-with-versions", page)
    page.locator("#versions .bad").click()
    page.get_by_role("heading", name="Delete this version?").wait_for()
    yield Stop("version-delete", page)
    page.evaluate(BEGIN)
    yield Stop("folder-unfinished", _open(page, portal.url))
    yield Stop("unfinished", _open(page, f"{portal.url}/unfinished"))
    yield Stop("unfinished-none", _press(page, "Cancel all"))
    yield Stop("receive-none", _open(page, f"{portal.url}/receive/"))
    page.evaluate(KEEP)
    yield Stop("receive", _open(page, f"{portal.url}/receive/"))
    _press(page, "Discard")


KEEP = """async () => {
  const script = document.querySelector("[src$='/phone.js']").src;
  const { keep } = await import(script.replace("phone", "waiting"));
  await keep([new File(["x"], "IMG_20260712_183355.jpg"), new File(["y"], "Invoice.pdf")]);
}"""
"""Have files wait as if another app had sent them."""


def seen_on(page: Page, name: str) -> str:
    """Return the address where a file of the list is seen by itself."""
    link = page.get_by_role("link", name=name, exact=True)
    return str(link.get_attribute("href"))


def _seen_before(page: Page) -> Page:
    page.keyboard.press("ArrowLeft")
    page.locator("dialog.over .stage > iframe").wait_for()
    page.wait_for_timeout(500)  # the browser's viewer of a PDF is never idle
    return page


BEGIN = """async () => {
  const { endpoint, token } = document.getElementById("tray").dataset;
  const headers = {
    "Tus-Resumable": "1.0.0", "X-CSRFToken": token,
    "Upload-Length": "123456789", "Upload-Metadata": `filename ${btoa("Film.mp4")}`,
  };
  await fetch(endpoint, { method: "POST", headers });
}"""
"""Begin an upload, and leave it."""


def _details(portal: Portal, page: Page, _: Links) -> Iterator[Stop]:
    yield Stop("details", _open(page, portal.url, "Actions for Sunrise.png", "Details"))
    yield Stop("details-of-text", _open(page, portal.url, "Actions for Welcome.txt", "Details"))
    yield Stop(
        "details-of-sound", _open(page, portal.url, "Music", "Actions for Chime.wav", "Details")
    )
    yield Stop("details-of-folder", _open(page, portal.url, "Projects", "Folder Details"))


def _form(page: Page, *steps: str) -> Page:
    """Go to a page as :func:`_open`, and to the last one by its address: a click opens a dialog."""
    _open(page, *steps[:-1])
    address = page.get_by_role("link", name=steps[-1], exact=True).first.evaluate(
        "link => link.href"
    )
    return _open(page, address)


def _links(portal: Portal, page: Page, links: Links) -> Iterator[Stop]:
    def made(name: str) -> Stop:
        _press(page, "Create link")
        links[name] = page.get_by_label("Link", exact=True).input_value()
        return Stop(f"{name}-made", page)

    yield Stop("share", _form(page, portal.url, "Share Welcome.txt"))
    page.get_by_label("Name", exact=True).fill("For the auditor")
    page.get_by_text("Limit and note").click()
    page.get_by_label("Note").fill("As promised")
    yield made("shared-file")
    _form(page, portal.url, "Projects", "Folder Details", "Share")
    yield made("shared-folder")
    _form(page, portal.url, "Share Letter.pdf")
    page.get_by_label("My own").check()
    page.get_by_label("On a day").check()
    page.locator("input[type=password]").fill("between us two")
    yield Stop("share-choices", page)
    yield made("shared-with-password")
    yield Stop("ask", _form(page, portal.url, "Projects", "Folder Details", "Request files"))
    page.get_by_text("Limits and note").click()
    page.get_by_label("Note").fill("Your photos, please")
    yield made("asked")
    _open(page, portal.url, "Share Welcome.txt")
    page.get_by_label("Generated").check()
    yield Stop("share-dialog", page)
    _press(page, "Create and copy link")
    page.get_by_role("heading", name="Link created").wait_for()
    yield Stop("share-dialog-made", page)
    yield Stop("by-link", _open(page, f"{portal.url}/links", "0 downloads by For the auditor"))
    _form(page, portal.url, "Music", "Folder Details", "Request files")
    page.get_by_label("Ask for a name").check()
    page.get_by_label("Ask for a message").check()
    yield made("asked-who")
    yield Stop("links", _open(page, f"{portal.url}/links"))
    yield Stop("received-none", _open(page, "See what arrived by the link to Music"))
    _open(page, f"{portal.url}/links")
    yield Stop("share-change", _open(page, "Change the link to Welcome.txt"))
    _open(page, f"{portal.url}/links", "Change the upload link to Projects")
    yield Stop("ask-change", page)
    yield Stop("revoke", _form(page, "Revoke link"))


def _trash(portal: Portal, page: Page, _: Links) -> Iterator[Stop]:
    yield Stop("trash", _open(page, f"{portal.url}/trash"))
    yield Stop("versions-delete", _open(page, "Delete all versions"))
    _open(page, f"{portal.url}/trash")
    yield Stop("delete", _open(page, "Delete Old notes.txt permanently"))
    yield Stop("trash-emptying", _open(page, f"{portal.url}/trash/empty"))
    page = portal.sign_in("bob")
    _open(page, f"{portal.url}/trash/empty")
    _press(page, "Empty trash")
    yield Stop("trash-empty", page)


def _account(portal: Portal, page: Page, _: Links) -> Iterator[Stop]:
    yield Stop("activity", _open(page, f"{portal.url}/activity"))
    yield Stop("account", _open(page, f"{portal.url}/account"))
    yield from _second_factor(portal, portal.sign_in("bob"))


def _second_factor(portal: Portal, page: Page) -> Iterator[Stop]:
    settings = f"{portal.url}/account/second-factor"
    password = portal.run.password("bob")
    yield Stop("second-factor-off", _open(page, settings))
    page.get_by_label("Current password").fill(password)
    yield Stop("second-factor-begun", _press(page, "Continue"))
    codes = pyotp.TOTP(page.locator("code.secret").inner_text().replace(" ", ""))
    page.get_by_label("6-digit code").fill(codes.now())
    yield Stop("recovery-codes", _press(page, "Switch on"))
    again = portal.context().new_page()
    sign_in(again, portal.url, "bob", password)
    yield Stop("second-factor", again)
    yield Stop("second-factor-on", _open(page, settings))
    page.locator("#off_password").fill(password)
    _press(page, "Switch off")


def _accounts(portal: Portal, page: Page, links: Links) -> Iterator[Stop]:
    yield Stop("accounts", _open(page, f"{portal.url}/accounts"))
    yield Stop("accounts-activity", _open(page, f"{portal.url}/accounts/activity"))
    yield Stop("account-managed", _open(page, f"{portal.url}/accounts", "bob"))
    _press(page, "Create reset link")
    links["reset"] = page.get_by_label("Link", exact=True).input_value()
    yield Stop("reset-made", page)
    yield Stop("account-delete", _open(page, f"{portal.url}/accounts", "bob", "Delete …"))
    yield Stop("invitations", _open(page, f"{portal.url}/invitations"))
    page.get_by_label("Who is it for?").fill("Dave")
    _press(page, "Create link")
    links["invitation"] = page.get_by_label("Link", exact=True).input_value()
    yield Stop("invitation-made", page)
    _open(page, f"{portal.url}/accounts", "Invite people")
    page.get_by_label("Names, one a line").fill("Erik\nbob\nErik")
    yield Stop("several-refused", _press(page, "Create links"))
    page.get_by_label("Names, one a line").fill("Erik\nFay Lee\nGus")
    yield Stop("several-made", _press(page, "Create links"))


def _visits(portal: Portal, links: Links) -> Iterator[Stop]:
    for name, address in links.items():
        page = _open(portal.context().new_page(), address)
        yield Stop(name, page)
        if name == "shared-folder":
            yield Stop("shared-subfolder", _open(page, "Meetings"))
        if name == "asked-who":
            page.get_by_label("Your name").fill("Jane Doe")
            page.get_by_label("Message (optional)").fill("Two songs,\nas promised.")
            _press(page, "Continue")
            choose_files(page, {"name": "Song.mp3", "mimeType": "a/b", "buffer": b"la"})
            page.locator("#arrived li").wait_for()
            yield Stop("arrived", page)
            yield Stop("asked-again", _open(page, "Change"))
    owner = _open(portal.sign_in("alice"), f"{portal.url}/links")
    yield Stop("received", _open(owner, "See what arrived by the link to Music"))
    yield Stop("dead-link", _open(portal.context().new_page(), links["reset"] + "x"))
