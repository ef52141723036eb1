"""What a phone needs to install the portal: a manifest, and icons in the organisation's look.

The icons are PNGs whose palette goes from the colour to what is written on it, so another colour is
another palette: no library that draws pictures is needed for that.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from portal.core.colours import mix
from portal.core.logo import Logo

LEVELS = 16
"""Entries of each half of the palette: of the colour with ever more of the writing, and of the
colour that is ever less transparent."""
FILES = ("icon-192.png", "icon-512.png", "icon-maskable-512.png")
COLOURS = ("#1f5f6b", "#ffffff")
"""Of the icons as they are shipped: the ground, and what is written on it."""
_GROUND = "#f4f6f6"
_STATIC = Path(__file__).with_name("static")
_LEAST = 192
"""Pixels of a picture that phones take for an icon."""


class AppIcon(NamedTuple):
    """An icon as a manifest names it, by its name among the static files."""

    filename: str
    kind: str
    sizes: str
    purpose: str = "any"


def palette(ground: str, writing: str) -> bytes:
    """Return the palette of an icon in two colours."""
    shades = [mix(ground, writing, level / (LEVELS - 1)) for level in range(LEVELS)]
    return b"".join(bytes.fromhex(one[1:]) for one in [*shades, *[ground] * LEVELS])


def coloured(filename: str, ground: str, writing: str) -> bytes:
    """Return an icon of :data:`FILES` in other colours."""
    content = (_STATIC / filename).read_bytes()
    at = content.index(b"PLTE")
    (length,) = struct.unpack_from(">I", content, at - 4)
    chunk = b"PLTE" + palette(ground, writing)
    checked = chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:at] + checked + content[at + 4 + length + 4 :]


def icons(folder: str, logo: Logo | None, name_of_logo: str) -> Sequence[AppIcon]:
    """Return the icons of an installed portal: the logo, where phones take it, or the portal's own.

    :param folder: where the latter are among the static files: "", or a folder with a slash.
    :param logo: one that is about as wide as high, if there is one.
    """
    if logo and logo.kind == "image/svg+xml":
        return [AppIcon(name_of_logo, logo.kind, "any")]
    if logo and logo.kind in {"image/png", "image/webp"} and min(logo.size) >= _LEAST:
        width, height = map(round, logo.size)
        return [AppIcon(name_of_logo, logo.kind, f"{width}x{height}")]
    small, large, maskable = (f"{folder}{one}" for one in FILES)
    return [
        AppIcon(small, "image/png", "192x192"),
        AppIcon(large, "image/png", "512x512"),
        AppIcon(maskable, "image/png", "512x512", "maskable"),
    ]


def manifest(name: str, colour: str, shown: Sequence[AppIcon]) -> bytes:
    """Return the manifest, which lies among the static files, and names icons beside it.

    It says that phones may send files to the portal: see ``static/share_worker.js``.
    """
    said = {
        "id": "/",
        "name": name,
        "short_name": name,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "theme_color": colour,
        "background_color": _GROUND,
        "icons": [
            {"src": one.filename, "type": one.kind, "sizes": one.sizes, "purpose": one.purpose}
            for one in shown
        ],
        "share_target": {
            "action": "/receive/files",
            "method": "POST",
            "enctype": "multipart/form-data",
            "params": {"files": [{"name": "file", "accept": ["*/*"]}]},
        },
    }
    return json.dumps(said, ensure_ascii=False).encode()
