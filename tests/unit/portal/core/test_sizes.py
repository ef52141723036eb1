"""Sizes as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core import sizes

UNITS = st.sampled_from([sizes.KIB, sizes.MIB, sizes.GIB, sizes.TIB])


@given(whole=st.integers(0, 1023), digits=st.integers(0, 999), unit=UNITS)
def test_size_is_shown_as_it_was_typed(whole: int, digits: int, unit: int) -> None:
    typed = f"{whole}.{digits:03}".rstrip("0").rstrip(".")
    size = sizes.read(typed, unit)
    assert abs(size - float(typed) * unit) <= max(0.5, size * 1e-15)
    shown = sizes.write(size, unit)
    assert sizes.read(shown, unit) == size
    if unit > sizes.KIB:  # of which a thousandth is about a byte
        assert shown == typed


@given(size=st.integers(0, sizes.LARGEST), unit=UNITS)
def test_what_is_shown_is_read_as_the_same_size(size: int, unit: int) -> None:
    assert sizes.read(sizes.write(size, unit), unit) == size


@pytest.mark.parametrize(
    ("typed", "size"), [("1.7", 1825361101), ("1,7", 1825361101), ("0", 0), ("0,125", 134217728)]
)
def test_numbers_are_read(typed: str, size: int) -> None:
    assert sizes.read(typed, sizes.GIB) == size


@pytest.mark.parametrize(
    "typed",
    ["", "-1", "1e3", "nan", "1.", ".5", "٣", "1 ", "9" * 20, "1,000", "10,240", "0.0000000001"],
)
def test_what_is_no_size_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"no number|more than|less than"):
        sizes.read(typed, sizes.GIB)
