"""What a page weighs on the wire, and what a browser asks for again."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.support.browser.portal import Portal, make_folder

MOST = 12 * 1000
"""Bytes of the page of a hundred files, with its headers."""

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
