"""A logo is told by its content; what pages could not show is refused at the start."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal import create_app
from portal.core import logo
from portal.core.setting_checks import SettingError

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 300, 100) + b"\x08\x06\0\0\0"
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc4\x00\x02\xff\xc2\x00\x0b\x08"
    + struct.pack(">HH", 100, 300)
    + b"\x01\x01\x11\x00"
)
WEBP = b"RIFF\x1a\0\0\0WEBP"
LOSSY = WEBP + b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 300, 100)
LOSSLESS = WEBP + b"VP8L\x0a\0\0\0\x2f" + struct.pack("<I", 299 | 99 << 14)
EXTENDED = WEBP + b"VP8X\x0a\0\0\0\0\0\0\0" + b"\x2b\x01\0" + b"\x63\0\0"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 100"><path d="M0 0"/></svg>'
SIZED = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="30px" height="10"/>'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        *((one, "image/webp") for one in (LOSSY, LOSSLESS, EXTENDED)),
        *((one, "image/svg+xml") for one in (SVG, SIZED)),
    ],
)
def test_picture_is_told_by_its_content(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "logo.txt"
    path.write_bytes(content)
    found = logo.read(str(path))
    assert (found.content, found.kind, found.ratio) == (content, kind, 3)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"GIF89a", b"<html></html>", b"\xff\xd8\xff", PNG[:18], JPEG[:14], LOSSY[:27]),
        *(PNG[:16] + struct.pack(">II", 0, 100), SVG[:-3], SVG.replace(b"300", b"nan")),
        *(SVG.replace(b"300", b"-1"), SVG.replace(b"viewBox", b"box"), SVG.replace(b"2000", b"1")),
        *(SVG.replace(b"0 0 300", b"300"), SIZED.replace(b"30px", b"100%")),
        b'<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG,
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "logo.svg"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"^PORTAL_LOGO is .*, which is not a PNG, JPEG, WebP"):
        logo.read(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.sampled_from([PNG, JPEG, LOSSY, LOSSLESS, EXTENDED, SVG]),
    at=st.integers(0),
    damage=st.binary(),
)
def test_damaged_picture_has_a_size_or_is_refused(
    content: bytes, at: int, damage: bytes, tmp_path: Path
) -> None:
    at %= len(content)
    path = tmp_path / "logo"
    path.write_bytes(content[:at] + damage)
    with suppress(SettingError):
        assert 0 < logo.read(str(path)).ratio < float("inf")


def test_portal_does_not_start_without_the_logo_that_it_should_show(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    large.write_bytes(PNG + bytes(logo.LARGEST))
    for value, problem in (
        ("logo.png", "must be the absolute path"),
        (5, "must be the absolute path"),
        (str(tmp_path / "missing"), "there is no file"),
        (str(tmp_path), "there is no file"),
        (str(pipe), "there is no file"),
        (str(large), "larger than 256 KiB"),
    ):
        with pytest.raises(SettingError, match=f"^PORTAL_LOGO .*{problem}"):
            create_app({"DATA": str(tmp_path / "data"), "LOGO": value})
        assert not (tmp_path / "data").exists()
