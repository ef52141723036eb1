"""From an empty Debian 13 to https, by the commands that the documentation has."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import pytest

from tests.support import authority
from tests.support.containers import HOST, booted
from tests.support.installed import CONTENT, Installed, ask, used
from tests.support.paths import PROJECT
from tests.support.roots import empty_root_of
from tests.support.tools import tool

pytestmark = pytest.mark.timeout(600)

_REPOSITORY = PurePosixPath("/srv/repository")
# What deploy/install asks apt for. Without npm: see tests/support/roots.py.
_PACKAGES = ("certbot", "curl", "logrotate", "nginx", "openssl", "python3", "python3-venv")
_BACKUPS = "/var/backups/portal"
_ELSEWHERE = "other.example.org"


def commands(page: str, heading: str) -> list[str]:
    """Return the commands of a page that install the portal on an empty machine."""
    text = (PROJECT / page).read_text().partition(f"## {heading}\n")[2]
    block = text.partition("\n\n    ")[2].partition("\n\n")[0]
    return [line.strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """Run them, with the test's repository and authority in the place of the world's."""
    root = empty_root_of("trixie", "3.13", first="git", more=_PACKAGES)
    with root as system, ExitStack() as stack:
        shutil.copy(tool("pebble"), system.files / "usr/local/bin")
        container = stack.enter_context(booted(system, clone=Path(_REPOSITORY)))
        assert container.run("which", "python3", "curl", "git", "openssl").stdout == ""
        authority.start(container)
        said = ""
        *first, last = commands("docs/portal/install.md", "Install")
        assert commands("README.md", "Install the portal") == [*first, last]
        assert len(first) == 3
        assert f" {HOST} " in last
        options = " ".join(authority.OPTIONS[2:])
        for command in (*first, f"{last} {options}"):
            done = container.run(
                "bash", "-c", command.replace("REPOSITORY", f"file://{_REPOSITORY}")
            )
            assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
            said += done.stderr
        authority.fetch_root(container)
        yield used(container, "nginx", said)


def test_a_browser_that_knows_the_authority_sees_the_portal(installed: Installed) -> None:
    assert 'VERSION_ID="13"' in installed.container.must("cat", "/etc/os-release")
    url = f"https://{HOST}/sign-in"
    page = ["curl", "--silent", "--show-error", "--fail", "--cacert", authority.ROOT]
    assert 'name="username"' in installed.container.must(*page, url)
    reply = ask(installed.container, f"http://{HOST}/sign-in")
    assert (reply.status, reply.header("Location")) == (301, url)
    assert authority.serial(installed.container).startswith("serial=")
    assert (installed.ask(installed.url).body, installed.refuses_as_a_server()) == (CONTENT, True)


def test_a_backup_is_made_daily_and_has_what_was_uploaded(installed: Installed) -> None:
    must = installed.container.must
    assert must("systemctl", "is-active", "portal-backup.timer", "certbot.timer").split() == [
        "active",
        "active",
    ]
    must("systemctl", "start", "portal-backup.service")
    must("systemctl", "start", "portal-backup.service")
    first, last = must("find", _BACKUPS, "-mindepth", "1", "-maxdepth", "1").split()
    assert must("stat", "--format=%U %a", _BACKUPS, first).split("\n")[:2] == ["portal 700"] * 2
    stored = PurePosixPath(installed.stored)
    name = f"files/{stored.parent.name}/{stored.name}"
    expected = hashlib.sha256(CONTENT.encode()).hexdigest()
    for backup in (first, last):
        assert must("sha256sum", f"{backup}/{name}").split()[0] == expected
        lines = must("cat", f"{backup}/manifest.jsonl").splitlines()
        assert {"name": name, "size": len(CONTENT), "sha256": expected} in map(json.loads, lines)
    assert must("stat", "--format=%h", f"{first}/{name}").strip() == "2"


def test_a_certificate_that_is_refused_leaves_a_portal_that_works(installed: Installed) -> None:
    container, before = installed.container, authority.serial(installed.container)
    other = f"sed -i 's/{_ELSEWHERE}//' /etc/hosts && echo '203.0.113.1 {_ELSEWHERE}' >>/etc/hosts"
    container.must("sh", "-c", other)
    done = container.install("nginx", _ELSEWHERE)
    assert done.returncode == 1
    assert f"{_ELSEWHERE} is 203.0.113.1 in DNS, which is no address of this machine" in done.stderr
    assert "there is no new certificate: " in done.stderr
    assert f"cannot connect to port 80 of {_ELSEWHERE}. Open it in the firewall" in done.stderr
    assert "The portal runs with the certificate that it had" in done.stderr
    healthy = ["curl", "--silent", "--fail", "--insecure", f"https://{_ELSEWHERE}/healthz"]
    assert '"ok"' in container.must(*healthy, "--resolve", f"{_ELSEWHERE}:443:127.0.0.1")
    done = container.install("nginx")
    assert done.returncode == 0, done.stderr
    assert authority.serial(container) == before  # it was good, and was kept


def test_a_name_that_dns_does_not_know_is_refused_before_anything_is_changed(
    installed: Installed,
) -> None:
    done = installed.container.install("nginx", "unknown.example.org")
    assert done.returncode == 2
    assert "unknown.example.org has no address in DNS" in done.stderr
    assert installed.ask(installed.url).body == CONTENT


def test_certbot_can_be_given_up(installed: Installed) -> None:
    container, before = installed.container, authority.serial(installed.container)
    done = container.install("nginx", HOST, "--certbot=", "--backups=0")
    assert done.returncode == 0, done.stderr
    assert authority.serial(container) == before
    kinds = container.must("stat", "--format=%F %a", "/etc/portal/tls.crt", "/etc/portal/tls.key")
    assert kinds == "regular file 600\n" * 2
    found = container.must("find", "/etc/letsencrypt/renewal", "/etc/letsencrypt/renewal-hooks")
    assert "portal" not in found
    assert container.run("test", "-e", "/etc/portal/acme.conf").returncode != 0
    timers = container.must("systemctl", "list-unit-files", "--plain", "--no-legend")
    assert "portal-backup" not in timers
    assert container.must("ls", _BACKUPS).count("\n") == 2  # they stay
