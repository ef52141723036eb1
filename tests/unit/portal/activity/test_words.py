"""What pages say of rows, which are written in English, in another language."""

from __future__ import annotations

import re
from datetime import timedelta
from gettext import NullTranslations
from typing import get_args

import pytest

from flask_delegate.receipts import Outcome
from portal.activity import report, words
from portal.activity.downloads import Downloads
from portal.activity.record import Action
from portal.activity.report import Line
from portal.core import language
from portal.core.language import Language
from portal.core.models import Activity, Receipt, now

NAMES = ("Ünal, B.", "x: quota", "“a” via 'b'", "50 % (%s)")
DETAILS: dict[str, tuple[str, ...]] = {
    "rename": ("before: {}",),
    "move": ("to {}", "to My files"),
    "delete": ("with the trash", "expired in the trash"),
    "delete version": ("with all versions", "expired in the trash"),
    "download": ("a version", "via a link", "via '{}'"),
    "archive": ("via a link", "via '{}'"),
    "wrong password": ("via a link", "via '{}'"),
    "upload": (
        "calls themselves {} (not checked)",
        "via a link, calls themselves {} (not checked)",
        "via '{}', calls themselves Bob (not checked)",
    ),
    "accept terms": (
        "https://a.example, via a link",
        "https://a.example, via '{}'",
    ),
    "share": (
        "no expiry",
        "“{}”, no expiry",
        "until 2027-01-31 CET, 1 download, password",
        "“{}”, until 2027-01-31 +03, 3 downloads",
    ),
    "change share": ("no expiry, password",),
    "request files": (
        "no expiry",
        "“{}”, until 2027-01-31 CET, 1 file",
        "“{}”, no expiry, 3 files, 0.5 MiB in all",
        "until 2027-01-31 +03, 500 MiB in all",
    ),
    "change request": ("no expiry, 500 MiB in all",),
    "sign-in failed": ("an unknown name", "password, for {}", "second factor, for {}"),
    "sign out": ("everywhere",),
    "change account": (
        *("by an invitation", "an invitation", "an invitation revoked", "an invitation for {}"),
        *("password", "password, by a link", "recovery codes", "second factor on"),
        *("second factor off", "{}: created", "{}: deleted", "{}: activated", "{}: deactivated"),
        *("{}: password", "{}: reset link", "{}: second factor off", "{}: quota"),
        *("{}: role administrator", "{}: role member", "{}: quota 1.5 GiB"),
    ),
}
"""What is recorded, with {} for a name."""
WRITTEN = [
    (action, text.format(name))
    for action, texts in DETAILS.items()
    for text in texts
    for name in (NAMES if "{}" in text else NAMES[:1])
]


class Shouting(NullTranslations):
    """A language that writes all in capital letters but the names of values."""

    def gettext(self, message: str) -> str:
        parts = re.split(r"(%\(\w+\)s)", message)
        return "".join(part if odd % 2 else part.upper() for odd, part in enumerate(parts))

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Language("en", Shouting(), {})
    monkeypatch.setattr(language, "current", lambda: spoken)


def line(action: str, detail: str = "", handoff: str | None = None, age: int = 0) -> Line:
    values = {"action": action, "detail": detail, "handoff": handoff, "entry": "x"}
    return Line(Activity(at=now() - timedelta(hours=age), **values), None, has_names=True)


def ended(outcome: str) -> Line:
    return line("download", handoff="x")._replace(receipt=Receipt(outcome=outcome))


@pytest.mark.parametrize(("action", "detail"), WRITTEN)
def test_english_is_what_was_written(action: str, detail: str) -> None:
    assert words.detail(line(action, detail)) == detail


@pytest.mark.usefixtures("shouting")
@pytest.mark.parametrize("action", DETAILS)
def test_all_but_what_people_typed_is_in_the_readers_language(action: str) -> None:
    # The name in place of {} has only small letters: what is big was looked up.
    typed = {"bob", "cet", "gib", "https://a.example"}
    for text in DETAILS[action]:
        said = words.detail(line(action, text.format("ünal").replace("Bob", "bob")))
        small = set(re.findall(r"[^\W\d_][^\s,']*[^\W_]", said)) - {"ünal"}
        assert {one for one in small if one.casefold() not in typed and not one.isupper()} == set()
        assert ("ünal" in said) == ("{}" in text)


@pytest.mark.usefixtures("shouting")
def test_every_action_outcome_and_doer_has_a_label() -> None:
    for action in get_args(Action):
        assert words.action(line(action)) == action.upper()
    for outcome in get_args(Outcome):
        assert words.outcome(ended(outcome)) == outcome.upper()
    assert words.outcome(line("download", handoff="x")) == report.PENDING.upper()
    assert words.outcome(line("download", handoff="x", age=2)) == "END UNKNOWN"
    assert [str(label) for label in words.BY.values()] == [key.upper() for key in report.BY]
    assert list(words.ACTIONS) == list(get_args(Action))


@pytest.mark.usefixtures("shouting")
@pytest.mark.parametrize(
    ("action", "detail"),
    [
        ("upload", "via 'a note that was cut to f"),
        ("share", "3 downloads and a word of another version"),
        ("request files", "“For the auditor”"),
        ("move", "elsewhere"),
        ("upload", ""),
        ("forgotten", "of an earlier version"),
    ],
)
def test_what_is_not_known_is_shown_as_it_is(action: str, detail: str) -> None:
    assert words.detail(line(action, detail)) == detail


@pytest.mark.usefixtures("shouting")
def test_action_of_another_version_is_shown_as_it_is() -> None:
    assert words.action(line("forgotten")) == "forgotten"


@pytest.mark.usefixtures("shouting")
def test_downloads_are_counted_in_the_readers_language() -> None:
    some = Downloads(1, 1, 1, 1).summary
    assert some == (
        "4 DOWNLOADS: 1 COMPLETE, 1 INCOMPLETE, 1 STILL BEING CONFIRMED, 1 WITH AN UNKNOWN END"
    )


@pytest.mark.usefixtures("shouting")
def test_csv_keeps_the_words_of_rows() -> None:
    saved = line("download", "via a link", handoff="x")
    saved.activity.actor, saved.activity.link_name = "", "For the auditor"
    assert saved.by == "Visitor via “For the auditor”"
    assert (saved.detail, saved.outcome) == ("via a link", report.PENDING)
