"""The newer release of Debian: install the portal there, and ask its own servers the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.lib.environment import group
from tests.support.containers import CLONE, Container, booted
from tests.support.installed import CONTENT, ask, installed_with
from tests.support.roots import root_of

pytestmark = pytest.mark.timeout(600)

_SERVERS = ("apache2", "libapache2-mod-wsgi-py3", "nginx", "libnginx-mod-http-js", "lighttpd")
"""Those that Debian has; its Caddy is as old as that of Debian 12."""
_PYTHON = "/opt/tests/bin/python"
_NEEDED = ("pytest", "pytest-timeout", "h2", "hypothesis", "flask", "gunicorn")
"""What the live tests import, and what stands behind those servers."""


@pytest.fixture(scope="module")
def debian_13() -> Iterator[Container]:
    wheels = [one for one in group("unit") if one.startswith(_NEEDED)]
    root = root_of("trixie", python="3.13", packages=_SERVERS, wheels=wheels)
    with root as system, booted(system) as container:
        assert 'VERSION_ID="13"' in container.must("cat", "/etc/os-release")
        container.must("python3", "-m", "venv", "/opt/tests")
        container.must(_PYTHON, "-m", "pip", "install", "--quiet", *_NEEDED)
        yield container


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ("test_contract.py", "site-debians-mod_wsgi or scgi or nginx-gunicorn or lighttpd"),
        ("test_signed_urls.py", "nginx"),
        ("test_signed_folders.py", "nginx"),
    ],
)
def test_its_servers_pass_the_live_tests(debian_13: Container, tests: str, names: str) -> None:
    words = [
        f"--rootdir={CLONE}",
        "-p",
        "no:cacheprovider",
        "-q",
        f"tests/live/{tests}",
        "-k",
        names,
    ]
    place = (f"--chdir={CLONE}", "HYPOTHESIS_STORAGE_DIRECTORY=/opt/tests/hypothesis")
    done = debian_13.run("env", *place, _PYTHON, "-B", "-m", "pytest", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_portal_installs_on_debian_13_and_apache_sends_the_file(debian_13: Container) -> None:
    # docs/extension/apache.md names it.
    assert "5.0.2" in debian_13.must("dpkg-query", "--show", "libapache2-mod-wsgi-py3")
    installed = installed_with(debian_13, "apache-site")
    assert ask(debian_13, "/healthz").status == 200
    reply = installed.ask(installed.url)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert installed.refuses_as_a_server()
