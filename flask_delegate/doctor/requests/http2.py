"""Just enough of HTTP/2 to send one request with any path: RFC 9113, and RFC 7541 for headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

VERSION = "HTTP/2"

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = 9  # bytes before each frame's payload
_DATA, _HEADERS, _RESET, _SETTINGS, _GO_AWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_STREAM = 1
# Entries of RFC 7541's static table.
_GET, _HTTP, _HTTPS = b"\x82", b"\x86", b"\x87"
_AUTHORITY, _PATH = b"\x01", b"\x04"


def request(path: bytes, authority: str, scheme: str, fields: Mapping[str, str]) -> bytes:
    """Return a connection's beginning, with one GET."""
    headers = _GET + (_HTTPS if scheme == "https" else _HTTP)
    headers += _AUTHORITY + _text(authority.encode("latin-1")) + _PATH + _text(path)
    for name, value in fields.items():
        headers += b"\0" + _text(name.lower().encode()) + _text(value.encode("latin-1"))
    flags = _END_STREAM | _END_HEADERS
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, flags, _STREAM, headers)


def is_spoken(answer: bytes) -> bool:
    """Return whether a server's first bytes are HTTP/2: a frame with its settings."""
    first = next(_frames(answer), None)
    return first is not None and first[0] == _SETTINGS


def has_ended(answer: bytes) -> bool:
    """Return whether the answer to the request is complete."""
    return is_spoken(answer) and any(
        kind == _GO_AWAY
        or (
            stream == _STREAM
            and (kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM))
        )
        for kind, flags, stream in _frames(answer)
    )


def _frames(received: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield type, flags and stream of each complete frame."""
    start = 0
    while len(received) >= start + _HEAD:
        length = int.from_bytes(received[start : start + 3])
        if len(received) < start + _HEAD + length:
            return
        stream = int.from_bytes(received[start + 5 : start + _HEAD])
        yield received[start + 3], received[start + 4], stream
        start += _HEAD + length


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
    return head + payload


def _text(value: bytes) -> bytes:
    """Return a string literal without Huffman coding."""
    length = len(value)
    if length < 127:
        return bytes([length]) + value
    prefix, length = b"\x7f", length - 127
    while length >= 128:
        prefix += bytes([length % 128 + 128])
        length //= 128
    return prefix + bytes([length]) + value
