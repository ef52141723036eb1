"""What pages show of the organisation itself: its logo and its colour, as files of the portal.

They lie beside the static files and share their version: no style may stand in a page itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from portal.core import logo
from portal.core.colours import Shades, shades
from portal.core.logo import Logo

from . import app_icons

_ICON = Path(__file__).with_name("static") / "icon.svg"
_COLOURS_OF_ICON = ("#1f5f6b", "#fff")
_SVG = "image/svg+xml"
_MANIFEST = "portal.webmanifest"
_MOST_OF_A_SQUARE = 1.34
"""How much wider than high, or higher, a logo is that can be read in a browser's tab."""

_STYLE = """\
:root {{
  --accent: light-dark({light}, {dark});
  --accent-strong: light-dark({light_strong}, {dark_strong});
}}
.bar {{
  border-top: 0.25rem solid light-dark({fill}, {dark});
}}
.main {{
  border-color: var(--accent);
  background: {fill};
  color: {text};
  &:hover {{
    background: {fill_strong};
  }}
}}
"""


class OwnFile(NamedTuple):
    """A file of the organisation's own, and its media type."""

    content: bytes
    kind: str


class Picture(NamedTuple):
    """A picture in pages, by its name among the static files, and its size there in pixels."""

    filename: str
    kind: str
    width: int
    height: int


class Look(NamedTuple):
    """What templates need to know; the names are those of static files.

    :param icon: of the browser's tab.
    :param logo: beside the portal's name.
    :param style: the sheet with the organisation's colour, or none.
    :param manifest: what says how the portal is installed on a phone.
    :param app_icon: of the portal that is installed there.
    :param files: those that are the organisation's own.
    """

    icon: Picture
    logo: Picture
    style: str
    manifest: str
    app_icon: str
    files: Mapping[str, OwnFile]


def look(config: Mapping[str, Any]) -> Look:
    """Return what the settings want pages to look like.

    :raises SettingError: for a logo that cannot be read, or shown.
    """
    files: dict[str, OwnFile] = {}
    shown = icon = Picture("icon.svg", _SVG, 28, 28)
    style, folder, theme, square = "", "", app_icons.COLOURS[0], None
    if config["COLOUR"]:
        style, colours = "own/colour.css", shades(config["COLOUR"])
        files[style] = OwnFile(_STYLE.format(**colours._asdict()).encode(), "text/css")
        shown = icon = icon._replace(filename="own/icon.svg")
        files[icon.filename] = OwnFile(_icon(colours), _SVG)
        folder, theme = "own/", colours.fill
        for name in app_icons.FILES:
            content = app_icons.coloured(name, colours.fill, colours.text)
            files[f"{folder}{name}"] = OwnFile(content, "image/png")
    if config["LOGO"] is not None:
        picture = logo.read(config["LOGO"])
        shown = _picture(picture)
        files[shown.filename] = OwnFile(picture.content, picture.kind)
        if 1 / _MOST_OF_A_SQUARE < picture.ratio < _MOST_OF_A_SQUARE:
            icon, square = shown, picture
    installed = app_icons.icons(folder, square, shown.filename)
    content = app_icons.manifest(config["NAME"], theme, installed)
    files[_MANIFEST] = OwnFile(content, "application/manifest+json")
    return Look(icon, shown, style, _MANIFEST, installed[0].filename, files)


def _picture(picture: Logo) -> Picture:
    height = 32
    width = max(1, round(height * min(picture.ratio, 100)))
    return Picture(f"own/logo.{picture.suffix}", picture.kind, width, height)


def _icon(colours: Shades) -> bytes:
    """Return the portal's icon in the organisation's colour."""
    text = _ICON.read_text(encoding="utf-8")
    for old, new in zip(_COLOURS_OF_ICON, (colours.fill, colours.text), strict=True):
        text = text.replace(f'"{old}"', f'"{new}"')
    return text.encode()
