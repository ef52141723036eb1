"""The programs of the system that tests need: one that is missing fails the test, and is named."""

from __future__ import annotations

import os
import shutil

import pytest

_PACKAGES = {
    **dict.fromkeys(("a2dissite", "a2enmod", "a2ensite"), "apache2"),
    "fail2ban-regex": "fail2ban",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
    "varnishd": "varnish",
}
"""Debian's packages whose names are not their program's."""


def tool(name: str) -> str:
    """Return the path of a program, or fail the test with the command that installs it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if found is None:
        package = _PACKAGES.get(name, name)
        pytest.fail(
            f"This test needs {name} from the package {package}: run 'apt-get install {package}'"
            " as root, or scripts/test, which installs all that tests need.",
            pytrace=False,
        )
    return found
