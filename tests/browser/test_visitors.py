"""What visitors do by a link to upload, in a browser: with and without JavaScript."""

from __future__ import annotations

import hashlib
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser.portal import Portal, choose_files, drop_tree, make_folder
from tests.support.browser.stored import assert_consistent, rows, stored_in

CONTENT = b"What the file says.\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def ask(portal: Portal, folder: str, *questions: str) -> tuple[Page, str]:
    """Create a folder and a link to upload into it; return the owner's page, and the link."""
    owner = portal.sign_in()
    make_folder(owner, folder)
    owner.get_by_role("link", name="Folder details").click()
    # By its address: a click opens the form in a dialog.
    form = owner.get_by_role("link", name="Request files").get_attribute("href")
    owner.goto(f"{portal.url}{form}")
    for question in questions:
        owner.get_by_label(question).check()
    owner.get_by_role("button", name="Create link").click()
    return owner, owner.get_by_label("Link", exact=True).input_value()


def file(name: str, content: bytes = CONTENT) -> dict[str, object]:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


def test_visitor_says_who_they_are_sends_and_sees_what_arrived(portal: Portal) -> None:
    owner, link = ask(portal, "Asked", "Ask for a name", "Ask for a message")
    page = portal.context().new_page()
    page.goto(link)
    page.get_by_role("button", name="Continue").click()  # the name is needed
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_label("Your name").fill("Jane Doe")
    page.get_by_label("Message (optional)").fill("Two files,\nas promised.")
    page.get_by_role("button", name="Continue").click()
    choose_files(page, file("a.txt"))
    arrived = page.locator("#arrived li")
    expect(arrived).to_have_count(1)  # without a reload
    drop_tree(page, {"Trip": {"day 1": {"b.txt": "b"}, "empty": {}}})
    expect(page.locator("#tray h2")).to_have_text("Uploaded 3 of 3")
    expect(arrived).to_have_count(2)
    arrived.filter(has_text="a.txt").get_by_text("SHA-256").click()
    expect(page.get_by_text(SHA256)).to_be_visible()
    page.reload()
    expect(arrived).to_have_count(2)
    assert stored_in(portal.run, "Asked") == {
        "a.txt": SHA256,
        "Trip/": "",
        "Trip/day 1/": "",
        "Trip/day 1/b.txt": hashlib.sha256(b"b").hexdigest(),
        "Trip/empty/": "",
    }

    plain = portal.context(java_script_enabled=False).new_page()
    plain.goto(link)
    plain.get_by_label("Your name").fill("Joe")
    plain.get_by_role("button", name="Continue").click()
    choose_files(plain, file("a.txt"))
    plain.get_by_role("button", name="Send files").click()
    expect(plain.locator("#arrived li .name")).to_have_text(["a.txt"])
    plain.reload()
    expect(plain.locator("#arrived li .name")).to_have_text(["a.txt"])
    expect(plain.get_by_text("Jane")).to_have_count(0)

    owner.goto(f"{portal.url}/links")
    owner.get_by_role("link", name="See what arrived by the link to Asked").click()
    for text in ("Jane Doe", "Two files,", "Joe", "nobody has checked them"):
        expect(owner.get_by_text(text).first).to_be_visible()
    with owner.expect_download() as download:
        owner.get_by_role("link", name="Download as CSV").click()
    assert SHA256 in Path(download.value.path()).read_text(encoding="utf-8")
    query = "SELECT detail FROM activity WHERE action = 'upload' AND detail LIKE '%Jane Doe%'"
    assert len(rows(portal.run, query)) == 2
    assert_consistent(portal.run)


def test_visitor_resumes_in_another_tab_what_one_had_begun(portal: Portal, tmp_path: Path) -> None:
    _, link = ask(portal, "Resumed")
    context = portal.context()
    page = context.new_page()
    page.goto(link)
    large = tmp_path / "large.bin"
    large.write_bytes(content := bytes(3_000_000))
    page.route(
        "**/uploads/*", lambda one: one.abort() if one.request.method == "PATCH" else one.fallback()
    )
    # Not before the browser has noted where the upload is.
    with page.expect_event("requestfailed", lambda one: one.method == "PATCH"):
        choose_files(page, large)
    page.get_by_role("button", name="Pause large.bin").click()
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(link)
    expect(again.get_by_text("is not uploaded completely")).to_be_visible()
    begun = rows(portal.run, "SELECT count(*) FROM upload WHERE name = 'large.bin'")
    choose_files(again, large)
    expect(again.locator("#arrived li .name")).to_have_text(["large.bin"])
    assert rows(portal.run, "SELECT count(*) FROM upload WHERE name = 'large.bin'") == begun
    digest = hashlib.sha256(content).hexdigest()
    assert stored_in(portal.run, "Resumed") == {"large.bin": digest}


def test_twelve_colleagues_are_invited_by_three_clicks(portal: Portal) -> None:
    page = portal.sign_in("admin", permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{portal.url}/accounts")
    clicks: list[str] = []
    page.expose_function("counted", lambda what: clicks.append(what))
    page.evaluate("document.addEventListener('click', (one) => counted(one.target.textContent))")
    page.add_init_script(
        "document.addEventListener('click', (one) => counted(one.target.textContent))"
    )
    names = [f"Colleague {number}" for number in range(1, 13)]
    page.get_by_role("link", name="Invite people").click()
    expect(page.get_by_label("Names, one a line")).to_be_focused()
    page.evaluate("text => navigator.clipboard.writeText(text)", "\n".join(names))
    page.keyboard.press("Control+v")
    page.get_by_role("button", name="Create links").click()
    page.get_by_role("button", name="Copy all").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert [line.split("\t")[0] for line in lines] == names
    assert len(clicks) <= 3
    assert all("@" not in line and "/invitation/" in line for line in lines)
    found = rows(portal.run, "SELECT proposed_name FROM one_time_link WHERE note LIKE 'Coll%'")
    assert sorted(found) == sorted((name,) for name in names)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "invitations.csv"
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").count("/invitation/") == 12

    guest = portal.context().new_page()
    guest.goto(lines[4].split("\t")[1])
    expect(guest.get_by_label("Name", exact=True)).to_have_value("Colleague 5")
