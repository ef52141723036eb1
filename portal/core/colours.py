"""An organisation's colour, and the shades of it in which text can be read: WCAG 2.2, 1.4.3.

What is filled with the colour keeps it, and gets black or white text. Text in the colour, and the
lines around buttons, are as much darker in the light scheme, and lighter in the dark one, as they
have to be.
"""

from __future__ import annotations

from colorsys import hls_to_rgb, rgb_to_hls
from typing import NamedTuple

READABLE = 4.5
"""The contrast that text needs."""

_WHITE, _BLACK = "#ffffff", "#000000"
# Grounds of portal.css, on which links and buttons stand: pages, cards and messages.
LIGHT = ("#f4f6f6", "#ffffff", "#e3f2ea", "#fbe9e7")
DARK = ("#13191b", "#1c2427", "#1b352a", "#40211f")
_LIGHT_CARD, _DARK_CARD = LIGHT[1], DARK[1]
_SELECTED = 0.09
"""How much of the colour the ground of a selected row has."""


class Shades(NamedTuple):
    """The shades of a colour, each with the one that it has under a pointer, which is stronger.

    :param text: what is written on the colour itself.
    :param light: of text in the light scheme.
    :param dark: of text in the dark scheme.
    """

    fill: str
    fill_strong: str
    text: str
    light: str
    light_strong: str
    dark: str
    dark_strong: str


def shades(colour: str) -> Shades:
    """Return the shades of a colour, which is ``#`` and six hexadecimal digits, as all are."""
    fill = colour.lower()
    # One of the two can always be read: no colour is nearer than 4.58 to both.
    text = _WHITE if contrast(_WHITE, fill) >= READABLE else _BLACK
    light = _readable(fill, LIGHT, _LIGHT_CARD, lightness=0)
    dark = _readable(fill, DARK, _DARK_CARD, lightness=1)
    return Shades(
        fill,
        mix(fill, _BLACK if text == _WHITE else _WHITE, 0.2),
        text,
        light,
        mix(light, _BLACK, 0.25),
        dark,
        mix(dark, _WHITE, 0.35),
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mix(colour: str, other: str, share: float) -> str:
    """Return a colour with a share of another one, as ``color-mix(in srgb)`` does."""
    pairs = zip(_parts(colour), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _readable(colour: str, grounds: tuple[str, ...], card: str, *, lightness: int) -> str:
    """Return the nearest shade that can be read on all grounds, and in a row that is selected.

    :param lightness: of the shade that can be read in any case: white or black. Hue and saturation
        stay until then.
    """
    hue, before, saturation = rgb_to_hls(*(part / 255 for part in _parts(colour)))
    shade = colour
    for percent in range(101):
        step = before + (lightness - before) * percent / 100
        rgb = hls_to_rgb(hue, step, saturation)
        shade = "#" + "".join(f"{round(part * 255):02x}" for part in rgb)
        if all(contrast(shade, one) >= READABLE for one in (*grounds, mix(card, shade, _SELECTED))):
            break
    return shade


def _luminance(colour: str) -> float:
    linear = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (part / 255 for part in _parts(colour))
    )
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
