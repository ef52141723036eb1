"""The newer release of Debian: install the portal there, and download a file."""

from __future__ import annotations

import pytest

from tests.support.containers import booted
from tests.support.installed import CONTENT, ask, installed_with
from tests.support.roots import root_of

pytestmark = pytest.mark.timeout(600)


def test_the_portal_installs_on_debian_13_and_apache_sends_the_file() -> None:
    with root_of("trixie", python="3.13") as system, booted(system) as container:
        assert 'VERSION_ID="13"' in container.must("cat", "/etc/os-release")
        # docs/extension/apache.md names it.
        assert "5.0.2" in container.must("dpkg-query", "--show", "libapache2-mod-wsgi-py3")
        installed = installed_with(container, "apache-site")
        assert ask(container, "/healthz").status == 200
        reply = installed.ask(installed.url)
        assert (reply.status, reply.body) == (200, CONTENT)
        assert installed.refuses_as_a_server()
