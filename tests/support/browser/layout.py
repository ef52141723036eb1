"""What moves on a page."""

from __future__ import annotations

from playwright.sync_api import Page

_SHIFT = """() => new Promise(resolve => {
  let sum = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 300);
})"""


def moved(page: Page) -> float:
    """Return by how much the page has moved since it was opened: the sum of its layout shifts."""
    return float(page.evaluate(_SHIFT))
