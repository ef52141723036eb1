"""The headers of tus 1.0, section by section of https://tus.io/protocols/resumable-upload."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256", "sha512")
CONTENT_TYPE = "application/offset+octet-stream"

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_LONGEST_METADATA = 16 * 1024
LONGEST_PATH = 64
"""Folders that one upload may name; deeper ones are refused by their depth."""
_VISIBLE = re.compile(r"[\t -~]*", re.ASCII)
_KEY = re.compile(r"[!-+\x2d-~]*", re.ASCII)
"""Characters of a key: ASCII, without spaces and commas."""


class HeaderError(ValueError):
    """A header is missing or malformed; the message says which."""


class Checksum(NamedTuple):
    """What the bytes of one request hash to, by one of :data:`ALGORITHMS`."""

    algorithm: str
    digest: bytes


def parse_number(name: str, value: str | None) -> int:
    """Read a number of bytes, or raise :exc:`HeaderError` for anything but decimal digits."""
    if value is None or not _NUMBER.fullmatch(value):
        raise HeaderError(f"{name} must be a whole number of bytes, from 0 up.")
    return int(value)


def parse_metadata(value: str) -> Mapping[str, str]:
    """Read ``filename d29ybGQ=,folder eA==``: keys, each with its value in base64.

    :raises HeaderError: for what is not base64 of UTF-8, for a key that comes twice, or too much.
    """
    if not _VISIBLE.fullmatch(value):
        raise HeaderError("Upload-Metadata has a character that is not ASCII, or not visible.")
    if len(value) > _LONGEST_METADATA:
        raise HeaderError(f"Upload-Metadata can have at most {_LONGEST_METADATA} characters.")
    metadata: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in value.split(","))):
        key, _, encoded = pair.partition(" ")
        if key in metadata:
            raise HeaderError("Upload-Metadata has a key twice.")
        if not _KEY.fullmatch(key):
            raise HeaderError("Upload-Metadata has a key that is not ASCII.")
        try:
            metadata[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError as error:
            raise HeaderError("Upload-Metadata is not UTF-8 in base64.") from error
    return metadata


def is_metadata(value: str) -> bool:
    """Return whether :func:`parse_metadata` can read it."""
    try:
        parse_metadata(value)
    except HeaderError:
        return False
    return True


def folders_of(metadata: str) -> Sequence[str]:
    """Return the folders that a file's ``relativePath`` lies in, from the outermost on.

    :raises HeaderError: as :func:`parse_metadata`.
    """
    path = parse_metadata(metadata).get("relativePath", "")
    names = [name for name in re.split(r"[/\\]", path) if name]
    # After a separator at the end, there is no file.
    return (names if re.search(r"[/\\]$", path) else names[:-1])[:LONGEST_PATH]


def replaces(metadata: str) -> bool:
    """Return whether a client wants to replace the file that has the name.

    :raises HeaderError: as :func:`parse_metadata`.
    """
    return "replace" in parse_metadata(metadata)


def parse_checksum(value: str) -> Checksum:
    """Read ``sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=``.

    :raises HeaderError: for an algorithm that is not supported, or what is not base64.
    """
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise HeaderError(f"Upload-Checksum must be by one of {', '.join(ALGORITHMS)}.")
    try:
        return Checksum(algorithm, base64.b64decode(encoded, validate=True))
    except ValueError as error:
        raise HeaderError("Upload-Checksum is not in base64.") from error
