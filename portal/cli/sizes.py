"""Sizes as arguments, such as ``10G``; ``portal.web.filters.human_size`` prints them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    SizeParameter = click.ParamType[int]
else:  # older versions of click have no type arguments
    SizeParameter = click.ParamType

_UNITS = {letter: 1024**power for power, letter in enumerate("KMGT", 1)}
_LARGEST = 2**63 - 1
"""The largest integer in the database."""
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?:([KMGT])(?:I?B)?|B)?", re.ASCII)


class Size(SizeParameter):
    """A number of bytes: ``500``, ``1.5M``, ``10G``, ``10 GiB``. Units are powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes; a number is one already."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip().upper())
        # A float would round large sizes.
        size = Fraction(found[1]) * _UNITS.get(found[2], 1) if found else Fraction(-1)
        if not 0 <= size <= _LARGEST or size.denominator != 1:
            self.fail(f"{value!r} is not a size. Write it like 500M, 1.5G or 2T.", param, ctx)
        return int(size)


SIZE = Size()
