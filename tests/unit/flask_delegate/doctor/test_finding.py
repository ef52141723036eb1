"""Findings, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flask_delegate.doctor import finding as report
from flask_delegate.doctor.finding import Finding, Level, failure, ok, skipped, without


@pytest.mark.parametrize("level", Level)
def test_only_a_failure_fails(level: Level) -> None:
    found = [ok("root", "fine"), Finding("root", "seen", "why", "fix", level=level)]
    assert report.counts(found)[level] == (2 if level is Level.OK else 1)
    document = json.loads(report.as_json(found))
    assert document["ok"] == (level is not Level.FAILURE)
    assert document["findings"][1] == {
        "check": "root",
        "level": level.value,
        "seen": "seen",
        "why": "why",
        "fix": "fix",
        "area": None,
    }
    assert document["summary"] == report.counts(found)
    assert [*document["summary"]] == ["ok", "warning", "failure", "skipped"]
    assert sum(document["summary"].values()) == 2


def test_text_is_safe_for_a_terminal() -> None:
    text = report.as_text([replace(failure("root", "a\x1b[31mb\nc", "why", "fix"), area="default")])
    assert "failure root [default]: a?[31mb?c" in text
    assert "why: why" in text
    assert "1 checks: 0 ok, 0 warning, 1 failure, 0 skipped." in text


def test_a_check_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="no check 'unheard-of'"):
        ok("unheard-of", "seen")


def test_secrets_are_taken_out() -> None:
    secrets = ["a-long-secret", "", "o", "1234567", "12345678"]
    said = without(secrets, failure("root", "x a-long-secret o", "why", "a-long-secret 1234567-8"))
    assert (said.seen, said.why, said.fix) == ("x [secret] o", "why", "[secret] 1234567-8")
    assert without(secrets, ok("root", "12345678")).seen == "[secret]"


def test_a_paragraph() -> None:
    long = "word " * 30 + "x" * 120 + " a-hyphen" * 9
    said = report.as_text([ok("root", long), failure("files", "seen", "", "fix")]).split("\n")
    assert said[0].startswith("ok      root: word word")
    assert 90 < len(said[0]) <= 100
    assert said[1].startswith(" " * 13 + "word")
    assert " " * 13 + "x" * 120 in said
    assert not any(line.endswith("a-") for line in said)
    assert said[-4:] == [
        *("failure files: seen", "        fix: fix", ""),
        "2 checks: 1 ok, 0 warning, 1 failure, 0 skipped.",
    ]


def test_what_was_skipped_in_several_areas_is_one_paragraph() -> None:
    names = ("a", "b")
    made = [
        replace(make("config", "seen", fix="fix"), area=area)
        for make in (skipped, failure)
        for area in names
    ]
    said = report.as_text([*made, skipped("config", "other"), replace(made[0], area="c")])
    assert said.split("\n")[:6] == [
        "skipped config [a, b, c]: seen",
        "        fix: fix",
        "failure config [a]: seen",
        "        fix: fix",
        "failure config [b]: seen",
        "        fix: fix",
    ]
    assert said.split("\n")[6:] == [
        *("skipped config: other", ""),
        "6 checks: 0 ok, 0 warning, 2 failure, 4 skipped.",
    ]


@pytest.mark.parametrize(("last", "lines"), [(4, 1), (5, 2)])
def test_a_line_has_at_most_a_hundred_characters(last: int, lines: int) -> None:
    assert (ok("root", "seen").why, ok("root", "seen").fix) == ("", "")
    said = report.as_text([ok("root", f"{'a' * 81} {'b' * last}")])
    assert said.count("\n") == lines + 1
