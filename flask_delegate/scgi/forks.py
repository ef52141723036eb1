"""What a process that the application forks must not have a copy of.

The end of a connection is the end of a response, or its reset: neither comes while any process has
the connection open. What is executed gets none (PEP 446).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_kept: set[socket.socket] = set()


@contextmanager
def kept_from_children(one: socket.socket) -> Iterator[None]:
    """Have processes that are forked meanwhile close their copies of a socket."""
    _kept.add(one)
    try:
        yield
    finally:
        _kept.discard(one)


def _close() -> None:
    for one in _kept:
        one.close()


os.register_at_fork(after_in_child=_close)
