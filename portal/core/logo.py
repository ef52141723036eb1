"""The organisation's logo, read once: its content says what it is and how large, not its name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from xml.parsers import expat

from .setting_checks import SettingError, shown

LARGEST = 256 * 1024
"""Bytes of a file: each person who comes for the first time loads it."""

_SVG = "http://www.w3.org/2000/svg svg"
_KINDS = "a PNG, JPEG, WebP or SVG file"
# Of the markers that begin a frame, these three begin something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

Size = tuple[float, float]


class Logo(NamedTuple):
    """A picture.

    :param kind: its media type.
    :param suffix: of a file's name.
    :param size: its width and height; of an SVG, only their ratio means something.
    """

    content: bytes
    kind: str
    suffix: str
    size: Size

    @property
    def ratio(self) -> float:
        """Its width divided by its height."""
        return self.size[0] / self.size[1]


def read(value: object) -> Logo:
    """Read the picture at a path.

    :raises SettingError: if it cannot be read, or shown.
    """
    if not (isinstance(value, str) and value.startswith("/")):
        raise SettingError(
            f"PORTAL_LOGO must be the absolute path of {_KINDS}, not {shown(value)}."
        )
    content = _content(Path(value))
    for kind, (suffix, size_of) in _READERS.items():
        if size := _size(size_of, content):
            return Logo(content, kind, suffix, size)
    raise SettingError(
        f"PORTAL_LOGO is {shown(value)}, which is not {_KINDS} with a width and a height. In an"
        " SVG, these are its viewBox."
    )


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise SettingError(
                f"PORTAL_LOGO is {shown(str(path))}, and there is no file that the portal's user"
                " can see."
            )
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"PORTAL_LOGO is {shown(str(path))}, which cannot be read: {error}."
        ) from error
    if len(content) > LARGEST:
        raise SettingError(
            f"PORTAL_LOGO is {shown(str(path))}, which is larger than {LARGEST // 1024} KiB. Save"
            " it smaller: pages show it 32 pixels high."
        )
    return content


def _size(size_of: Callable[[bytes], Size | None], content: bytes) -> Size | None:
    """Return the width and height of a picture of one kind, or None for anything else."""
    try:
        size = size_of(content)
    except (struct.error, IndexError, ValueError, expat.ExpatError):  # cut short, or no number
        return None
    # Not "<= 0", which lets nan pass.
    return size if size and all(0 < side < 1e6 for side in size) else None


def _png(content: bytes) -> Size | None:
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _jpeg(content: bytes) -> Size | None:
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        # 0xFF may be repeated before a marker.
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", content, at + 2)[0]
    return None


def _webp(content: bytes) -> Size | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _svg(content: bytes) -> Size | None:
    """Read all of an SVG, as browsers show nothing of one with an error in it."""
    elements: list[tuple[str, Mapping[str, str]]] = []

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        if not elements:
            elements.append((name, attributes))

    def refuse(*_: object) -> None:
        raise ValueError("entities")  # which can be nested, and huge

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.EntityDeclHandler = refuse
    parser.Parse(content, True)
    name, attributes = elements[0]
    if name != _SVG:
        return None
    if box := attributes.get("viewBox"):
        _, _, width, height = map(float, box.replace(",", " ").split())
    else:
        width, height = (float(attributes.get(side, "").removesuffix("px") or 0) for side in _SIDES)
    return width, height


_SIDES = ("width", "height")
_READERS = MappingProxyType(
    {
        "image/png": ("png", _png),
        "image/jpeg": ("jpg", _jpeg),
        "image/webp": ("webp", _webp),
        "image/svg+xml": ("svg", _svg),
    }
)
