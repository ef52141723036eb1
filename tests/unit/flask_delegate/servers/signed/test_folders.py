"""The cookie of a folder as far as the application makes it; what servers do is in tests/live."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate import (
    FileMissing,
    FileUnreadable,
    Handoff,
    HandoffUnavailable,
    PathRefused,
    UnknownArea,
    signed_cookie,
)
from flask_delegate.delivery import UNKNOWN, describe, find
from flask_delegate.servers import SERVERS, signing
from flask_delegate.servers.signed import apache, folders
from tests.support.extension import Factory, behind_apache

SIGNED = {"DELEGATE_SIGNED_URL": "/signed/"}
NOW = 1_700_000_000


@pytest.fixture
def app(make_app: Factory, root: Path) -> Flask:
    (root / "films/42").mkdir(parents=True)
    app = make_app(**SIGNED)

    @app.get("/open/<path:folder>")
    def open_folder(folder: str) -> str:
        return signed_cookie(folder, expires_in=60)

    return app


def refusal(app: Flask, folder: str, **options: object) -> Exception:
    environ = behind_apache(app).environ_base
    with app.test_request_context(environ_base=environ), pytest.raises(Exception) as caught:  # noqa: PT011
        signed_cookie(folder, **{"expires_in": 60, **options})  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("folder", ["films/42", "films/42/", "films//./42//"])
def test_it_returns_the_folders_url_and_sets_two_cookies(
    app: Flask, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 0.5)
    response = behind_apache(app).get(f"/open/{folder}", base_url="https://localhost")
    assert response.text == "/signed/films/42/"
    browser, cookie = sorted(response.headers.getlist("Set-Cookie"))
    value = re.match(rf"{signing.COOKIE}=([0-9a-f]{{32}}); Secure; HttpOnly; Path=/;", browser)
    assert value
    key = app.extensions["delegate"].keys["default"][0].signing_key
    message = f"folder {NOW + 60} {value[1]} /signed/films/42/".encode()
    assert cookie.startswith(
        f"{folders.COOKIE}2={NOW + 60}.{signing.nested_sha1(key, message)}; Expires="
    )
    assert cookie.endswith("; Max-Age=60; Secure; HttpOnly; Path=/signed/films/42/; SameSite=Lax")
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Vary"] == "Cookie"


def test_a_cookies_path_is_spelled_as_browsers_ask_for_it(app: Flask, root: Path) -> None:
    (root / "größe 1%; Path=").mkdir()
    response = behind_apache(app).get("/open/größe 1%25; Path=")
    assert response.text == "/signed/gr%C3%B6%C3%9Fe%201%25%3B%20Path%3D/"
    cookie = sorted(response.headers.getlist("Set-Cookie"))[1]
    assert f"; Path={response.text}; " in cookie
    assert cookie.count("Path=") == 1


def test_nginx_verifies_hmac_with_sha_256() -> None:
    expected = hmac.new(b"key", b"message", hashlib.sha256).hexdigest()
    assert SERVERS["nginx"].mac("key", b"message") == expected
    assert SERVERS["mod_wsgi"].mac("key", b"message") == signing.nested_sha1("key", b"message")


def test_a_server_that_verifies_nothing_signs_nothing() -> None:
    for server in SERVERS.values():
        if not server.verifies:
            with pytest.raises(NotImplementedError):
                server.mac("key", b"")


def test_two_folders_of_one_page_have_one_browser(app: Flask, root: Path) -> None:
    (root / "photos").mkdir()

    @app.get("/both")
    def both() -> str:
        return " ".join(signed_cookie(folder, expires_in=60) for folder in ("films/42", "photos"))

    response = behind_apache(app).get("/both")
    assert response.text == "/signed/films/42/ /signed/photos/"
    names = [one.partition("=")[0] for one in response.headers.getlist("Set-Cookie")]
    assert sorted(names) == [signing.COOKIE, f"{folders.COOKIE}1", f"{folders.COOKIE}2"]


@pytest.mark.parametrize("folder", ["", "/", ".", "./", "//", "./."])
def test_the_whole_area_is_no_folder(app: Flask, folder: str) -> None:
    error = refusal(app, folder)
    assert isinstance(error, PathRefused)
    assert "the whole area" in str(error)


@pytest.mark.parametrize("folder", ["..", "films/..", "films/../films", "/films", "a\0b", "out"])
def test_what_leaves_the_area_is_refused(app: Flask, root: Path, folder: str) -> None:
    (root / "out").symlink_to(root.parent)
    assert isinstance(refusal(app, folder), PathRefused)


@pytest.mark.parametrize("folder", ["nothing", "films/nothing/", "report.txt", "report.txt/"])
def test_what_is_no_folder_is_missing(app: Flask, folder: str) -> None:
    assert isinstance(refusal(app, folder), FileMissing)


def test_a_folder_that_cannot_be_entered_is_refused(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.X_OK)
    assert isinstance(refusal(app, "films/42"), FileUnreadable)


def test_a_link_to_a_folder_is_signed_as_what_it_leads_to(app: Flask, root: Path) -> None:
    (root / "link").symlink_to("films")
    assert behind_apache(app).get("/open/link/42").text == "/signed/films/42/"


def test_it_needs_an_area_a_server_and_a_life(app: Flask, make_app: Factory) -> None:
    assert isinstance(refusal(app, "films", area="another"), UnknownArea)
    assert isinstance(refusal(app, "films", expires_in=0), ValueError)
    assert isinstance(refusal(app, "films", expires_in=signing.LONGEST + 1), ValueError)
    assert isinstance(refusal(app, "films", expires_in=1.5), TypeError)
    assert "no signed URLs" in str(refusal(make_app(), "films"))
    with app.test_request_context(), pytest.raises(HandoffUnavailable):
        signed_cookie("films", expires_in=60)
    with app.app_context(), pytest.raises(RuntimeError):
        signed_cookie("films", expires_in=60)


def test_what_a_browser_would_not_keep_is_refused(app: Flask, root: Path) -> None:
    """Its path may have 1,024 bytes; without a path the cookie would be sent elsewhere."""
    deep = "/".join("123456789")
    (root / deep).mkdir(parents=True)
    assert "has 9 names" in str(refusal(app, deep))
    # A URL has three bytes for each of these.
    names = "/".join(["ü" * 40] * 4)
    room = folders.LONGEST_PATH - len("/signed/" + "/".join(["%C3%BC" * 40] * 4) + "//")
    for name in ("a" * room, "a" * (room + 1)):
        (root / names / name).mkdir(parents=True)
    fits = behind_apache(app).get(f"/open/{names}/{'a' * room}")
    assert len(fits.text) == folders.LONGEST_PATH
    error = refusal(app, f"{names}/{'a' * (room + 1)}")
    assert isinstance(error, HandoffUnavailable)
    assert "1025 bytes" in str(error)


def test_what_a_browser_could_run_has_no_type() -> None:
    kinds = {name: kind for kind in folders.kinds() for name in kind.extensions}
    for name in ("html", "htm", "svg", "xml", "xhtml", "js", "mjs", "css", "php", "wasm", "json"):
        assert name not in kinds
    assert UNKNOWN not in {kind.content_type for kind in folders.kinds()}
    for name in ("mpd", "m3u8", "vtt"):
        assert "sandbox" in (kinds[name].policy or "")
    assert kinds["jpg"].policy is None


def test_what_a_folder_shows_has_the_type_and_policy_of_a_hand_off(app: Flask) -> None:
    """Where no server verifies a cookie, a view hands off the same files."""
    area = app.extensions["delegate"].settings.areas["default"]
    kinds = {name: kind for kind in folders.kinds() for name in kind.extensions}
    assert {"ts", "m4s", "mpd", "m3u8", "vtt", "mp4"} <= set(kinds)
    for extension, kind in kinds.items():
        Path(area.root, f"a.{extension}").touch()
        handoff = Handoff(f"a.{extension}")
        described = describe(handoff, area, find(handoff, area))
        assert (described.content_type, described.csp) == (kind.content_type, kind.policy)
        assert described.disposition.startswith("inline;"), extension


def test_apache_has_a_condition_for_each_depth_and_key() -> None:
    condition = apache.condition("/signed.d/", ["new", "old"])
    forms = re.findall(r"m#(\^.*?)# && \$4 -gt \$1 && %\{sha1:(new|old)", condition)
    assert [key for _, key in forms] == ["new"] * folders.DEEPEST + ["old"] * folders.DEEPEST
    pattern = forms[1][0]
    asked = f"GET t=1700000000123456 /signed.d/films/42/x ;{signing.COOKIE}={'0' * 32};"
    asked += f" {folders.COOKIE}2=1700000060.{'1' * 40};"
    found = re.search(pattern, asked)
    assert found
    assert found[2] == "/signed.d/films/42/"
    for altered in (
        f"POST{asked[3:]}",
        asked.replace("signed.d", "signedxd"),
        asked.replace("/42/", "/42"),
        asked.replace(f"{folders.COOKIE}2", f"{folders.COOKIE}3"),
        asked.replace(signing.COOKIE, "other"),
        f"x{asked}",
        asked.replace(";", ""),
    ):
        assert not re.search(pattern, altered), altered


def test_nobody_else_may_read_what_the_command_writes_and_the_doctor_knows_it(
    make_app: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app(DELEGATE_BACKEND="nginx", **SIGNED)
    invoke = app.test_cli_runner().invoke
    monkeypatch.setattr(type(SERVERS["nginx"]), "_program", lambda _: None)
    done = invoke(args=["delegate", "nginx-config", "--output", "delegate.conf"])
    assert done.exit_code == 0, done.output
    text, script = (Path(name).read_text() for name in ("delegate.conf", "delegate.js"))
    assert f'js_import flask_delegate from "{tmp_path}/delegate.js";' in text
    keys = app.extensions["delegate"].keys["default"][0]
    assert keys.signing_key in text
    assert keys.signing_key not in script
    assert "@" not in re.sub(r"//.*", "", script)
    # The doctor compares both with what would be written now.
    nginx, area = SERVERS["nginx"], app.extensions["delegate"].settings.areas["default"]
    assert nginx.fault(text, area, keys) == ""
    assert "names no script" in nginx.fault(text.replace("js_import", "#"), area, keys)
    assert "other settings" in nginx.fault("", area, keys)
    Path("delegate.js").write_text(f"{script} ")
    assert "altered" in nginx.fault(text, area, keys)
    Path("delegate.js").write_bytes(b"\xff")
    assert "cannot be read" in nginx.fault(text, area, keys)
    Path("delegate.js").unlink()
    assert "cannot be read" in nginx.fault(text, area, keys)
    done = invoke(args=["delegate", "nginx-config", "--output", "delegate.conf"])
    assert done.exit_code == 0
    for name in ("delegate.conf", "delegate.js"):
        assert Path(name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Use --output: the script is written beside FILE."),
        (("--output", "delegate.js"), "nginx cannot be told of a script"),
        (("--output", 'a"b.conf'), "nginx cannot be told of a script"),
        (("--output", "a$b.conf"), "nginx cannot be told of a script"),
    ],
)
def test_the_script_needs_a_place(
    make_app: Factory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app(DELEGATE_BACKEND="nginx", **SIGNED)
    before = sorted(tmp_path.iterdir())
    done = app.test_cli_runner().invoke(args=["delegate", "nginx-config", *options])
    assert done.exit_code == 1
    assert said in done.output
    assert sorted(tmp_path.iterdir()) == before


def test_no_script_is_written_beside_what_may_not_be_replaced(
    make_app: Factory, tmp_path: Path
) -> None:
    app = make_app(DELEGATE_BACKEND="nginx", **SIGNED)
    for mine, other in (("a.conf", "a.js"), ("b.js", "b.conf")):
        (tmp_path / mine).write_text("my own\n")
        output = str((tmp_path / mine).with_suffix(".conf"))
        done = app.test_cli_runner().invoke(args=["delegate", "nginx-config", "--output", output])
        assert (done.exit_code, "Nothing was written." in done.output) == (1, True)
        assert (tmp_path / mine).read_text() == "my own\n"
        assert not (tmp_path / other).exists()


def test_an_nginx_without_njs_is_refused_with_the_cure(
    make_app: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -V ]; then exit; fi\n'
        'if grep -q js_import "$3"; then echo "unknown directive \\"js_import\\"" >&2; exit 1; fi\n'
    )
    nginx.chmod(0o755)
    monkeypatch.setattr(type(SERVERS["nginx"]), "_program", lambda _: str(nginx))
    app = make_app(DELEGATE_BACKEND="nginx", **SIGNED)
    words = ["delegate", "nginx-config", "--output", str(tmp_path / "x.conf")]
    done = app.test_cli_runner().invoke(args=words)
    assert done.exit_code == 1
    assert "apt-get install libnginx-mod-http-js" in done.output
    assert not (tmp_path / "x.conf").exists()
