"""Modes of files that bind, though root runs the tests."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_LIBC = ctypes.CDLL(None, use_errno=True)
_VERSION = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def modes_bind() -> Iterator[None]:
    """Take from this thread what lets root read and write all files, for the length of the block.

    See capabilities(7).
    """
    header, data = _Header(_VERSION, 0), (_Data * 2)()
    _call(_LIBC.capget, header, data)
    before = data[0].effective
    data[0].effective = before & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    _call(_LIBC.capset, header, data)
    try:
        yield
    finally:
        data[0].effective = before
        _call(_LIBC.capset, header, data)


def _call(function: ctypes._NamedFuncPointer, header: _Header, data: ctypes.Array[_Data]) -> None:
    if function(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), function.__name__)
