"""The process that makes thumbnails. It stands alone: it imports Pillow, and nothing of the portal.

Pictures come by standard input: four bytes with the length, and the content. Answers go by standard
output in the same way; an empty one says that the picture has no thumbnail. For each picture, a
process is forked that may only compute: it can open no file, no connection and no process, and has
limits of memory and time. It ends with its picture, so that it has seen that one only. Whoever
takes it over can make a wrong thumbnail of a picture that they have sent themselves.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
import time
import warnings
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")
"""As Pillow calls what browsers show."""
SIDE = 256
MOST_PIXELS = 25_000_000
MOST_PIXELS_OF_JPEG = 250_000_000
"""Those are decoded at an eighth of their size."""
MEMORY = 384 * 1024**2
"""Bytes of addresses that a picture may take beside what Pillow itself has."""
COMPUTING = 10
"""Seconds of a processor."""
PATIENCE = 20
"""Seconds."""
WANTED = 5_800
"""Bytes, so that sixty are no more than 350 kB."""
LARGEST = 64 * 1024
"""Bytes of an answer."""
DIED = 0xFFFFFFFF
"""What stands in place of a length where the picture's process was killed."""
READY = b"ready"

_LENGTH = struct.Struct("!I")
_HAS_READ = b"r"
_QUALITIES = ((SIDE, 72), (SIDE, 55), (SIDE, 40), (SIDE, 25), (SIDE * 3 // 4, 25), (SIDE // 2, 20))

# By machine: how the kernel calls it, and the numbers of the calls that computing needs. In order:
# read write close fstat lseek mmap mprotect munmap brk mremap madvise rt_sigaction rt_sigprocmask
# rt_sigreturn sigaltstack getpid futex sched_yield sched_getaffinity clock_gettime gettimeofday
# getrandom exit exit_group.
_CALLS = {
    "x86_64": (
        0xC000003E,
        "0 1 3 5 8 9 10 11 12 25 28 13 14 15 131 39 202 24 204 228 96 318 60 231",
    ),
    "aarch64": (
        0xC00000B7,
        "63 64 57 80 62 222 226 215 214 216 233 134 135 139 132 172 98 124 123 113 169 278 93 94",
    ),
}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # prctl(2)
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000  # linux/seccomp.h


class _CannotBeConfined(Exception):
    """The kernel does not do what would keep a picture from harm."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _filter() -> bytes:
    """Return the program by which the kernel judges each call."""
    try:
        machine, numbers = _CALLS[platform.machine()]
    except KeyError:
        raise _CannotBeConfined(f"the machine is {platform.machine()}") from None
    calls = [int(number) for number in numbers.split()]
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_EQUAL, len(calls) - n, 0, call) for n, call in enumerate(calls)]
    code += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *one) for one in code)


class _Confinement:
    """What a picture's process puts on before it reads the picture."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._code = _filter()
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  (one import less)
            pages = int(file.read().split()[0])
        self._addresses = pages * resource.getpagesize() + MEMORY

    def put_on(self) -> None:
        """Confine this process for good."""
        limits = {"AS": self._addresses, "CPU": COMPUTING, "NOFILE": 0, "FSIZE": 0, "CORE": 0}
        for name, most in limits.items():
            # A second before the kernel kills it, which others may have done, it says why.
            soft = most - 1 if name == "CPU" else most
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (soft, most))
        program = _Program(len(self._code) // 8, self._code)
        nothing = ctypes.c_ulong(0)
        no_more = (_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), nothing, nothing, nothing)
        calls = (_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), nothing, nothing)
        for arguments in (no_more, calls):
            if self._libc.prctl(*arguments):
                raise _CannotBeConfined(f"prctl: {os.strerror(ctypes.get_errno())}")

    def try_on(self) -> str:
        """Return why it does not hold; nothing if it does."""
        fork = os.fork()
        if not fork:
            os._exit(self._holds())
        status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        return "" if status == 0 else f"what confines pictures does not hold ({status})"

    def _holds(self) -> int:
        """Confine this process, and return 0 if that keeps it from what it must not do."""
        try:
            self.put_on()
        except (OSError, ValueError, _CannotBeConfined):
            return 1
        with suppress(OSError):
            os.open("/", os.O_RDONLY)
            return 2
        with suppress(OSError):
            socket.socket()
            return 3
        with suppress(OSError):
            os.fork()
            return 4
        return 0


def thumbnail(content: bytes) -> bytes:
    """Return a picture's thumbnail as WebP, without anything else that the picture's file has.

    :raises Exception: of whatever kind, if it has none.
    """
    from PIL import Image

    with Image.open(BytesIO(content), formats=FORMATS) as image:
        is_jpeg = image.format in {"JPEG", "MPO"}  # the latter has a second picture behind it
        if image.width * image.height > (MOST_PIXELS_OF_JPEG if is_jpeg else MOST_PIXELS):
            raise ValueError("too many pixels")
        small = _plain(image)
        small.thumbnail((SIDE, SIDE), reducing_gap=2.0)  # which lets libjpeg decode less
        small = _upright(small)
        # A new one has no metadata: no place, no camera, no profile.
        clean = _in_srgb(small, image.info.get("icc_profile"))
    clean = Image.frombytes(clean.mode, clean.size, clean.tobytes())
    encoded = b""
    for side, quality in _QUALITIES:
        clean.thumbnail((side, side))
        buffer = BytesIO()
        clean.save(buffer, "WEBP", quality=quality, alpha_quality=60, method=4)
        encoded = buffer.getvalue()
        if len(encoded) <= WANTED:
            break
    return encoded


def _plain(image: Picture) -> Picture:
    """Return a picture in a mode that can be made smaller without steps."""
    if image.mode.startswith("I"):  # 16 bits, of which the upper ones count
        return image.convert("I").point(lambda value: value * (1 / 256) + 0).convert("L")
    if image.mode in {"L", "LA", "RGB", "RGBA", "CMYK"} and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _upright(image: Picture) -> Picture:
    """Turn a picture as its metadata says, if that can be read."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _in_srgb(image: Picture, profile: object) -> Picture:
    """Return a picture in the colours of the web, by its profile if that is usable."""
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    opaque = image.convert("RGB") if alpha else image
    if isinstance(profile, bytes) and opaque.mode in {"RGB", "CMYK", "L"}:
        with suppress(Exception):
            own, web = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            opaque = ImageCms.profileToProfile(opaque, own, web, outputMode="RGB") or opaque
    opaque = opaque.convert("RGB")
    if alpha:
        opaque.putalpha(alpha)
    return opaque


def _load() -> None:
    """Load all that a picture may need: afterwards nothing can be opened."""
    import copy
    import mmap

    from PIL import AvifImagePlugin, Image, ImageCms, ImageColor, ImageOps

    # What Pillow itself imports only when it needs it.
    del copy, mmap, ImageColor, ImageOps
    Image.init()
    if missing := {*FORMATS, "WEBP"} - Image.OPEN.keys() - {"AVIF"}:
        raise _CannotBeConfined(f"this Pillow lacks {', '.join(sorted(missing))}")
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS_OF_JPEG
    # Threads are processes to the kernel.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = Image.Exif()
    turned[0x0112] = 6
    # The same of what a format needs.
    for kind in FORMATS:
        if kind in Image.SAVE:
            more = {} if kind == "BMP" else {"icc_profile": profile, "exif": turned}
            picture = Image.new("P" if kind == "GIF" else "RGB", (16, 16))
            picture.save(buffer := BytesIO(), kind, **more)
            thumbnail(buffer.getvalue())
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _read(length: int) -> bytes:
    """Read from standard input, up to the end."""
    content = bytearray()
    while missing := length - len(content):
        if not (piece := os.read(0, min(missing, 1024**2))):
            break
        content += piece
    return bytes(content)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _be_the_picture(length: int, answer: int, confinement: _Confinement) -> NoReturn:
    """Make a thumbnail in this process, which is forked for it, and end it."""
    made = b""
    try:
        confinement.put_on()
        content = _read(length)
        _write(answer, _HAS_READ)
        if len(content) == length:
            made = thumbnail(content)
    except BaseException:  # noqa: S110  (whatever it is, there is no thumbnail)
        pass
    with suppress(BaseException):
        _write(answer, _LENGTH.pack(len(made)) + made)
    os._exit(0)


def _answer_of(answer: int) -> bytes | None:
    """Return what a picture's process answers; nothing if it takes too long, none if it died.

    :raises EOFError: if it died before it had read the picture.
    """
    if not os.read(answer, 1):
        raise EOFError
    content, end = b"", time.monotonic() + PATIENCE
    while len(content) < _LENGTH.size + LARGEST:
        if not select.select([answer], [], [], max(0, end - time.monotonic()))[0]:
            return b""
        if not (piece := os.read(answer, LARGEST)):
            break
        content += piece
    if len(content) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(content)
    made = content[_LENGTH.size :]
    return made if length == len(made) <= LARGEST else b""


def _serve(confinement: _Confinement) -> None:
    """Answer pictures until there are no more."""
    while len(header := _read(_LENGTH.size)) == _LENGTH.size:
        answer, writes = os.pipe()
        fork = os.fork()
        if not fork:
            os.close(answer)
            (length,) = _LENGTH.unpack(header)
            _be_the_picture(length, writes, confinement)
        os.close(writes)
        try:
            made = _answer_of(answer)
        except EOFError:
            return  # nobody knows where the next picture begins
        finally:
            # Before anybody sends the next one, which it would read.
            with suppress(ProcessLookupError):
                os.kill(fork, signal.SIGKILL)
            os.close(answer)
            status = os.waitpid(fork, 0)[1]
        if made is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            _write(1, _LENGTH.pack(DIED))
            continue
        _write(1, _LENGTH.pack(len(made or b"")) + (made or b""))


def main() -> None:
    """Say whether pictures can be confined, and serve."""
    sys.path.append(sys.argv[1])  # where Pillow is
    try:
        _load()
        confinement = _Confinement()
        refusal = confinement.try_on()
    except (ImportError, OSError, _CannotBeConfined) as error:
        refusal = f"{type(error).__name__}: {error}"
    said = refusal.encode(errors="replace")[:LARGEST] or READY
    _write(1, _LENGTH.pack(len(said)) + said)
    if not refusal:
        _serve(confinement)


if __name__ == "__main__":
    main()
