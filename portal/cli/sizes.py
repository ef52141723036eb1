"""Sizes as arguments, such as ``10G``; ``portal.web.filters.human_size`` prints them."""

from __future__ import annotations

import re
from fractions import Fraction

import click

_UNITS = {letter: 1024**power for power, letter in enumerate("KMGT", 1)}
_LARGEST = 2**63 - 1
"""The largest integer in the database."""
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?:([KMGT])(?:I?B)?|B)?", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes of ``500``, ``1.5M``, ``10G`` or ``10 GiB``. Units are powers of 1024.

    :raises click.BadParameter: for anything else.
    """
    found = _SIZE.fullmatch(text.strip().upper())
    # A float would round large sizes.
    size = Fraction(found[1]) * _UNITS.get(found[2], 1) if found else Fraction(-1)
    if not 0 <= size <= _LARGEST or size.denominator != 1:
        raise click.BadParameter(f"{text!r} is not a size. Write it like 500M, 1.5G or 2T.")
    return int(size)
