"""Settings that are none: refused in a sentence, before anything is created."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.servers import signing
from portal import create_app
from portal.core import database
from portal.core.setting_checks import SettingError
from portal.core.settings import SETTINGS
from portal.web import zone

NONSENSE: list[object] = [
    *(10**23, -1, 0, 5, 0.5, float("nan"), float("inf"), True, [], [5], [""], ["x;y"], {}, None),
    *("", "x", "-1", "http://[x", "a b;c", "\0", "x\r\ny: z", "\udcff", "ü" * 100, "x" * 2**20),
    *("memory://", "../..", "/", "a..b", "[::1", "x:99999999", "%s{}$(id)"),
]
UNUSABLE_HOSTS = [".", ".example.org", "a..b", "-", "[::1", "[1.2.3.4]", "[:::]", "1.2.3", "9" * 64]
UNUSABLE_HOSTS += ["x:0", "x:99999", "999.1.1.1"]
KEYS = sorted({"DATA", *(setting.key for setting in SETTINGS)})
OF_LIBRARIES = {
    *Flask("flask").default_config,
    *("LOGIN_DISABLED", "WTF_CSRF_ENABLED", "WTF_CSRF_METHODS", "WTF_CSRF_FIELD_NAME"),
    *("SQLALCHEMY_ENGINES", "DELEGATE_ROOT", "DELEGATE_HEADERS", "DELEGATE_URL", "TESTING"),
}


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
        answer = client.get(path, base_url=f"http://{host}/")
        if not app.config["PROXIES"]:  # else the client has no address
            assert answer.status_code in expected, (settings, answer.text)
    for cookie in answer.headers.getlist("Set-Cookie"):
        assert re.fullmatch(r"[^\s;=]+=[^\s;]+(; [^;]+)+", cookie)
    with app.app_context():
        database.db.engine.dispose()
    return ""


@pytest.mark.filterwarnings("ignore:The .* cookie is too large")
@pytest.mark.parametrize("key", KEYS)
def test_whatever_a_setting_is_the_portal_answers_or_says_why_not(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)  # which a folder for data can be above
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
        *(("SESSION_COOKIE_NAME", name) for name in (zone.COOKIE, signing.COOKIE)),
        *(("BASE_URL", f"https://{host}/") for host in UNUSABLE_HOSTS),
        *(("TRUSTED_HOSTS", [host]) for host in UNUSABLE_HOSTS if host[0] != "." or host == "."),
        ("DELEGATE_BACKEND", "apache"),
        *(("COLOUR", value) for value in ("red", "#fff", "#12345g", "#1f5f6b;", 5, "")),
        *(("NAME", value) for value in ("", " ", "x" * 41, " x", "a\u2800b", "\u0301", 5, None)),
        *(
            (key, value)
            for key in ("IMPRINT_URL", "PRIVACY_URL", "TERMS_URL")
            for value in ("javascript:x", "//x.example", "/\\x", "x", "ftp://x/", "/a b", "", 5)
        ),
        ("TERMS_URL", "https://user:password@example.org/"),
        ("STORE_KEYS_FILE", "relative"),
        *(("DATABASE", value) for value in ("sqlite:///x.db", "mysql://x/y", "portal", 5)),
        *(("SECRET_KEY_FILE", value) for value in ("secret_key", "", 5)),
    ],
)
def test_what_would_be_stumbled_over_is_refused(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"PORTAL_{key} must be"):
        create_app({"DATA": str(tmp_path / "data"), key: value})
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://portal:hidden@localhost/portal",
        "postgresql://localhost/portal?user=portal&password=hidden",
        "postgres://portal:hidden@[::1]:5432,other/portal",
        "postgresql://localhost/portal?SSLPASSWORD=hidden",
    ],
)
def test_password_in_the_address_of_the_database_is_refused_and_not_repeated(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="passfile=/etc/portal/pgpass") as refused:
        create_app({"DATA": str(tmp_path / "data"), "DATABASE": address})
    assert "hidden" not in refused.value.message


def test_key_for_several_hosts_is_read_and_not_created(tmp_path: Path) -> None:
    path, data = tmp_path / "key", tmp_path.resolve() / "data"
    settings = {"DATA": str(data), "SECRET_KEY_FILE": str(path)}
    for content, mode, problem in (
        (None, 0, "cannot be read: No such file"),
        ("short\n", 0o600, "holds 6 bytes"),
        ("0" * 64, 0o640, "open to other users"),
    ):
        if content:
            path.write_text(content)
            path.chmod(mode)
        with pytest.raises(SettingError, match=f"^PORTAL_SECRET_KEY_FILE names .*{problem}"):
            create_app(settings)
    path.chmod(0o600)
    path.write_text(f"{'1' * 64}\n")
    app = create_app(settings)
    assert app.secret_key == b"1" * 64
    assert not (data / "secret_key").exists()
    with app.app_context():
        database.db.engine.dispose()


@pytest.mark.parametrize(
    "settings",
    [
        {"SESSION_COOKIE_NAME": "__Secure-a", "SESSION_COOKIE_SECURE": False},
        {"SESSION_COOKIE_NAME": "__Host-a", "SESSION_COOKIE_SECURE": False},
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
        {"TRUSTED_HOSTS": ["files.example.org", ".example.net", "müller.example"]},
        {"SECRET_KEY_FALLBACKS": ["0" * 64]},
        {"NAME": "Dateien der Müller & Söhne: 文件"},
        {"COLOUR": "#FFcc00"},
        {"IMPRINT_URL": "https://müller.example:8443/imprint?a=b#c", "TERMS_URL": "/terms#1"},
    ],
)
def test_usual_settings_are_taken(settings: dict[str, object], tmp_path: Path) -> None:
    assert refusal({"DATA": str(tmp_path / "data"), **settings}) == ""


@pytest.mark.parametrize("key", sorted(OF_LIBRARIES - set(KEYS)))
def test_what_is_no_setting_of_the_portal_is_refused(
    key: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"{key} = true\n")
    for name, value in ((f"PORTAL_{key}", "true"), ("PORTAL_SETTINGS", str(file))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(SettingError, match=f"^PORTAL_{key} is no setting of the portal"):
                create_app({"DATA": str(data)})
    assert not data.exists()


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("QOUTA", "Did you mean PORTAL_QUOTA?"),
        ("TRASHDAYS", "Did you mean PORTAL_TRASH_DAYS?"),
        ("BASEURL", "Did you mean PORTAL_BASE_URL?"),
        ("SETTING", "Did you mean PORTAL_SETTINGS?"),
        ("DATA__A", "Did you mean PORTAL_DATA?"),
        ("", "Remove it."),
        ("\x1b[2J", "Remove it."),
    ],
)
def test_misspelt_setting_is_refused_with_its_name(
    name: str, cure: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PORTAL_{name}", "1")
    with pytest.raises(SettingError) as caught:
        create_app({"DATA": str(data)})
    assert caught.value.message.endswith(f" is no setting of the portal. {cure}")
    assert caught.value.message.isprintable()
    assert not data.exists()


def test_services_whose_names_begin_with_portal_are_no_settings(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP_ADDR"):
        for service in ("PORTAL", "PORTAL_REDIS"):
            monkeypatch.setenv(f"{service}_{name}", "tcp://10.0.0.1:80")
    assert refusal({"DATA": str(data)}) == ""


def test_password_in_a_setting_is_not_printed(tmp_path: Path) -> None:
    for key, value in (
        ("BASE_URL", "https://user:hidden@files.example.org/"),
        ("THROTTLE_STORE", "rediss://user:hidden@ x"),
        ("SECRET_KEY_FALLBACKS", ["hidden"]),
        ("PRIVACY_URL", "https://user:hidden@example.org/"),
    ):
        with pytest.raises(SettingError) as caught:
            create_app({"DATA": str(tmp_path / "data"), key: value})
        assert "hidden" not in caught.value.message
