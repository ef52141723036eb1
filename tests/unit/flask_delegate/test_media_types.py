"""Which media type a name stands for, on each machine."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

import pytest

import flask_delegate
from flask_delegate.media_types import guess

COMMON = dict(
    line.split()
    for line in """\
epub application/epub+zip
gz application/gzip
tgz application/gzip
json application/json
webmanifest application/manifest+json
doc application/msword
exe application/octet-stream
pdf application/pdf
rtf application/rtf
xls application/vnd.ms-excel
xlsm application/vnd.ms-excel.sheet.macroenabled.12
ppt application/vnd.ms-powerpoint
odp application/vnd.oasis.opendocument.presentation
ods application/vnd.oasis.opendocument.spreadsheet
odt application/vnd.oasis.opendocument.text
pptx application/vnd.openxmlformats-officedocument.presentationml.presentation
xlsx application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
docx application/vnd.openxmlformats-officedocument.wordprocessingml.document
rar application/vnd.rar
wasm application/wasm
7z application/x-7z-compressed
bz2 application/x-bzip2
tar application/x-tar
xz application/x-xz
xml application/xml
yaml application/yaml
zip application/zip
zst application/zstd
aac audio/aac
flac audio/flac
m4a audio/mp4
mp3 audio/mpeg
ogg audio/ogg
opus audio/ogg
wav audio/wav
otf font/otf
ttf font/ttf
woff font/woff
woff2 font/woff2
avif image/avif
bmp image/bmp
gif image/gif
heic image/heic
heif image/heif
jpeg image/jpeg
jpg image/jpeg
jxl image/jxl
png image/png
svg image/svg+xml
tif image/tiff
ico image/vnd.microsoft.icon
webp image/webp
eml message/rfc822
ics text/calendar
css text/css
csv text/csv
htm text/html
html text/html
js text/javascript
mjs text/javascript
md text/markdown
log text/plain
txt text/plain
vcf text/vcard
mkv video/matroska
m4v video/mp4
mp4 video/mp4
ogv video/ogg
mov video/quicktime
webm video/webm
avi video/x-msvideo
""".splitlines()
)


def test_common_types_are_known() -> None:
    assert len(COMMON) >= 60
    assert {extension: guess(f"a.{extension}") for extension in COMMON} == COMMON


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [
        ("A.PDF", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.bz2", "application/x-bzip2"),
        ("a.svgz", "application/gzip"),
        ("old.Z", "application/x-compress"),
        ("page.html.br", "application/x-brotli"),
        ("data:text/html,x", None),
        ("http://x/a.html", "text/html"),
        *(("opaque", None), ("a.unheard-of", None), ("", None), (".html", None), ("a.", None)),
        *(("a.#", None), ("html", None)),
    ],
)
def test_a_type_is_guessed_from_the_last_extension(name: str, mimetype: str | None) -> None:
    assert guess(name) == mimetype


@pytest.mark.parametrize("system", [None, "", "text/x-wrong docx html mkv flac\n"])
def test_the_machine_has_no_say(
    system: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "mime.types"
    if system is not None:
        known.write_text(system)
    monkeypatch.setattr(mimetypes, "knownfiles", [str(known)])
    mimetypes.init()
    try:
        test_common_types_are_known()
    finally:
        monkeypatch.undo()
        mimetypes.init()


def test_an_extension_has_one_type() -> None:
    text = Path(flask_delegate.__file__).with_name("mime.types").read_text()
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    extensions = [extension for words in lines for extension in words[1:]]
    assert len(extensions) == len(set(extensions))
    for mimetype, *named in lines:
        assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", mimetype)
        assert named == sorted(named)
