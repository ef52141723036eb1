"""A server that runs, for tests to ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flask_delegate.servers.base import Keeps

from .clients import Reply, get
from .sites import Site


@dataclass(frozen=True)
class Running:
    """A server to ask.

    :param port: on 127.0.0.1.
    :param keeps: what its backend says of itself.
    :param host: what it wants to be called.
    :param mount: where the application is mounted.
    :param heeds_if_match: whether it answers with 412 where no tag matches.
    :param header: the one by which its backend hands off, for some.
    :param appends: whether it adds its fingerprints to those that a client sends.
    """

    port: int
    keeps: Keeps
    host: str = "127.0.0.1"
    mount: str = ""
    tls: bool = False
    heeds_if_match: bool = True
    header: str | None = None
    appends: bool = False

    def get(self, target: str, **request: Any) -> Reply:
        """Ask for a URL of the application; the rest is :func:`.client.get`'s."""
        return self.get_directly(self.mount + target, **request)

    def get_directly(
        self, target: str, *, headers: dict[str, str] | None = None, **request: Any
    ) -> Reply:
        """Ask for a URL of the server."""
        fields = {"Host": self.host, **(headers or {})}
        return get(self.port, target, headers=fields, tls=self.tls, **request)


HOST = "delegate.test"


Start = Callable[[Site], AbstractContextManager[Running]]
