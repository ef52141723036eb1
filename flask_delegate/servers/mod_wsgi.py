"""mod_wsgi in daemon mode: see :mod:`.apache_redirect`.

Source: "Delegating File Serving To Apache" in mod_wsgi's documentation.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping

from ..areas import Area
from ..exceptions import ConfigurationError
from . import apache
from .apache_redirect import ApacheRedirect, Obstacle
from .base import Choices, Keeps
from .handshake import PROCESS_GROUP

_PROCESS_GROUP = re.compile(r"[A-Za-z0-9._:@/-]+")


class ModWsgi(ApacheRedirect):
    """See the module."""

    name = "mod_wsgi"
    keeps = Keeps(cookies=False, headers=False, rate_limit=True)
    choices = ("site", "process_group", "sendfile", "receipts", "store_connections")
    software = "mod_wsgi"
    modules = ("alias", "authz_core", "env", "headers", "ratelimit", "setenvif", "wsgi")
    runs_python = True
    needs_daemon_mode = True
    _by = "a daemon process of this server"

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        return apache.has_module("wsgi") or bool(importlib.util.find_spec("mod_wsgi"))

    def _stranger(self, environ: Mapping[str, object]) -> Obstacle | None:
        ours = environ.get(PROCESS_GROUP)
        if ours is None:
            cure = "Nothing to do in development."
            return "this server is not Apache with mod_wsgi.", cure, "other-server"
        if not ours:
            cure = (
                "Use daemon mode (WSGIDaemonProcess and WSGIProcessGroup; mod_wsgi-express does)."
            )
            seen = "mod_wsgi runs in embedded mode, where it does not follow a Location."
            return seen, cure, "embedded"
        return None

    def _other_group(self, environ: Mapping[str, object], group: str) -> Obstacle | None:
        ours = environ[PROCESS_GROUP]
        if group == ours:
            return None
        cure = "Write the configuration with the right --process-group, or without."
        seen = f"only the process group {group!r} may hand off, and this one is {ours!r}."
        return seen, cure, "process-group"

    def _regenerate(self) -> str:
        return (
            "Write the Apache configuration with 'flask delegate apache-config --output FILE', load"
            " it with 'mod_wsgi-express start-server --include-file FILE' or an Include directive,"
            " and restart Apache."
        )

    def _origin(self, choices: Choices) -> str:
        group, name = "reqenv('REDIRECT_mod_wsgi.process_group')", choices.process_group
        if name is None:
            return f"-n {group}"
        if _PROCESS_GROUP.fullmatch(name):
            return f"{group} == '{name}'"
        problem = f"{name!r} is not a process group's name."
        cure = "Give the name that WSGIDaemonProcess has."
        raise ConfigurationError("--process-group", problem, cure)

    def _modules(self, needed: set[str], choices: Choices) -> str:
        return super()._modules(needed - {"wsgi"}, choices)

    def _preamble(self) -> str:
        return apache.METHOD_RULE

    def _value(self, area: Area, choices: Choices) -> str:
        return " ".join([area.url, *filter(None, [choices.process_group])])
