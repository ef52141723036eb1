"""The portal's page names its settings, and those that are not to be set."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal import create_app
from portal.core.settings import DEFAULTS
from tests.support.paths import PROJECT

PAGE = (PROJECT / "docs/portal/settings.md").read_text(encoding="utf-8")
FIXED = {"SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE", "WTF_CSRF_TIME_LIMIT"}


@pytest.mark.parametrize("key", ["DATA", *sorted(set(DEFAULTS) - FIXED)])
def test_each_setting_is_documented_with_its_default(key: str) -> None:
    value = "none; required" if key == "DATA" else f"`{str(DEFAULTS[key]).lower()}`"
    assert f"| `PORTAL_{key}` | {value}" in PAGE


@pytest.mark.parametrize("key", ["SECRET_KEY", "DELEGATE_ROOT", "DELEGATE_HEADERS"])
def test_what_the_portal_sets_itself_is_not_called_a_setting(
    key: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PORTAL_{key}", "mine")
    assert create_app({"DATA": str(data)}).config[key] != "mine"
    excepted = PAGE.partition("These cannot be set,")[2].partition("\n\n")[0]
    assert f"`{key}`" in excepted
