"""scripts/test: install what the tests need, and run them."""

from __future__ import annotations

from collections.abc import Sequence

from ..lib.environment import BrowserFiles, for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CERTIFICATES, CLONE, IS_ROOT, check_python, daemon, install_packages
from ..lib.messages import say
from . import systems

HELP = """\
usage: scripts/test [unit | systems] [PYTEST-ARGUMENT...]

Install what the tests need and run them all, or those named. A first word chooses a set:

  unit      the tests that need no server, no package of the system and no root, in parallel
  systems   as root: the heart of scripts/run and scripts/test in a minimal root of each supported
            system; further words name some, such as debian-13

Whatever else is given goes to pytest, whose exit status this has."""
UNIT = ("tests/unit",)
_SERVERS = ("tests/live", "tests/browser")
_REST = ("tests/deploy", "tests/packaging")
_PARALLEL = ("-n", "auto", "--dist", "worksteal")
# One process has the servers that the tests of a file share.
_BY_FILE = ("-n", "2", "--dist", "loadfile")
_MODULES = "/usr/lib/apache2/modules"
_WANTED = (
    *("mod_wsgi", "npm", CERTIFICATES, "chromium", "curl", "nginx", "openssl", "slowhttptest"),
    *("strace", "apache2:/usr/sbin/a2ensite", "fail2ban:/usr/bin/fail2ban-regex"),
    "logrotate:/usr/sbin/logrotate",
    f"libapache2-mod-wsgi-py3:{_MODULES}/mod_wsgi.so",
    f"libapache2-mod-xsendfile:{_MODULES}/mod_xsendfile.so",
)
_CONTAINERS = (
    "mmdebstrap",
    "systemd-container:/usr/bin/systemd-nspawn",
    "systemd:/usr/lib/systemd/systemd",
)
_NOTHING = 5
"""pytest's status where no test was selected."""


def main(words: Sequence[str]) -> None:
    """Run a set, or all of them."""
    match words:
        case ["-h" | "--help"]:
            print(HELP)
        case ["unit", *rest]:
            _run_unit_tests(rest)
        case ["systems", *rest]:
            systems.main(rest)
        case _:
            _run_all(words)


def _run_unit_tests(words: Sequence[str]) -> None:
    environment = for_developers()
    with Jobs() as jobs:
        install_packages(jobs)
        environment.make(jobs)
    pytest = (environment.bin / "python", "-m", "pytest", *_PARALLEL, *UNIT, *words)
    raise SystemExit(in_foreground(*pytest, cwd=CLONE, env=environment.variables()))


def _run_all(words: Sequence[str]) -> None:
    environment, browser = for_developers(servers=True), BrowserFiles(developers=True)
    if not IS_ROOT:
        say(
            "leaving out the tests that are marked 'root', such as those that install the portal in"
            " a container, which only root can boot."
        )
        words = ["-m", "not root", *words]
    with Jobs() as jobs:
        install_packages(jobs, *_WANTED, *(_CONTAINERS if IS_ROOT else ()))
        check_python(daemon())
        environment.make(jobs)
        browser.make(jobs)
    browser.put(CLONE)
    variables = environment.variables()
    variables["AXE_CORE"] = str(browser.modules / "axe-core/axe.min.js")
    variables["NPM_CACHE"] = str(browser.cache)
    runs: list[Sequence[str]] = [()]
    if not any((CLONE / word.partition("::")[0]).exists() for word in words):
        # The last, which boot machines, have this one to themselves.
        runs = [(*_PARALLEL, *UNIT), (*_BY_FILE, *_SERVERS), _REST]
    found = []
    for selected in runs:
        pytest = (environment.bin / "python", "-m", "pytest", *selected, *words)
        found.append(in_foreground(*pytest, cwd=CLONE, env=variables))
        if found[-1] not in (0, 1, _NOTHING) or (found[-1] == 1 and "-x" in words):
            break  # an interrupt, wrong words, or the first failure
    raise SystemExit(max([status for status in found if status != _NOTHING] or found))
