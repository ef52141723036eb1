"""How often a file was downloaded, and how that ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from portal.core.language import gettext, ngettext


@dataclass(frozen=True)
class Downloads:
    """Counts of a file's downloads.

    :param completed: the server sent all of it.
    :param incomplete: the server sent a part, and not the rest.
    :param pending: the download goes on, or the server's log was not read that far.
    :param unknown: the server was killed, or its log did not say within an hour.
    :param last: the time of the last request.
    """

    completed: int = 0
    incomplete: int = 0
    pending: int = 0
    unknown: int = 0
    last: datetime | None = None

    @property
    def summary(self) -> str:
        """The counts in words, such as ``3 downloads: 2 complete, 1 still being confirmed``."""
        total = self.completed + self.incomplete + self.pending + self.unknown
        if total == 0:
            return gettext("No complete download")
        if total == self.completed:
            return ngettext("%(num)s download", "%(num)s downloads", total)
        if total == self.incomplete:
            return ngettext("%(num)s download, incomplete", "%(num)s downloads, incomplete", total)
        if total == self.pending:
            return ngettext(
                "%(num)s download, still being confirmed",
                "%(num)s downloads, still being confirmed",
                total,
            )
        if total == self.unknown:
            return ngettext(
                "%(num)s download, with an unknown end",
                "%(num)s downloads, with an unknown end",
                total,
            )
        kinds = ", ".join(self._kinds())
        return ngettext(
            "%(num)s download: %(kinds)s", "%(num)s downloads: %(kinds)s", total, kinds=kinds
        )

    def _kinds(self) -> Iterator[str]:
        if self.completed:
            yield gettext("%(number)s complete", number=self.completed)
        if self.incomplete:
            yield gettext("%(number)s incomplete", number=self.incomplete)
        if self.pending:
            yield gettext("%(number)s still being confirmed", number=self.pending)
        if self.unknown:
            yield gettext("%(number)s with an unknown end", number=self.unknown)
