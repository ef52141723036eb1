"""The scripts for developers: test, check, mutate, bench, screenshots, translate, docs, lock."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..lib import machine
from ..lib.environment import LOCK, BrowserFiles, Environment, group
from ..lib.jobs import Jobs, in_foreground
from ..lib.messages import Parser, say
from . import systems

HELP = """\
usage: scripts/test [unit | postgresql | store | faults | systems] [PYTEST-ARGUMENT...]

Install what the tests need and run them all, or those named. A first word chooses a set:

  unit      the tests that need no server, no package of the system and no root, in parallel
  postgresql
            the portal's unit tests of what is stored with a PostgreSQL server, which is started for
            them
  store     those about files with a bucket in SeaweedFS, which is started for them
  faults    the whole of tests/faults, of which all the tests have a part: killed processes, power
            cuts, disks and clocks; an hour
  systems   as root: the heart of scripts/run and scripts/test in a minimal root of each supported
            system; further words name some, such as debian-13

Whatever else is given goes to pytest, whose exit status this has."""
_WITHOUT_ROWS = (
    *("core/test_datafolder.py", "core/test_settings.py", "core/test_text.py", "test_promises.py"),
    *("identity/test_passwords.py", "test_documentation.py", "web/test_edge.py"),
    *("web/test_routes.py", "web/test_zone.py"),
)
"""Of the portal's unit tests, those of no more than what is asked, answered or configured."""
_SETS = {
    "unit": ("tests/unit", "-n", "auto", "--dist", "worksteal"),
    "postgresql": (
        "tests/unit/portal",
        *(f"--ignore=tests/unit/portal/{name}" for name in _WITHOUT_ROWS),
        *("-n", "2", "--dist", "worksteal"),
    ),
    "store": (
        *("tests/unit/portal/files", "tests/unit/portal/tus", "tests/unit/portal/web/files"),
        *("tests/unit/portal/web/sharing", "tests/unit/portal/maintenance/test_checks.py"),
        *("-n", "2", "--dist", "worksteal"),
    ),
    # One process has the servers that the tests of a file share.
    "servers": ("tests/live", "tests/browser", "tests/faults", "-n", "2", "--dist", "loadfile"),
    "machines": (
        *("tests/deploy", "tests/packaging", "--ignore=tests/deploy/test_attackers.py"),
        *("-n", "2", "--dist", "loadfile"),
    ),
    # They measure how long a page takes, and have this machine to themselves.
    "attackers": ("tests/deploy/test_attackers.py",),
}
_AROUND = {"postgresql": "tests.support.postgresql", "store": "tests.support.bucket"}
"""What starts the server that a set is run with, and then the set."""
_EXTRAS = ("mod-wsgi", "gunicorn", "postgresql", "store")
_POSTGRESQL = "postgresql:pg_createcluster"
_MODULES = "/usr/lib/apache2/modules"
_NJS = "libnginx-mod-http-js:/usr/lib/nginx/modules/ngx_http_js_module.so"
_XSENDFILE = f"libapache2-mod-xsendfile:{_MODULES}/mod_xsendfile.so"
_LIGHTTPD = (
    "lighttpd:/usr/sbin/lighttpd",
    "lighttpd-mod-deflate:/usr/lib/lighttpd/mod_deflate.so",
)
_TESTS = (
    *("chromium", "curl", "nginx", "openssl", "slowhttptest", "strace", "unzip", _XSENDFILE),
    *(_NJS, "apache2:/usr/sbin/a2ensite", "fail2ban:/usr/bin/fail2ban-regex"),
    *("logrotate:/usr/sbin/logrotate", f"libapache2-mod-wsgi-py3:{_MODULES}/mod_wsgi.so"),
    *_LIGHTTPD,
    *("uwsgi-core", "uwsgi-plugin-python3:/usr/lib/uwsgi/plugins/python3_plugin.so"),
    _POSTGRESQL,
    *("varnish:/usr/sbin/varnishd", "xfsprogs:/usr/sbin/mkfs.xfs"),
)
_CONTAINERS = (
    *("apt-utils:apt-ftparchive", "certbot", "mmdebstrap", "pebble", "podman", "runc"),
    "systemd-container:/usr/bin/systemd-nspawn",
    "systemd:/usr/lib/systemd/systemd",
)
_NOTHING = 5
"""pytest's status where no test was selected."""
# Without a font that has them, names in Chinese or Japanese are boxes.
_FONT = "fonts-wqy-microhei:/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
_CHECKS = ("ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo")
# No build before this one decides what is read and warned of.
_SPHINX = "python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs"
# One file for every Python from that one on; and no name of a host in it.
_COMPILE = f"""uv pip compile --universal --python-version=3.11 --generate-hashes --upgrade
    --no-header --no-annotate --no-config --no-emit-index-url --group=production
    --output-file={LOCK.name}"""


def test(words: Sequence[str]) -> int:
    """Run a set of the tests, or all of them."""
    match words:
        case ["-h" | "--help"]:
            print(HELP)
        case ["unit", *rest]:
            return _run_tests(prepare(), _SETS["unit"], rest)
        case ["postgresql", *rest]:
            return _run_tests(prepare(_POSTGRESQL), _SETS["postgresql"], rest)
        case ["store", *rest]:
            return _run_tests(prepare(), _SETS["store"], rest)
        case ["faults", *rest]:
            os.environ["FAULTS"] = "all"
            return _test_all(["tests/faults", *rest])
        case ["systems", *rest]:
            systems.main(rest)
        case _:
            return _test_all(words)
    return 0


def _test_all(words: Sequence[str]) -> int:
    if not machine.IS_ROOT:
        say(
            "leaving out the tests that are marked 'root', such as those that install the portal in"
            " a container, which only root can boot."
        )
        words = ["-m", "not root", *words]
    variables = prepare(*_TESTS, *(_CONTAINERS if machine.IS_ROOT else ()), servers=True)
    named = any((machine.CLONE / word.partition("::")[0]).exists() for word in words)
    found = []
    for selected in [()] if named else _SETS.values():
        found.append(_run_tests(variables, selected, words))
        if found[-1] not in (0, 1, _NOTHING) or (found[-1] == 1 and "-x" in words):
            break  # an interrupt, wrong words, or the first failure
    return max([status for status in found if status != _NOTHING] or found)


def _run_tests(variables: dict[str, str], selected: Sequence[str], words: Sequence[str]) -> int:
    """Run a set of the tests with what it needs to run."""
    named = [name for name, its_words in _SETS.items() if its_words == selected]
    servers = [_AROUND[name] for name in named if name in _AROUND]
    around = ["-m", *servers, "python"] if servers else []
    return _run(variables, "python", *around, "-m", "pytest", *selected, *words)


def check(_words: Sequence[str]) -> int:
    """Check style, types, imports and shell scripts. One that fails is enough to fail."""
    variables, status = prepare("shellcheck"), 0
    scripts = [str(path) for path in machine.tracked_files() if not path.suffix and _is_shell(path)]
    for one in [*_CHECKS, " ".join(["shellcheck", *scripts])]:
        say(one)
        status = _run(variables, *one.split()) or status
    return status


def _is_shell(path: Path) -> bool:
    return b"sh\n" in (machine.CLONE / path).read_bytes()[:32]


def mutate(words: Sequence[str]) -> int:
    """Print the changes to the extension's code that no unit test notices."""
    return _run(prepare(groups=("dev", "mutate")), "python", "-m", "scripts.mutation", *words)


def bench(words: Sequence[str]) -> int:
    """Measure ours and the alternatives side by side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    packages = ("nginx", "wrk", "chromium", _XSENDFILE, *_LIGHTTPD)
    variables = prepare(*packages, servers=True, groups=("dev", "bench"))
    return _run(variables, "python", "-m", "benchmarks", *words)


def screenshots(words: Sequence[str]) -> int:
    """Take the pictures of the portal that the documentation shows, or one of every page."""
    pages = [machine.CLONE / "README.md", *machine.CLONE.glob("docs/**/*.md")]
    shown = re.findall(r"images/([a-z-]+)\.png", "".join(page.read_text() for page in pages))
    words = words or ["docs/images", *sorted(set(shown))]
    variables = prepare("chromium", _FONT, servers=True)
    return _run(variables, "python", "-m", "tests.support.browser.pictures", *words)


def translate(words: Sequence[str]) -> int:
    """Bring the portal's catalogues up to date with the texts of the code."""
    Parser("Update portal/languages, and say what has no translation.").parse_args(words)
    return _run(prepare(), "python", "-m", "tests.support.catalogues")


def docs(words: Sequence[str]) -> int:
    """Build the documentation as a site into the folder that is named, or into build/docs."""
    target = Path(words[0] if words else machine.CLONE / "build" / "docs").resolve()
    status = _run(prepare(groups=("docs",)), *_SPHINX.split(), str(target))
    if status == 0:
        say(f"open {target}/index.html")
    return status


def lock(words: Sequence[str]) -> None:
    """Renew requirements.lock, what production installs, with hashes."""
    parser = Parser("Renew requirements.lock with the newest versions that pyproject.toml allows.")
    parser.parse_args(words)
    failure = "cannot install uv."
    with Jobs() as jobs, tempfile.TemporaryDirectory() as venv:
        jobs.quietly(machine.PYTHON, "-m", "venv", venv, failure=failure)
        jobs.quietly(f"{venv}/bin/pip", "install", *group("lock"), failure=failure)
        failure = "uv could not resolve the requirements."
        jobs.quietly(*f"{venv}/bin/{_COMPILE}".split(), cwd=machine.CLONE, failure=failure)
    text = "# What production installs. scripts/lock renews it from pyproject.toml.\n"
    LOCK.write_text(text + LOCK.read_text())
    subprocess.run(["git", "diff", "--stat", "--", LOCK], cwd=machine.CLONE, check=False)


def prepare(
    *packages: str, servers: bool = False, groups: Sequence[str] = ("dev",)
) -> dict[str, str]:
    """Install what a command needs, and return the variables of its environment.

    :param packages: of the system, as :func:`machine.install_packages` takes them.
    :param servers: whether the portal is to run with its servers.
    """
    environment, browser = Environment(_EXTRAS, groups), BrowserFiles(tests=True)
    if not servers and not environment.is_complete:
        environment = Environment((), groups)  # which needs nothing but pip
    variables = environment.variables()
    with Jobs() as jobs:
        machine.install_packages(
            jobs, *packages, *((*machine.MOD_WSGI, "npm", machine.CERTIFICATES) if servers else ())
        )
        environment.make(jobs)
        if servers:
            machine.check_python(machine.daemon())
            browser.make(jobs)
            browser.put(machine.CLONE)
            variables["AXE_CORE"] = str(browser.modules / "axe-core/axe.min.js")
            variables["HLS_JS"] = str(browser.modules / "hls.js/dist/hls.min.js")
            validator = browser.modules / "html-validate/bin/html-validate.mjs"
            variables["HTML_VALIDATE"] = str(validator)
            variables["NPM_CACHE"] = str(browser.cache)
    return variables


def _run(variables: dict[str, str], *command: str) -> int:
    return in_foreground(*command, cwd=machine.CLONE, env=variables)
