"""The parts of a file that a ``Range`` header asks for (RFC 9110, 14), with Apache's limits."""

from __future__ import annotations

import re

_ITEM = re.compile(r"(\d{0,19})-(\d{0,19})", re.ASCII)
_LARGEST = 2**63 - 1
# Apache's defaults, MaxRanges and MaxRangeOverlaps: beyond them the parts cost more than the file.
_MOST_PARTS = 200
_MOST_MERGED = 20


def parse(header: str, size: int) -> list[range] | None:
    """Return the parts of a file that are asked for; an empty list if it has none of them.

    A part is merged with the one before it where they touch.

    :param size: the file's, in bytes.
    :returns: ``None`` where the header is to be ignored.
    """
    unit, _, listed = header.partition("=")
    if unit.lower() != "bytes" or not size:
        return None
    parts: list[range] = []
    merged = 0
    for item in re.split(",+", listed.rstrip(",")):
        part = _part(item, size)
        if part is None:
            return None
        if part.start == 0 and item.endswith("-"):
            parts = [part]
            break
        if parts and part and part.start <= parts[-1].stop and parts[-1].start <= part.stop:
            merged += 1
            last = parts.pop()
            part = range(min(part.start, last.start), max(part.stop, last.stop))
        parts += [part] if part else []
    costly = len(parts) > _MOST_PARTS or merged > _MOST_MERGED or sum(map(len, parts)) > size
    return None if costly else parts


def _part(item: str, size: int) -> range | None:
    """Return one part of a file: empty behind its end, ``None`` if the item is malformed."""
    found = _ITEM.fullmatch(item)
    first, last = (int(number or -1) for number in found.groups()) if found else (-1, -1)
    if max(first, last) > _LARGEST or 0 <= last < first:
        return None
    if first < 0:
        return range(max(size - last, 0), size) if last > 0 else None
    return range(first, size if last < 0 else min(last + 1, size))
