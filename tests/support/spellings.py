"""Direct requests for an internal URL, in every way that might slip past a guard.

The doctor has them, so that what is tried here is tried on every server.
"""

from __future__ import annotations

from flask_delegate.doctor.requests import families as made
from flask_delegate.doctor.requests.families import FAMILIES, SPOOFED, Attack

MARK = b"only the hand-off may deliver this\n"

__all__ = ["MARK", "SPOOFED", "attacks", "targets"]


def targets(name: str) -> list[bytes]:
    """Spell ``/private/NAME``; most servers map the greater part of these to the same file."""
    return made.targets("/private/", name)


def attacks(name: str) -> list[Attack]:
    """List the attacks on one file over HTTP/1 and HTTP/0.9."""
    families = (family for family in FAMILIES if family.versions != ("HTTP/2",))
    return [attack for family in families for attack in made.requests(family, "/private/", name)]
