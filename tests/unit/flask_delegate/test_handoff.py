from __future__ import annotations

from typing import Any

import pytest

from flask_delegate import Handoff
from flask_delegate.handoff import Delivery, Options, describe
from flask_delegate.resolve import PrivateFile


def delivery(name: str, **options: Any) -> Delivery:
    return describe(Handoff(name, **options), PrivateFile("/srv", name, name, 1, 0, (1, 1)))


def test_the_files_own_name_and_type_are_the_defaults() -> None:
    made = delivery("report.pdf")
    assert made.content_type == "application/pdf"
    assert made.disposition == 'inline; filename="report.pdf"'
    assert made.headers()["Cache-Control"] == "private, no-cache"
    assert made.csp is None


def test_an_unknown_type_is_an_attachment() -> None:
    made = delivery("0f3a", as_attachment=False)
    assert made.content_type == "application/octet-stream"
    assert made.disposition == 'attachment; filename="0f3a"'


def test_a_types_case_does_not_matter() -> None:
    assert delivery("x", mimetype="Application/Octet-Stream").disposition.startswith("attachment")
    assert delivery("x", mimetype="TEXT/HTML").content_type == "TEXT/HTML; charset=utf-8"
    assert delivery("x", mimetype="TEXT/HTML").csp


def test_the_download_name_tells_the_type_of_an_opaque_file() -> None:
    assert delivery("0f3a", download_name="a.png").content_type == "image/png"
    assert delivery("a.png", download_name="picture").content_type == "image/png"


def test_the_cache_policy_is_never_public() -> None:
    assert delivery("a.txt", max_age=0).headers()["Cache-Control"] == "private, max-age=0"
    assert delivery("a.txt", max_age=60).headers()["Cache-Control"] == "private, max-age=60"


def test_a_policy_of_ones_own_replaces_the_sandbox() -> None:
    assert "sandbox" in (delivery("a.html").csp or "")
    assert delivery("a.html", csp="default-src 'self'").csp == "default-src 'self'"


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
