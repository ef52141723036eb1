"""Whatever an organisation's colour is, everybody can read what is written in it and on it."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from portal.core import colours
from portal.core.colours import DARK, LIGHT, READABLE, contrast, mix, shades
from tests.support.paths import PROJECT

COLOURS = st.binary(min_size=3, max_size=3).map(lambda parts: f"#{parts.hex()}")


@given(COLOURS)
@example("#ffcc00")
@example("#003366")
@example("#777777")
def test_every_colour_can_be_read(colour: str) -> None:
    found = shades(colour)
    assert found.fill == colour
    for fill in (found.fill, found.fill_strong):
        assert contrast(found.text, fill) >= READABLE
    for grounds, normal, strong in (
        (LIGHT, found.light, found.light_strong),
        (DARK, found.dark, found.dark_strong),
    ):
        for shade in (normal, strong):
            selected = mix(grounds[1], normal, 0.09)
            assert all(contrast(shade, ground) >= READABLE for ground in (*grounds, selected))


def test_colour_that_can_be_read_stays_as_it_is() -> None:
    assert shades("#1F5F6B").light == "#1f5f6b"
    assert shades("#7cc6d3").dark == "#7cc6d3"


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
    assert contrast("#123456", "#123456") == 1


def test_grounds_are_those_of_the_style_sheet() -> None:
    style = (PROJECT / "portal/web/static/portal.css").read_text()
    pairs = dict(re.findall(r"--([a-z-]+): light-dark\((#\w{6}, #\w{6})\)", style))
    names = ("page", "card", "good-back", "bad-back")
    assert [tuple(pairs[name].split(", ")) for name in names] == [*zip(LIGHT, DARK, strict=True)]
    share = re.search(r"color-mix\(in srgb, var\(--accent\) (\d+)%, transparent\)", style)
    assert share
    assert int(share[1]) == colours._SELECTED * 100
