"""Settings that are none: refused in a sentence, before anything is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal import create_app
from portal.core.settings import SETTINGS, SettingError

NONSENSE = [10**23, -1, 5, 0.5, True, "", "x", "http://[x", "\0", [], [5], {}, None]
KEYS = ["DATA", "SERVER_NAME", *(setting.key for setting in SETTINGS)]


def refusal(settings: dict[str, object]) -> str:
    """Return why a portal with these settings does not start; nothing if it answers."""
    try:
        app = create_app(settings)
    except SettingError as error:
        return error.message
    assert app.test_client().get("/healthz").status_code in {200, 400, 404, 503}
    return ""


@pytest.mark.parametrize("key", KEYS)
def test_whatever_a_setting_is_the_portal_answers_or_says_why_not(key: str, tmp_path: Path) -> None:
    for number, value in enumerate(NONSENSE):
        settings = {"DATA": str(tmp_path.resolve() / str(number)), "TESTING": True, key: value}
        said = refusal(settings)
        assert not said or (f"PORTAL_{key} " in said and said[-1] in ".!"), (value, said)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("QUOTA", 10**23),
        ("DISK_RESERVE", 2**63),
        ("BASE_URL", "http://[x"),
        ("BASE_URL", "http://x:99999999"),
        ("BASE_URL", "http://x/\n"),
        ("SERVER_NAME", 5),
        ("SESSION_COOKIE_SAMESITE", "x"),
        ("SESSION_COOKIE_HTTPONLY", "no"),
        ("TRUSTED_HOSTS", 5),
    ],
)
def test_what_would_be_stumbled_over_is_refused(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"PORTAL_{key} must be"):
        create_app({"DATA": str(tmp_path / "data"), key: value})
    assert not (tmp_path / "data").exists()
