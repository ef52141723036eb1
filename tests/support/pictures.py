"""Pictures, whole ones and others, as people and attackers upload them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

PLACE = b"48 deg 51 min north"
"""What the metadata of a photo says of where it was taken."""


def photo(width: int = 640, height: int = 480, *, rough: float = 8) -> Image.Image:
    """Return something of a photo's structure: gradients, and noise as of a sensor."""
    bands = [
        Image.linear_gradient("L"),
        Image.radial_gradient("L"),
        Image.linear_gradient("L").rotate(90),
    ]
    smooth = Image.merge("RGB", bands).resize((width, height))
    noise = Image.effect_noise((width, height), rough).convert("RGB")
    return Image.blend(smooth, noise, 0.3)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_metadata(picture: Image.Image, turned: int = 6) -> bytes:
    """Return a JPEG with a place, a comment and more that says where to turn it."""
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x010E] = PLACE.decode()
    return encoded(picture, "JPEG", exif=exif, comment=PLACE)


def png(width: int, height: int, content: bytes, depth: int = 8, colours: int = 2) -> bytes:
    """Return a PNG that declares to be of that size, with any content."""
    header = struct.pack("!IIBBBBB", width, height, depth, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(content, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))
        for name, data in chunks
    )


def opened(thumbnail: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(thumbnail))
    picture.load()
    return picture
