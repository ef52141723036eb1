"""scripts/screenshots: take pictures of the portal: those of the documentation, or all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..lib.environment import BrowserFiles, for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CERTIFICATES, CLONE, check_python, daemon, install_packages

# Without a font that has them, names in Chinese or Japanese are boxes.
_FONT = "fonts-wqy-microhei:/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
_MODULE = "tests.support.browser.pictures"


def main(words: Sequence[str]) -> None:
    """Hand over to the module that takes them."""
    environment, browser = for_developers(servers=True), BrowserFiles()
    with Jobs() as jobs:
        install_packages(jobs, "mod_wsgi", "npm", CERTIFICATES, "chromium", _FONT)
        check_python(daemon())
        environment.make(jobs)
        browser.make(jobs)
    browser.put(CLONE)
    pages = [CLONE / "README.md", *CLONE.glob("docs/**/*.md")]
    shown = {
        name for page in pages for name in re.findall(r"images/([a-z-]+)\.png", page.read_text())
    }
    words = words or ["docs/images", *sorted(shown)]
    command = (environment.bin / "python", "-m", _MODULE, *words)
    raise SystemExit(in_foreground(*command, cwd=CLONE, env=environment.variables()))
