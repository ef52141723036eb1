"""Draw the icons of an installed portal from its icon: ``python -m tests.support.browser.icons``.

Their palette is that of ``portal.web.app_icons``.
"""

from __future__ import annotations

import re
import struct
import zlib

from playwright.sync_api import Page

from portal.web import app_icons

from ..paths import PROJECT
from .portal import chromium

_STATIC = PROJECT / "portal" / "web" / "static"
_TRANSPARENT = 255


_DRAW = """async ([svg, size]) => {
  const image = new Image(size, size);
  image.src = `data:image/svg+xml;base64,${btoa(svg)}`;
  await image.decode();
  const canvas = new OffscreenCanvas(size, size).getContext("2d");
  canvas.drawImage(image, 0, 0, size, size);
  return [...canvas.getImageData(0, 0, size, size).data];
}"""


def draw(page: Page, size: int, svg: str) -> bytes:
    """Return the pixels of an SVG: four bytes each, of red, green, blue and alpha."""
    return bytes(page.evaluate(_DRAW, [svg.replace("<svg ", f'<svg width="{size}" '), size]))


def indexed(drawn: bytes, size: int) -> bytes:
    """Return the PNG of a square picture whose ground is black, and whose writing is white."""
    most = app_icons.LEVELS - 1

    def index(red: int, alpha: int) -> int:
        if alpha < _TRANSPARENT:
            return app_icons.LEVELS + round(alpha * most / 255)
        return round(red * most / 255)

    pixels = bytes(map(index, drawn[::4], drawn[3::4]))
    lines = b"".join(b"\0" + pixels[at : at + size] for at in range(0, len(pixels), size))
    alphas = bytes([255] * app_icons.LEVELS + [round(one * 255 / most) for one in range(most + 1)])
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0)),
        (b"PLTE", app_icons.palette(*app_icons.COLOURS)),
        (b"tRNS", alphas),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def main() -> None:
    svg = (_STATIC / "icon.svg").read_text(encoding="utf-8")
    plain = svg.replace("#1f5f6b", "#000")
    # Phones cut off as much as a fifth of each side.
    whole = re.sub(r"<rect[^>]*/>", '<rect x="-8" y="-8" width="48" height="48"/>', plain)
    whole = whole.replace("0 0 32 32", "-2 -2 36 36")
    with chromium() as browser:
        page = browser.new_page()
        for name, source in zip(app_icons.FILES, (plain, plain, whole), strict=True):
            size = int(name.removesuffix(".png").rpartition("-")[2])
            (_STATIC / name).write_bytes(indexed(draw(page, size, source), size))


if __name__ == "__main__":
    main()
