"""Thumbnails are made in a process that may only compute, whatever it is sent."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portal.thumbnails import process as processes
from portal.thumbnails import worker
from portal.thumbnails.process import CannotStartError, Process
from tests.support.paths import PROJECT
from tests.support.pictures import PLACE, encoded, opened, photo, png, with_metadata

Make = Callable[[bytes], bytes | None]


def source(content: bytes) -> AbstractContextManager[io.BytesIO]:
    return nullcontext(io.BytesIO(content))


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def make(process: Process) -> Make:
    return lambda content: process.make(partial(source, content), len(content))


@pytest.mark.parametrize("kind", worker.FORMATS)
def test_a_picture_gets_a_smaller_one_of_its_shape(make: Make, kind: str) -> None:
    made = make(encoded(photo(), kind))
    assert made
    picture = opened(made)
    assert (picture.format, picture.size) == ("WEBP", (256, 192))
    assert len(made) <= worker.WANTED


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("GIF", "L"),
        ("WEBP", "RGBA"),
        ("AVIF", "RGBA"),
    ],
)
def test_each_kind_of_colours(make: Make, kind: str, mode: str) -> None:
    picture = photo().convert("L")
    if mode == "I;16":
        picture = picture.convert("I").point(lambda value: value * 257 + 0).convert(mode)
    made = make(encoded(picture if mode == "I;16" else photo().convert(mode), kind))
    assert made
    red, green, blue = opened(made).convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert 40 < red < 215
    assert 40 < green < 215
    assert 40 < blue < 215


def test_what_is_transparent_stays_so(make: Make) -> None:
    picture = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 400, 200))
    palette = picture.quantize(8)
    for content in (encoded(picture, "PNG"), encoded(palette, "PNG"), encoded(picture, "GIF")):
        made = make(content)
        assert made
        small = opened(made)
        assert small.mode == "RGBA"
        assert small.getpixel((128, 240))[3] == 0  # type: ignore[index]
        assert small.getpixel((128, 10))[3] == 255  # type: ignore[index]


def test_of_an_animation_the_first_picture(make: Make) -> None:
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        made = make(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert made
        picture = opened(made)
        assert getattr(picture, "n_frames", 1) == 1
        assert picture.getpixel((9, 9))[0] > 200  # type: ignore[index]


@pytest.mark.parametrize(("size", "small"), [((1, 1), (1, 1)), ((10_000, 1), (256, 1))])
def test_odd_shapes(make: Make, size: tuple[int, int], small: tuple[int, int]) -> None:
    made = make(encoded(Image.new("RGB", size), "PNG"))
    assert made
    assert opened(made).size == small


def test_it_stands_upright_and_says_nothing_of_the_place(make: Make) -> None:
    content = with_metadata(photo())
    assert PLACE in content
    made = make(content)
    assert made
    picture = opened(made)
    assert picture.size == (192, 256)
    assert PLACE not in made
    assert not picture.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & picture.info.keys()


def test_metadata_that_is_huge_or_broken_is_left_out(make: Make) -> None:
    huge = encoded(photo(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(4_000_000))
    broken = encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    profile = encoded(photo(), "JPEG", icc_profile=b"no profile" * 9000)
    for content in (huge, broken, profile):
        made = make(content)
        assert made
        assert opened(made).size == (256, 192)


def test_a_rough_picture_is_no_larger(make: Make) -> None:
    made = make(encoded(Image.effect_noise((900, 900), 200).convert("RGB"), "PNG"))
    assert made
    assert len(made) <= worker.WANTED


HARMFUL = {
    "nothing": b"",
    "text": b"hello, world\n" * 1000,
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a size of a bomb": png(50_000, 50_000, b""),
    "a bomb": png(16_000, 16_000, bytes(16_000 * 3 + 1) * 2000),
    "just too many pixels": encoded(Image.new("1", (6000, 5000)), "PNG"),
    "more than there can be": png(2**31 - 1, 2**31 - 1, b""),
    "cut in its header": encoded(photo())[:200],
    "cut in the middle": encoded(photo())[:-5000],
    "a PNG cut": encoded(photo(), "PNG")[:-5000],
    "a format that browsers do not show": encoded(photo(), "TIFF"),
    "PostScript, for which Pillow would run a program": encoded(photo(), "EPS"),
}


@pytest.mark.parametrize("content", HARMFUL.values(), ids=HARMFUL.keys())
def test_what_is_no_picture_has_none_and_the_next_one_has(
    process: Process, make: Make, content: bytes
) -> None:
    before = process.pid
    assert make(content) is None
    assert make(encoded(photo()))
    assert before in {None, process.pid}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_bytes_that_were_changed_harm_nobody(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(_SMALL)))
    content = bytearray(_SMALL[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    made = _mutated.make(partial(source, bytes(content)), len(content))
    assert made is None or max(opened(made).size) <= worker.SIDE


_SMALL = {kind: encoded(photo(40, 30), kind) for kind in worker.FORMATS}
_mutated = Process()


@pytest.fixture(scope="module", autouse=True)
def stop_mutated() -> Iterator[None]:
    yield
    _mutated.stop()


def test_whoever_kills_it_is_forgiven(process: Process, make: Make) -> None:
    content = encoded(photo())
    assert make(content)
    before = process.pid
    assert before
    os.kill(before, signal.SIGKILL)
    assert make(content)
    assert process.pid != before


def test_killed_in_the_middle(process: Process, make: Make) -> None:
    content = encoded(photo(6000, 4000), "PNG", compress_level=1)
    made: list[bytes | None] = []
    thread = threading.Thread(target=lambda: made.append(make(content)))
    thread.start()
    time.sleep(0.3)
    if process.pid:
        os.kill(process.pid, signal.SIGKILL)
    thread.join()
    assert made[0]


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *changes: str) -> None:
    """Have processes started whose program has other words in some places: ``old→new``."""
    text = Path(worker.__file__).read_text()
    for old, new in (change.split("→") for change in changes):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "worker.py").write_text(text)
    monkeypatch.setattr(worker, "__file__", str(tmp_path / "worker.py"))


IMPORTED = "    from PIL import Image\n\n    with Image.open"


def test_a_picture_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = f"{IMPORTED}→    while len(content) == 5: pass\n{IMPORTED}"
    program(tmp_path, monkeypatch, hang, "COMPUTING = 10→COMPUTING = 2")
    process = Process()
    start, tries = time.monotonic(), []

    def hangs() -> AbstractContextManager[io.BytesIO]:
        tries.append(1)
        return source(b"hangs")

    try:
        assert process.make(hangs, 5) is None
        assert time.monotonic() - start < 15
        assert tries == [1]
        content = encoded(photo())
        assert process.make(partial(source, content), len(content))
    finally:
        process.stop()


def test_one_that_waits_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = f"{IMPORTED}→    while len(content) == 5: _read(1)\n{IMPORTED}"
    program(tmp_path, monkeypatch, waits, "PATIENCE = 20→PATIENCE = 1")
    process = Process()
    try:
        assert process.make(partial(source, b"waits"), 5) is None
        content = encoded(photo())
        assert process.make(partial(source, content), len(content))
    finally:
        process.stop()


CALLS = {
    "reads a file": "open('/etc/passwd')",
    "writes a file": "open('/tmp/out', 'w')",
    "connects": "socket.socket()",
    "starts a program": "os.execv('/bin/true', ['true'])",
    "forks": "os.fork()",
    "ends the portal": "os.kill(int(content), 0)",
    "reads another process": "ctypes.CDLL(None).ptrace(16, int(content), 0, 0) and os.kill(1, 0)",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_who_takes_it_over_can_only_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    tries = (
        f"{IMPORTED}→    try:\n        len(content) < 20 and {call}\n    except PermissionError:\n"
        f'        return b"RIFF____WEBPrefused"\n    if len(content) < 20:\n'
        f'        return b"RIFF____WEBPdone"\n{IMPORTED}'
    )
    program(tmp_path, monkeypatch, tries)
    process = Process()
    number = str(os.getpid()).encode()
    try:
        assert process.make(partial(source, number), len(number)) == b"RIFF____WEBPrefused"
    finally:
        process.stop()


@pytest.mark.parametrize(
    "answer", ['b"<html>"', "bytes(10**6)", 'b"RIFF____WEBP" + bytes(10**5)'], ids=range(3)
)
def test_who_takes_it_over_sends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    lies = f"{IMPORTED}→    if len(content) == 1: return {answer}\n{IMPORTED}"
    program(tmp_path, monkeypatch, lies)
    process = Process()
    try:
        assert process.make(partial(source, b"x"), 1) is None
        content = encoded(photo())
        assert process.make(partial(source, content), len(content))
    finally:
        process.stop()


def test_it_holds_its_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = (
        f"{IMPORTED}→    try:\n        len(content) < 20 and len(bytearray(int(content)))\n"
        f'    except MemoryError:\n        return b"RIFF____WEBPrefused"\n'
        f'    if len(content) < 20:\n        return b"RIFF____WEBPdone"\n{IMPORTED}'
    )
    program(tmp_path, monkeypatch, takes)
    process = Process()
    try:
        for size, said in ((worker.MEMORY // 2, b"done"), (worker.MEMORY * 5 // 4, b"refused")):
            number = str(size).encode()
            assert process.make(partial(source, number), len(number)) == b"RIFF____WEBP" + said
    finally:
        process.stop()


def test_memory_of_a_bomb_and_of_a_photo() -> None:
    """Measured from outside, by what the kernel says of the process and of what it forked."""
    large = encoded(photo(4000, 3000))
    measure = [sys.executable, "-S", str(PROJECT / "benchmarks/picture_memory.py")]
    command = [*measure, sys.executable, "-I", "-S", "-B", worker.__file__]
    for content, made in ((large, b"1"), (HARMFUL["a bomb"], b"0")):
        folder = str(processes.pillow_folder())
        run = subprocess.run([*command, folder], input=content, capture_output=True, check=True)
        said, peak = run.stdout.split()
        assert (said, int(peak) < 64 * 1024**2) == (made, True), peak


def test_it_inherits_nothing(process: Process, make: Make) -> None:
    assert make(encoded(photo()))
    here = Path(f"/proc/{process.pid}")
    assert (here / "environ").read_bytes() == b""
    assert {path.name for path in (here / "fd").iterdir()} == {"0", "1", "2"}
    assert b"portal\0" not in (here / "maps").read_bytes()


def test_a_picture_that_cannot_be_read_is_not_at_fault(process: Process, make: Make) -> None:
    content = encoded(photo())
    with pytest.raises(OSError, match="shorter"):
        process.make(partial(source, content[:-1]), len(content))
    assert make(content)


def test_without_pillow_it_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "pillow_folder", lambda: None)
    with pytest.raises(CannotStartError, match="not installed"):
        Process().make(partial(source, b""), 0)
    monkeypatch.setattr(processes, "pillow_folder", lambda: tmp_path)
    with pytest.raises(CannotStartError, match="No module named 'PIL'"):
        Process().make(partial(source, b""), 0)


@pytest.mark.parametrize(
    "change",
    ["platform.machine()→'sparc'", "0x00050000 | errno.EPERM→0x7FFF0000"],
    ids=["machine", "filter"],
)
def test_what_cannot_be_confined_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    program(tmp_path, monkeypatch, change)
    with pytest.raises(CannotStartError, match=r"sparc|does not hold"):
        Process().make(partial(source, b""), 0)
