"""Settings that are none: refused in a sentence, before anything is created."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from portal import create_app
from portal.core import database
from portal.core.setting_checks import SettingError
from portal.core.settings import SETTINGS

NONSENSE: list[object] = [
    *(10**23, -1, 0, 5, 0.5, float("nan"), float("inf"), True, [], [5], [""], ["x;y"], {}, None),
    *("", "x", "-1", "http://[x", "a b;c", "\0", "x\r\ny: z", "\udcff", "ü" * 100, "x" * 2**20),
    *("memory://", "../..", "/", "a..b", "[::1", "x:99999999", "%s{}$(id)"),
]
FLASK = set(Flask("flask").default_config) - {"SECRET_KEY"}
KEYS = sorted({"DATA", *FLASK, *(setting.key for setting in SETTINGS)})


def refusal(settings: dict[str, object]) -> str:
    """Return why a portal with these settings does not start; nothing if it works."""
    try:
        app = create_app(settings)
    except SettingError as error:
        return error.message
    with app.app_context():
        database.upgrade()
        database.db.engine.dispose()
    client = app.test_client()
    host = (app.config["TRUSTED_HOSTS"] or ["localhost"])[0].removeprefix(".")
    for path, expected in (("/healthz", {200, 503}), ("/sign-in", {200})):
        answer = client.get(path, base_url=f"http://{app.config['SERVER_NAME'] or host}/")
        if not app.config["PROXIES"]:  # else the client has no address
            assert answer.status_code in expected, (settings, answer.text)
    for cookie in answer.headers.getlist("Set-Cookie"):
        assert re.fullmatch(r"[^\s;=]+=[^\s;]+(; [^;]+)+", cookie)
    with app.app_context():
        database.db.engine.dispose()
    return ""


@pytest.mark.filterwarnings("ignore:The .* cookie is too large")
@pytest.mark.parametrize("key", KEYS)
def test_whatever_a_setting_is_the_portal_answers_or_says_why_not(key: str, tmp_path: Path) -> None:
    for number, value in enumerate(NONSENSE):
        settings = {"DATA": str(tmp_path.resolve() / str(number)), "TESTING": True, key: value}
        said = refusal(settings)
        assert not said or (f"PORTAL_{key} " in said and said[-1] in ".!"), (value, said)
        assert len(said) < 600
        assert said.isprintable()


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
        ("TRUSTED_HOSTS", []),
        ("SECRET_KEY_FALLBACKS", ["short"]),
        ("BASE_URL", "https://user:password@files.example.org/"),
        ("BASE_URL", "https://files.example.org/?a=b"),
        ("BASE_URL", "https://files.example.org/?"),
        ("BASE_URL", "https://files.example.org/#top"),
        ("BASE_URL", "https://files.example.org/a b"),
        ("THROTTLE_STORE", "memory://"),
        ("THROTTLE_STORE", "memcached://localhost"),
        ("THROTTLE_STORE", "portal-sqlite:/tmp/x"),
        ("SESSION_COOKIE_NAME", "a b;c"),
        ("SESSION_COOKIE_NAME", ""),
        ("SESSION_COOKIE_NAME", "ü"),
        ("SESSION_COOKIE_DOMAIN", "x;y"),
        ("SESSION_COOKIE_PATH", "/;a"),
        ("PREFERRED_URL_SCHEME", "ftp"),
        ("DEBUG", "no"),
        ("MAX_COOKIE_SIZE", "x"),
        ("SEND_FILE_MAX_AGE_DEFAULT", "x"),
    ],
)
def test_what_would_be_stumbled_over_is_refused(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"PORTAL_{key} must be"):
        create_app({"DATA": str(tmp_path / "data"), key: value})
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"SESSION_COOKIE_NAME": "__Secure-a", "SESSION_COOKIE_SECURE": False},
        {"SESSION_COOKIE_NAME": "__Host-a", "SESSION_COOKIE_SECURE": False},
        {"SESSION_COOKIE_NAME": "__Host-a", "SESSION_COOKIE_DOMAIN": "files.example.org"},
        {"SESSION_COOKIE_NAME": "__Host-a", "SESSION_COOKIE_PATH": "/portal"},
    ],
)
def test_cookie_that_browsers_would_not_keep_is_refused(
    settings: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="browsers keep such a cookie only"):
        create_app({"DATA": str(tmp_path / "data"), **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"SESSION_COOKIE_NAME": "__Host-files"},
        {"BASE_URL": "https://files.example.org:8443/portal/"},
        {"BASE_URL": "http://[::1]:8000"},
        {"BASE_URL": "https://müller.example/"},
        {"SERVER_NAME": "files.example.org:8443"},
        {"TRUSTED_HOSTS": ["files.example.org", ".example.net", "müller.example"]},
        {"SECRET_KEY_FALLBACKS": ["0" * 64]},
        {"SESSION_COOKIE_DOMAIN": ".example.org"},
    ],
)
def test_usual_settings_are_taken(settings: dict[str, object], tmp_path: Path) -> None:
    assert refusal({"DATA": str(tmp_path / "data"), **settings}) == ""


def test_password_in_a_setting_is_not_printed(tmp_path: Path) -> None:
    for key, value in (
        ("BASE_URL", "https://user:hidden@files.example.org/"),
        ("THROTTLE_STORE", "rediss://user:hidden@ x"),
        ("SECRET_KEY_FALLBACKS", ["hidden"]),
    ):
        with pytest.raises(SettingError) as caught:
            create_app({"DATA": str(tmp_path / "data"), key: value})
        assert "hidden" not in caught.value.message
