"""scripts/check, scripts/bench, scripts/screenshots and scripts/docs: tools of developers."""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..lib.environment import BrowserFiles, for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CERTIFICATES, CLONE, check_python, daemon, install_packages
from ..lib.messages import say

_APACHE = ("mod_wsgi", "npm", CERTIFICATES)
_XSENDFILE = "libapache2-mod-xsendfile:/usr/lib/apache2/modules/mod_xsendfile.so"
# Without a font that has them, names in Chinese or Japanese are boxes.
_FONT = "fonts-wqy-microhei:/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
_CHECKS = ("ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo")
# No build before this one decides what is read and warned of.
_SPHINX = "python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs"


def check(_words: Sequence[str]) -> None:
    """Check style, types, imports and shell scripts. One that fails is enough to fail."""
    status = 0
    for one in [*_CHECKS, " ".join(["shellcheck", *_shell_scripts()])]:
        say(one)
        status = _run(one.split(), "shellcheck") or status
    raise SystemExit(status)


def bench(words: Sequence[str]) -> None:
    """Measure ours and the alternatives side by side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    packages = (*_APACHE, "nginx", "wrk", _XSENDFILE)
    raise SystemExit(
        _run(["python", "-m", "benchmarks", *words], *packages, groups=("dev", "bench"))
    )


def screenshots(words: Sequence[str]) -> None:
    """Take the pictures of the portal that the documentation shows, or one of every page."""
    pages = [CLONE / "README.md", *CLONE.glob("docs/**/*.md")]
    shown = {
        name for page in pages for name in re.findall(r"images/([a-z-]+)\.png", page.read_text())
    }
    words = words or ["docs/images", *sorted(shown)]
    packages = (*_APACHE, "chromium", _FONT)
    raise SystemExit(_run(["python", "-m", "tests.support.browser.pictures", *words], *packages))


def docs(words: Sequence[str]) -> None:
    """Build the documentation as a site into the folder that is named, or into build/docs."""
    target = Path(words[0] if words else CLONE / "build" / "docs").resolve()
    status = _run([*_SPHINX.split(), str(target)], groups=("docs",))
    if status == 0:
        say(f"open {target}/index.html")
    raise SystemExit(status)


def _run(command: Sequence[str], *packages: str, groups: Sequence[str] = ("dev",)) -> int:
    """Run a command of the environment; with the portal's servers where mod_wsgi is named."""
    servers = "mod_wsgi" in packages
    environment, browser = for_developers(servers=servers, groups=groups), BrowserFiles()
    with Jobs() as jobs:
        install_packages(jobs, *packages)
        environment.make(jobs)
        if servers:
            check_python(daemon())
            browser.make(jobs)
    if servers:
        browser.put(CLONE)
    return in_foreground(*command, cwd=CLONE, env=environment.variables())


def _shell_scripts() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CLONE, capture_output=True, text=True, check=True
    )
    paths = [Path(CLONE, name) for name in listed.stdout.splitlines() if "." not in Path(name).name]
    texts = {path: path.read_bytes() for path in paths if path.is_file()}
    return [str(path.relative_to(CLONE)) for path, text in texts.items() if b"sh\n" in text[:32]]
