"""Pictures of the portal's pages: ``python -m tests.support.browser.pictures FOLDER [PAGE...]``.

Without a PAGE, of all of them in each scheme and size; else of those, such as ``files-wide-light``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..portal_process import shared_folder, started
from .portal import chromium, opened
from .tour import looks, tour


def take(folder: Path, wanted: set[str]) -> None:
    """Write a picture of each page, or of those that are wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        shared_folder() as data,
        started(data / "data", "--demo") as run,
        chromium() as browser,
        opened(run, browser) as portal,
    ):
        taken: set[str] = set()
        for stop in tour(portal):
            for look in looks(stop.page):
                name = f"{stop.name}-{look.size}-{look.scheme}"
                if not wanted or name in wanted:
                    stop.page.screenshot(path=folder / f"{name}.png", full_page=not wanted)
                taken.add(name)
    if missing := wanted - taken:
        sys.exit(f"There is no page for {', '.join(sorted(missing))}.")


if __name__ == "__main__":
    take(Path(sys.argv[1]), set(sys.argv[2:]))
