"""Which generated files were sent completely, by what the web server's log says.

How far the log was read, and what was sent until then, is kept beside the files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .receipts import Receipt, follow
from .rotation import Position
from .spool import TAG, Generated, Spool

_STATE = "state.json"
Span = tuple[int, int]
"""The first byte, and the one after the last."""


@dataclass
class Sent:
    """What was sent of the files that there are.

    :param position: how far the log was read.
    :param parts: of files that were sent in part, by tag.
    :param complete: when the last part of a file was sent, by tag; seconds since the epoch.
    """

    position: Position = field(default_factory=dict)
    parts: dict[str, list[Span]] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Sent:
        """Read what is kept; nothing, if it cannot be read: a file then stays until it expires."""
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
            kept: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
            parts = {
                tag: [(int(a), int(b)) for a, b in spans] for tag, spans in kept["parts"].items()
            }
            position = {name: int(read) for name, read in kept["position"].items()}
            complete = {tag: float(ended) for tag, ended in kept["complete"].items()}
            return cls(position, parts, complete)
        return cls()

    def store(self, folder: Path) -> None:
        """Keep it, completely or not at all."""
        kept = {"position": self.position, "parts": self.parts, "complete": self.complete}
        new = folder / f"{_STATE}.new"
        new.write_text(json.dumps(kept), "utf-8")
        new.replace(folder / _STATE)

    def add(self, receipts: Iterable[Receipt], files: Iterable[Generated]) -> None:
        """Take receipts into account, and forget files that are gone."""
        sizes = {one.tag: one.size for one in files}
        for receipt in receipts:
            tag = receipt.id[:TAG]
            span = _span(receipt)
            if span is None or tag not in sizes:
                continue
            self.parts[tag] = merged([*self.parts.get(tag, []), span])
            if self.parts[tag][0] == (0, sizes[tag]):
                ended = receipt.time.timestamp()
                self.complete[tag] = max(ended, self.complete.get(tag, 0))
        self.parts = {tag: spans for tag, spans in self.parts.items() if tag in sizes}
        self.complete = {tag: ended for tag, ended in self.complete.items() if tag in sizes}


def _span(receipt: Receipt) -> Span | None:
    """Return which part of the file a receipt says to have been sent."""
    if receipt.method == "HEAD" or receipt.status not in (200, 206):
        return None
    if receipt.outcome not in ("completed", "cut short"):
        return None
    if receipt.part:
        first, last, _ = receipt.part
        return first, min(first + receipt.sent, last + 1)
    # Of several parts in one answer, the log does not say which they are.
    return (0, receipt.sent) if receipt.status == 200 else None


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, joined where they overlap or touch."""
    found: list[Span] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def clean(spool: Spool, log: Path | None, *, keep: int) -> list[Generated]:
    """Delete what has expired, what was sent completely, and what a crash has left.

    :param log: that of receipts; none: nothing is known of what was sent.
    :param keep: seconds for which a file stays after it was sent, and used for the last time.
    :raises OSError: if the log cannot be read.
    """
    if not spool.folder.is_dir():
        return []
    if log is None:
        return spool.clean()
    sent = Sent.load(spool.folder)
    with suppress(_AllRead):
        for receipts, position in follow(log, sent.position, wait=_stop):
            sent.add(receipts, spool.files())
            sent.position = position
    sent.store(spool.folder)
    since = time.time() - keep
    return spool.clean({tag: since for tag, ended in sent.complete.items() if ended < since})


class _AllRead(Exception):
    """There is nothing new in the log."""


def _stop() -> None:
    raise _AllRead
