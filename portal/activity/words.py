"""What the record says, for pages: rows are in English, and readers have their own language.

Rows and CSV keep the words that they were written with. What is not known here, such as what an
earlier version has written or what was cut to fit, is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from portal.core import language
from portal.core.language import gettext, lazy_gettext, ngettext

from .record import Action
from .report import PENDING, Line

ACTIONS: Mapping[Action, str] = {
    # For translators: an action in the record of activity, as the next ones are.
    "upload": lazy_gettext("upload"),
    "replace": lazy_gettext("replace"),
    "download": lazy_gettext("download"),
    "resume": lazy_gettext("resume"),
    "view": lazy_gettext("view"),
    "archive": lazy_gettext("archive"),
    "create folder": lazy_gettext("create folder"),
    "rename": lazy_gettext("rename"),
    "move": lazy_gettext("move"),
    "trash": lazy_gettext("trash"),
    "restore": lazy_gettext("restore"),
    "delete": lazy_gettext("delete"),
    "restore version": lazy_gettext("restore version"),
    "delete version": lazy_gettext("delete version"),
    "share": lazy_gettext("share"),
    "change share": lazy_gettext("change share"),
    "revoke share": lazy_gettext("revoke share"),
    "request files": lazy_gettext("request files"),
    "change request": lazy_gettext("change request"),
    "revoke request": lazy_gettext("revoke request"),
    "sign in": lazy_gettext("sign in"),
    "sign-in failed": lazy_gettext("sign-in failed"),
    "wrong password": lazy_gettext("wrong password"),
    "accept terms": lazy_gettext("accept terms"),
    "sign out": lazy_gettext("sign out"),
    "change account": lazy_gettext("change account"),
}
"""What each action is called, in the order of choices."""

BY: Mapping[str, str] = {
    "Visitor": lazy_gettext("Visitor"),
    "A command": lazy_gettext("A command"),
    "The portal": lazy_gettext("The portal"),
}
"""What the keys of :data:`portal.activity.report.BY` are called."""

_OUTCOMES: Mapping[str, str] = {
    "completed": lazy_gettext("completed"),
    "cut short": lazy_gettext("cut short"),
    "failed": lazy_gettext("failed"),
    "unknown": lazy_gettext("unknown"),
    PENDING: lazy_gettext("still being confirmed"),
}


def _(text: str) -> str:
    """Mark a text that is looked up later, and compared with rows until then."""
    return text


# A text that holds another one comes first.
_BY_LINK = (
    _("via a link, calls themselves %(name)s (not checked)"),
    _("via '%(note)s', calls themselves %(name)s (not checked)"),
    _("calls themselves %(name)s (not checked)"),
    _("via a link"),
    _("via '%(note)s'"),
)
_OF_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "rename": (_("before: %(name)s"),),
    # A folder that is called so is meant as seldom as it is harmless.
    "move": (_("to My files"), _("to %(folder)s")),
    "delete": (_("expired in the trash"), _("with the trash")),
    "delete version": (_("expired in the trash"), _("with all versions")),
    "download": (_("a version"),),
    "resume": (_("a version"),),
    "view": (_("a version"),),
    "accept terms": (
        _("%(terms)s, via a link"),
        _("%(terms)s, via '%(note)s'"),
    ),
    "sign-in failed": (
        _("an unknown name"),
        _("password, for %(name)s"),
        _("second factor, for %(name)s"),
    ),
    "sign out": (_("everywhere"),),
    "change account": (
        _("by an invitation"),
        _("an invitation"),
        _("an invitation revoked"),
        _("an invitation for %(name)s"),
        _("password"),
        _("password, by a link"),
        _("recovery codes"),
        _("second factor on"),
        _("second factor off"),
        _("%(name)s: created"),
        _("%(name)s: deleted"),
        _("%(name)s: activated"),
        _("%(name)s: deactivated"),
        _("%(name)s: password"),
        _("%(name)s: reset link"),
        _("%(name)s: second factor off"),
        _("%(name)s: role administrator"),
        _("%(name)s: role member"),
        _("%(name)s: quota"),
        _("%(name)s: quota %(size)s"),
    ),
}
_TERMS = re.compile(
    r"(?P<name>“.*”, )?(?:no expiry|until (?P<until>[0-9]{4}-[0-9]{2}-[0-9]{2} \S+))"
    r"(?:, (?P<limit>[0-9]+) downloads?)?(?P<password>, password)?",
    re.DOTALL,
)
"""What is recorded of a link to download."""
_REQUEST_TERMS = re.compile(
    r"(?P<name>“.*”, )?(?:no expiry|until (?P<until>[0-9]{4}-[0-9]{2}-[0-9]{2} \S+))"
    r"(?:, (?P<limit>[0-9]+) files?)?(?:, (?P<size>[0-9.]+) MiB in all)?",
    re.DOTALL,
)
"""What is recorded of a link to upload."""


def action(line: Line) -> str:
    """Return what was done."""
    done = line.activity.action
    return str(ACTIONS.get(done, done))  # type: ignore[call-overload]


def outcome(line: Line) -> str:
    """Return how a download ended."""
    if line.outcome == "unknown" and not line.receipt:
        return gettext("end unknown")
    return str(_OUTCOMES.get(line.outcome, line.outcome))


def detail(line: Line) -> str:
    """Return what the record has more of it, in a few words."""
    done, written = line.activity.action, line.detail
    if done in {"share", "change share"}:
        return _terms(written)
    if done in {"request files", "change request"}:
        return _request_terms(written)
    for text in (*_OF_ACTIONS.get(done, ()), *_BY_LINK):
        if found := _pattern(text).fullmatch(written):
            return gettext(text, **found.groupdict())
    return written


def _request_terms(written: str) -> str:
    found = _REQUEST_TERMS.fullmatch(written)
    if not found:
        return written
    words = [_end(found)]
    if found["limit"]:
        words.append(ngettext("%(num)s file", "%(num)s files", int(found["limit"])))
    if found["size"]:
        size = found["size"].replace(".", language.current().decimal_point)
        words.append(gettext("%(size)s MiB in all", size=size))
    return (found["name"] or "") + ", ".join(words)


def _end(found: re.Match[str]) -> str:
    until = found["until"]
    return gettext("until %(day)s", day=until) if until else gettext("no expiry")


def _terms(written: str) -> str:
    found = _TERMS.fullmatch(written)
    if not found:
        return written
    limit, words = found["limit"], [_end(found)]
    if limit:
        words.append(ngettext("%(num)s download", "%(num)s downloads", int(limit)))
    if found["password"]:
        words.append(gettext("password"))
    return (found["name"] or "") + ", ".join(words)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return what finds the values of a text that was written in English."""
    parts = re.split(r"%\((\w+)\)s", text)
    named = (f"(?P<{part}>.+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
    return re.compile("".join(named), re.DOTALL)
