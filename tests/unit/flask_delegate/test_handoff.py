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
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Handoff("x", **options)


def test_a_handoffs_own_options_win_over_the_defaults() -> None:
    defaults = Options(as_attachment=True, max_age=60, mimetype="text/plain")
    merged = Handoff("x", as_attachment=False, max_age=0).with_defaults(defaults)
    assert merged == Handoff("x", as_attachment=False, max_age=0, mimetype="text/plain")
