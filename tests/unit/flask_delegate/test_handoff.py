from __future__ import annotations

from typing import Any

import pytest

from flask_delegate import Handoff
from flask_delegate.handoff import Options


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": -1},
        {"max_age": 1.5},
        {"max_age": True},
        {"max_age": 10**10},
        {"rate_limit": 0},
        {"rate_limit": "1"},
        {"csp": ""},
        {"csp": "a\nb"},
        {"csp": "x" * 2001},
        {"sha256": "0" * 63},
        {"sha256": b"0" * 64},
        {"sha256": "g" * 64},
        {"sha256": "0" * 64 + "\n"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Handoff("x", **options)


def test_a_handoffs_own_options_win_over_the_defaults() -> None:
    defaults = Options(as_attachment=True, max_age=60, mimetype="text/plain")
    merged = Handoff("x", as_attachment=False, max_age=0).with_defaults(defaults)
    assert merged == Handoff("x", as_attachment=False, max_age=0, mimetype="text/plain")


def test_options_at_the_ends_of_their_ranges_are_taken() -> None:
    for options in (
        Options(max_age=0, rate_limit=1, csp=" "),
        Options(max_age=10**9, rate_limit=10**15, csp="~" * 2000),
    ):
        handoff = Handoff("x", **options)
        assert {name: getattr(handoff, name) for name in options} == options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_age": 10**9 + 1}, "max_age must be a whole number of seconds from 0 to 1000000000"),
        ({"rate_limit": 10**15 + 1}, "rate_limit must be a whole number of bytes a second from 1"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_limits(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Handoff("x", **options)


def test_defaults_fill_whatever_is_open() -> None:
    defaults = Options(
        area="a",
        as_attachment=True,
        download_name="b",
        mimetype="c/d",
        max_age=1,
        csp="e",
        rate_limit=2,
    )
    assert Handoff("x").with_defaults(defaults) == Handoff("x", **defaults)
    own = Handoff("x", **defaults)
    assert own.with_defaults(Options(area="other", max_age=9)) is own
