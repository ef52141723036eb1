"""The portal for a WSGI server, configured by ``PORTAL_*`` variables in the environment."""

from __future__ import annotations

from contextlib import suppress
from ctypes import CDLL

from portal import create_app

_M_ARENA_MAX = -8  # of glibc's malloc.h


def _share_heaps() -> None:
    """Have all threads share two heaps: else many have their own, which keeps what it once had.

    A thread waits for Python far longer than for a heap. See mallopt(3); other libraries than
    glibc have no such option.
    """
    with suppress(AttributeError):
        CDLL(None).mallopt(_M_ARENA_MAX, 2)


_share_heaps()
application = create_app()
