"""What an application's own tests need: assertions on responses, and a real Apache.

The assertions need only the extension. The fixture needs pytest, mod_wsgi and Apache, and loads
when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .apache import Apache
from .assertions import assert_delegated, assert_refused

if TYPE_CHECKING:
    from .fixture import ServeWithApache, serve_with_apache

__all__ = ["Apache", "ServeWithApache", "assert_delegated", "assert_refused", "serve_with_apache"]


def __getattr__(name: str) -> Any:
    if name in ("ServeWithApache", "serve_with_apache"):
        from . import fixture

        return getattr(fixture, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
