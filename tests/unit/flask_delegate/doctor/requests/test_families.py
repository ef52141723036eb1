"""The attacks, spelled."""

from __future__ import annotations

import re

from flask_delegate.doctor.requests.families import FAMILIES, SPELLINGS, requests, targets
from tests.support.doctor import NAME


def test_each_family_is_explained_and_adds_something() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.why for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch("[a-z0-9]+", family.name)
        assert len(family.why) > 60
        assert family.why.endswith(".")
        assert list(requests(family, "/private/", NAME))


def test_there_are_at_least_sixty_spellings() -> None:
    spelled = targets("/private/", NAME)
    assert len(set(spelled)) == len(spelled) >= 60
    assert sum(len(family.templates.split()) for family in SPELLINGS) == len(spelled)
    assert f"/%70rivate/{NAME}".encode() in spelled


def test_an_area_with_a_deep_url_is_spelled_as_well() -> None:
    spelled = targets("/inside/photos/", NAME)
    assert f"/inside/photos/{NAME}".encode() in spelled
    assert f"/insid%65/photos/{NAME}".encode() not in spelled
    assert f"/inside/photo%73/{NAME}".encode() in spelled
    assert all(b"{" not in target for target in spelled)
