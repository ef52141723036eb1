"""From one server to another on the same machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.containers import booted
from tests.support.installed import CONTENT, Installed, installed_with
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def switched() -> Iterator[Installed]:
    with booted() as container:
        before = installed_with(container, "apache-site")
        done = container.install("nginx")
        assert done.returncode == 0, done.stderr
        yield replace(before, server="nginx", messages=done.stderr)


def test_files_and_sessions_stay(switched: Installed) -> None:
    reply = switched.ask(switched.url)
    assert reply.body == CONTENT
    assert reply.header("Server").startswith("nginx")


def test_the_former_server_is_switched_off(switched: Installed) -> None:
    assert "stopped and disabled apache2" in switched.messages
    for question, answer in (("is-active", "inactive"), ("is-enabled", "disabled")):
        assert switched.container.run("systemctl", question, "apache2").stdout.strip() == answer
    found = switched.container.must("find", "/etc/apache2", "-name", "portal.conf")
    assert found == ""


def test_a_server_that_others_use_is_left_alone(switched: Installed) -> None:
    container = switched.container
    container.must("sh", "-c", "echo 'Listen 8080' >/etc/apache2/ports.conf")
    container.must("systemctl", "start", "apache2")
    done = container.install("nginx")
    assert done.returncode == 2
    assert "apache2 is running, and nginx needs the ports 80 and 443" in done.stderr
    assert switched.ask(switched.url).body == CONTENT


def test_a_site_beside_the_portals_is_not_stopped(switched: Installed) -> None:
    container = switched.container
    container.must("systemctl", "stop", "apache2")
    container.must("sh", "-c", "echo '# nothing' >/etc/nginx/sites-enabled/wiki.conf")
    done = container.install("apache-site")
    container.must("rm", "/etc/nginx/sites-enabled/wiki.conf")
    assert done.returncode == 2
    assert "nginx serves more than the portal (wiki.conf)" in done.stderr
    assert switched.ask(switched.url).body == CONTENT


def test_the_commands_of_the_readme_uninstall_it_and_leave_the_data(switched: Installed) -> None:
    readme = (PROJECT / "docs/portal/install.md").read_text()
    block = readme.partition("## Uninstall\n\n")[2].partition("\n\n")[0]
    switched.container.must("bash", "-ec", block)
    listed = switched.container.must("systemctl", "list-unit-files", "--plain", "--no-legend")
    assert "portal" not in listed
    assert switched.container.must("systemctl", "is-active", "nginx") == "active\n"
    assert switched.container.must("cat", switched.stored) == CONTENT
    left = switched.container.must("find", "/etc", "/usr/local/sbin", "-name", "*portal*")
    assert left == "/etc/portal\n"
    assert switched.container.run("test", "-e", "/opt/portal").returncode != 0
