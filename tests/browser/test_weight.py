"""What a page weighs on the wire, and what a browser asks for again."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import FilePayload, Page, expect

from tests.support.browser.layout import moved
from tests.support.browser.portal import Portal, make_folder
from tests.support.pictures import encoded, photo

MOST = 12 * 1000
"""Bytes of the page of a hundred files, with its headers."""

PHOTOS, MOST_OF_PHOTOS = 60, 400 * 1000
"""Photos of a folder, and bytes of its page with all that it loads, in a browser that is new."""

SEND = """async (names) => {
  const form = document.getElementById("upload"), sent = new FormData(form);
  sent.delete("file");
  for (const name of names) sent.append("file", new File(["%PDF"], name));
  const answer = await fetch(form.action, { method: "POST", body: sent });
  return answer.status;
}"""
CAME = """() => [...performance.getEntriesByType("navigation"),
  ...performance.getEntriesByType("resource")]
  .map(entry => [entry.name, entry.transferSize, entry.encodedBodySize, entry.decodedBodySize])"""


def came(page: Page) -> dict[str, Any]:
    """Return the bytes that came for each address: all, the body's, and decoded."""
    page.wait_for_load_state("networkidle")
    return {name: sizes for name, *sizes in page.evaluate(CAME)}


def test_list_of_a_hundred_files_is_light_and_what_it_loads_is_kept(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "A hundred reports")
    names = [f"Report {number:03} of the committee on finance.pdf" for number in range(100)]
    for some in (names[:50], names[50:]):  # a form takes 99
        assert page.evaluate(SEND, some) == 200
    first = portal.sign_in()  # in a browser that has seen nothing yet
    first.goto(page.url)
    seen = came(first)
    assert first.locator("#entries tbody tr").count() == 100
    total, body, decoded = seen.pop(first.url)
    assert body < decoded / 5
    assert body < total <= MOST
    again = first.context.new_page()
    again.goto(page.url)
    others = came(again)
    del others[first.url]
    assert len(others) > 4
    assert not {address: sizes for address, sizes in others.items() if sizes[0]}


SEEN_TO_THE_END = """(number) => {
  const images = [...document.querySelectorAll("#entries .thumb img")];
  const missing = images.find(image => !image.complete || image.naturalWidth < 2);
  missing?.scrollIntoView({ block: "center" });
  return images.length === number && !missing;
}"""


def test_sixty_photos_are_seen_for_400_kb_and_nothing_moves(portal: Portal) -> None:
    page = portal.sign_in()
    make_folder(page, "Sixty photos")
    # What is rough in them is so coarse that it is seen in thumbnails, too.
    photos = [photo(320, 240, rough=40 + number).resize((800, 600)) for number in range(PHOTOS)]
    files = [
        FilePayload(name=f"IMG_{number:04}.jpg", mimeType="image/jpeg", buffer=encoded(one))
        for number, one in enumerate(photos)
    ]
    page.get_by_label("Files from this device").set_input_files(files)
    page.locator(f"#entries tbody tr >> nth={PHOTOS - 1}").wait_for(timeout=60_000)
    page.context.add_cookies([{"name": "view", "value": "grid", "url": portal.url}])
    page.goto(page.url)
    page.wait_for_function(SEEN_TO_THE_END, arg=PHOTOS, timeout=120_000)
    new = portal.sign_in()  # in a browser that has seen nothing yet
    new.context.add_cookies([{"name": "view", "value": "grid", "url": portal.url}])
    new.goto(page.url)
    new.wait_for_function(SEEN_TO_THE_END, arg=PHOTOS, timeout=60_000)
    seen = came(new)
    assert moved(new) == 0
    pictures = [body for address, (_, body, _) in seen.items() if "/thumbnail?" in address]
    assert len(pictures) == PHOTOS
    assert min(pictures) > 2000
    assert sum(body for _, body, _ in seen.values()) <= MOST_OF_PHOTOS
    card = new.locator("#entries tbody tr").nth(1)
    expect(card.locator(".size")).to_be_visible()
    card.hover()  # then Share is where the size was
    expect(card.locator(".size")).to_be_hidden()
