"""A backup of an installed portal, and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.containers import booted
from tests.support.installed import CONTENT, FILES, Installed, installed_with, sign_in
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def backed_up() -> Iterator[Installed]:
    """Return a portal of which there is a daily backup, made as the readme says."""
    with booted() as container:
        made = installed_with(container, "nginx")
        container.must("bash", "-ec", block("## Back up"))
        yield made


def block(heading: str) -> str:
    """Take the commands that come first under a heading of the readme."""
    text = (PROJECT / "docs/portal/install.md").read_text().partition(f"{heading}\n")[2]
    return text.partition("\n\n    ")[2].partition("\n\n")[0]


def test_a_backup_takes_the_folder_of_the_caller(backed_up: Installed) -> None:
    container = backed_up.container
    container.must("sh", "-c", "cd /var/backups/portal && portal backup here.tar")
    assert container.must("stat", "-c", "%U %a", "/var/backups/portal/here.tar") == "portal 600\n"


def test_the_commands_of_the_readme_bring_the_files_back(backed_up: Installed) -> None:
    container = backed_up.container
    container.must("rm", backed_up.stored)
    assert backed_up.ask(backed_up.url).status != 200
    container.must("bash", "-ec", block("## Restore"))
    sign_in(container, backed_up.password)
    assert backed_up.ask(backed_up.url).body == CONTENT
    listed = container.must("stat", "-c", "%U %G %a", str(FILES), "/srv/portal/incoming")
    assert listed == "portal www-data 2750\nportal www-data 2700\n"
    assert container.run("cat", backed_up.stored, user="www-data").stdout == CONTENT
    assert container.must("stat", "-c", "%U %a", "/srv/portal.before") == "root 700\n"
