"""Each sentence that promises something to a person has its test, and no other is listed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.support.paths import PROJECT
from tests.support.promises import sentences

LISTED: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("promises.toml").read_text()
)
"""By file and sentence: the test under it, or a hyphen and why it promises nothing."""


def test_every_promise_is_listed_and_nothing_else() -> None:
    found = {(file, one) for file, some in sentences().items() for one in some}
    listed = {(file, one) for file, some in LISTED.items() for one in some}
    assert sorted(found - listed) == [], "write their tests, and list them in promises.toml"
    assert sorted(listed - found) == [], "nothing says so any more"


def test_every_listed_test_is_there() -> None:
    for named in {test for some in LISTED.values() for test in some.values()}:
        if not named.startswith("- "):
            file, _, function = named.partition("::")
            assert (PROJECT / file).is_file(), named
            text = (PROJECT / file).read_text()
            assert re.search(rf"^def {function}\(", text, re.MULTILINE), named
