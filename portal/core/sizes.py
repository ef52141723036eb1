"""Sizes as people type them, in some unit: shown again as they were typed."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from itertools import count

KIB, MIB, GIB, TIB = (1024**power for power in range(1, 5))
LARGEST = 1024 * TIB
"""In bytes: more than any disk has."""

# No exponents: a number of a million digits would keep the whole process busy.
_NUMBER = re.compile(r"[0-9]{1,20}(?:[.,][0-9]{1,40})?", re.ASCII)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)


def read(typed: str, unit: int) -> int:
    """Return the bytes of ``1.7`` or ``1,7`` of a unit, rounded to whole ones.

    :raises ValueError: if it is no number, too large or less than a byte, or a comma may stand
        between thousands.
    """
    if not _NUMBER.fullmatch(typed) or _THOUSANDS.fullmatch(typed):
        raise ValueError("no number of a unit")
    size = _bytes(typed.replace(",", "."), unit)
    if size > LARGEST:
        raise ValueError("more than any disk has")
    if not size and typed.strip("0.,"):
        raise ValueError("less than a byte")
    return size


def write(size: int, unit: int) -> str:
    """Return the shortest number of a unit that :func:`read` returns these bytes for."""
    exact = Decimal(size) / unit
    numbers = (f"{exact:.{digits}f}" for digits in count())
    return next(number for number in numbers if _bytes(number, unit) == size)


def _bytes(number: str, unit: int) -> int:
    # A float would round large sizes.
    return round(Fraction(number) * unit)
