"""What the servers based on Apache share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PRODUCT = "Apache"
COMMAND = "apache-config"

LONGEST_PATH = 3840
"""Bytes of a file's path. APR's ``apr_filepath_merge`` has 4,092 bytes for it and for Apache's
``ServerRoot`` (with mod_xsendfile, the area's folder): 252 are left for that."""

_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


def has_module(name: str) -> bool:
    """Return whether a module is installed, by its name without ``mod_``."""
    return any(Path(folder, f"mod_{name}.so").exists() for folder in _FOLDERS)


def module_rules(names: Iterable[str], *, load: bool) -> str:
    """Return what happens where Apache lacks a module that the rules use.

    :param load: load it, as mod_wsgi-express needs it; otherwise stop with a message.
    """
    action = 'Error "Flask-Delegate needs mod_{0}. On Debian and Ubuntu: a2enmod {0}"'
    if load:
        action = 'LoadModule {0}_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{0}.so"'
    rule = f"<IfModule !{{0}}_module>\n    {action}\n</IfModule>\n"
    return "".join(rule.format(name) for name in sorted(names))
