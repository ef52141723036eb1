"""Small files created by code: a picture, a document, a sound."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from math import pi, sin

_RATE = 8000
"""Samples in a second of sound."""


def png(width: int, height: int) -> bytes:
    """Return a picture: a gradient from blue to orange."""
    rows = bytearray()
    for y in range(height):
        part = 255 * y // height
        rows += b"\0" + bytes((40 + part * 200 // 255, 60 + part // 2, 160 - part // 2)) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def pdf(line: str) -> bytes:
    """Return a document of one page with one line of ASCII."""
    safe = line.encode("ascii", "replace").translate(None, b"()\\")
    stream = b"BT /F1 24 Tf 72 720 Td (" + safe + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    document = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(document + trailer % (len(objects) + 1, start))


def wav(*frequencies: int) -> bytes:
    """Return a sound: each tone, in Hz, for a quarter of a second, with a soft start and end."""
    length = _RATE // 4
    samples = bytes(
        128 + round(100 * sin(pi * number / length) * sin(2 * pi * frequency * number / _RATE))
        for frequency in frequencies
        for number in range(length)
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, _RATE, 0, "NONE", "not compressed"))
        sound.writeframes(samples)
    return file.getvalue()
