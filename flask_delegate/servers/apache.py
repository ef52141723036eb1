"""What the servers based on Apache share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PRODUCT = "Apache"
COMMAND = "apache-config"

_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


def has_module(name: str) -> bool:
    """Return whether a module is installed, by its name without ``mod_``."""
    return any(Path(folder, f"mod_{name}.so").exists() for folder in _FOLDERS)


def module_rules(names: Iterable[str], *, load: bool) -> str:
    """Return what happens where Apache lacks a module that the rules use.

    :param load: load it, as mod_wsgi-express needs it; otherwise stop with a message.
    """
    return "".join(_module_rule(name, load=load) for name in sorted(names))


def _module_rule(name: str, *, load: bool) -> str:
    if load:
        action = f'LoadModule {name}_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so"'
    else:
        action = f'Error "Flask-Delegate needs mod_{name}. On Debian and Ubuntu: a2enmod {name}"'
    return f"<IfModule !{name}_module>\n    {action}\n</IfModule>\n"
