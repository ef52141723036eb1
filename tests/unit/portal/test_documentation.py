"""The portal's page names its settings, and no others."""

from __future__ import annotations

import re

import pytest

from portal.core.settings import SETTINGS, Setting
from tests.support.paths import PROJECT

PAGE = (PROJECT / "docs/portal/settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.key for setting in SETTINGS])
def test_each_setting_is_documented_with_its_default_and_meaning(setting: Setting) -> None:
    cells = _cells(setting.key)
    assert cells[0].lower().startswith(f"`{str(setting.default).lower()}`")
    assert cells[1].startswith(setting.meaning)
    if setting.most:
        assert "36500" in cells[1]


def test_the_data_folder_is_documented() -> None:
    assert _cells("DATA")[0] == "none; required"


def test_no_other_setting_is_documented() -> None:
    documented = re.findall(r"^\| `PORTAL_([A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert documented == sorted(["DATA", *(setting.key for setting in SETTINGS)])


def _cells(key: str) -> list[str]:
    found = re.search(rf"^\| `PORTAL_{key}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert found, f"docs/portal/settings.md has no line for PORTAL_{key}"
    return found[1].split(" | ", 1)
