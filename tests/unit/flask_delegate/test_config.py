from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from flask_delegate import ConfigurationError, Delegate, UnknownArea
from tests.support.extension import SECRET, Factory, refused


def test_a_root_is_needed() -> None:
    error = refused(SECRET_KEY=SECRET)
    assert (error.key, error.problem) == ("DELEGATE_ROOT", "is not set.")


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("files", "is a relative path"),
        ("/no/such/folder", "No such file or directory"),
        ("/etc/passwd", "is not a folder"),
        ("/", "is the whole file system"),
        (["x"], "is not a path"),
        (b"/srv", "is not a path"),
        ("", "is not a path"),
    ],
)
def test_a_root_that_cannot_be_served_is_refused(root: Any, problem: str) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root)
    assert error.key == "DELEGATE_ROOT"
    assert problem in error.problem
    assert error.cure


@pytest.mark.parametrize("character", ["*", "?", "[", "]", '"', "\\", "$", "{", "%", "\n"])
def test_a_root_that_apache_would_misread_is_refused(tmp_path: Path, character: str) -> None:
    folder = tmp_path / f"a{character}b"
    folder.mkdir()
    assert "would misread" in refused(SECRET_KEY=SECRET, DELEGATE_ROOT=folder).problem


def test_a_root_is_pinned_with_its_links_resolved(make_app: Factory, root: Path) -> None:
    link = root.with_name("current")
    link.symlink_to(root)
    app = make_app(DELEGATE_ROOT=str(link) + "/")
    assert app.extensions["delegate"].settings.areas["default"].root == str(root)


@pytest.mark.parametrize(
    "url",
    ["", "/", "private/", "/private", "/pri vate/", "/../", "/./x/", "//x/", "/a%2f/", "/x?/", 3],
)
def test_an_internal_url_that_is_not_one_is_refused(root: Path, url: Any) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_URL=url)
    assert error.key == "DELEGATE_URL"


def test_several_areas(make_app: Factory, tmp_path: Path) -> None:
    areas = {}
    for name in ("reports", "photos"):
        (tmp_path / name).mkdir()
        areas[name] = {"root": tmp_path / name, "url": f"/inside/{name}/"}
    settings = make_app(DELEGATE_AREAS=areas).extensions["delegate"].settings
    assert settings.area("photos").url == "/inside/photos/"
    assert settings.area(None).name == "default"
    with pytest.raises(UnknownArea) as caught:
        settings.area("music")
    known = "(configured areas: default, reports, photos)."
    assert str(caught.value) == f"no area named 'music' {known}"
    alone = make_app(DELEGATE_ROOT=None, DELEGATE_AREAS={"reports": areas["reports"]})
    assert alone.extensions["delegate"].settings.area(None).name == "reports"
    both = make_app(DELEGATE_ROOT=None, DELEGATE_AREAS=areas).extensions["delegate"].settings
    with pytest.raises(UnknownArea, match="no default area"):
        both.area(None)


@pytest.mark.parametrize(
    "areas",
    [
        "reports",
        {"reports": "/srv/reports"},
        {"reports": {"root": "/srv"}},
        {"reports": {"root": "/srv", "url": "/x/", "typo": 1}},
        {"default": {"root": "/srv", "url": "/x/"}},
        {"not a name": {"root": "/srv", "url": "/x/"}},
    ],
)
def test_areas_that_do_not_fit_are_refused(areas: Any) -> None:
    assert refused(SECRET_KEY=SECRET, DELEGATE_AREAS=areas).key.startswith("DELEGATE_AREAS")


def test_overlapping_areas_are_refused(root: Path, tmp_path: Path) -> None:
    inner = root / "inner"
    inner.mkdir()
    beside = tmp_path.resolve() / "files-2"
    beside.mkdir()
    clash = {"a": {"root": inner, "url": "/a/"}}
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_AREAS=clash)
    folders = f"the files of 'default' ({root}) and 'a' ({inner}) overlap."
    assert (error.key, error.problem) == ("DELEGATE_AREAS", folders)
    clash = {"a": {"root": beside, "url": "/private/a/"}}
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_AREAS=clash)
    urls = "the URLs of 'default' (/private/) and 'a' (/private/a/) overlap."
    assert (error.key, error.problem) == ("DELEGATE_AREAS", urls)
    app = Flask("under_test", static_folder=None)
    areas = {"a": {"root": beside, "url": "/private-2/"}}
    app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_AREAS=areas)
    Delegate(app)


def test_a_root_inside_the_static_folder_is_refused(root: Path) -> None:
    for static in (root, root.parent):
        error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, static_folder=str(static))
        assert "which is public" in error.problem


def test_an_internal_url_that_the_static_files_have_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    for url in ("/static/", "/static/private/"):
        error = refused(
            SECRET_KEY=SECRET,
            DELEGATE_ROOT=root,
            DELEGATE_URL=url,
            static_folder=str(tmp_path / "static"),
        )
        assert (error.key, "overlaps" in error.problem) == ("DELEGATE_URL", True)


def test_a_secret_is_needed_to_hand_off(root: Path, make_app: Factory) -> None:
    assert refused(DELEGATE_ROOT=root).key == "SECRET_KEY"
    assert refused(DELEGATE_ROOT=root, SECRET_KEY=12345).key == "SECRET_KEY"
    make_app(SECRET_KEY=None, DELEGATE_BACKEND="stream")


@pytest.mark.parametrize("key", ["SECRET_KEY", "DELEGATE_ROOT", "DELEGATE_URL", "DELEGATE_BACKEND"])
@pytest.mark.parametrize("written", ["12345", "true", "1.5"])
def test_what_the_environment_makes_of_text_is_explained(
    root: Path, monkeypatch: pytest.MonkeyPatch, key: str, written: str
) -> None:
    monkeypatch.setenv(f"FLASK_{key}", written)
    app = Flask("under_test", static_folder=None)
    app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=str(root))
    app.config.from_prefixed_env()
    with pytest.raises(ConfigurationError, match="not text") as caught:
        Delegate(app)
    assert caught.value.key == key
    assert f"""FLASK_{key}='"…"'""" in caught.value.cure


@pytest.mark.parametrize("key", ["SECRET_KEY", "DELEGATE_ROOT", "DELEGATE_URL", "DELEGATE_BACKEND"])
def test_null_in_the_environment_is_nothing(root: Path, key: str) -> None:
    settings = {"SECRET_KEY": SECRET, "DELEGATE_ROOT": root, key: None}
    assert refused(**settings).key == key


def test_replaced_keys_are_a_list(root: Path) -> None:
    # Each character of a text would be a key that opens the files.
    for one in ("old", b"old", 5, True, {"a": "b"}, [None], ["", "old"], ["old", 5]):
        error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, SECRET_KEY_FALLBACKS=one)
        assert error.key == "SECRET_KEY_FALLBACKS"


@pytest.mark.parametrize("command", [["delegate", "doctor"], ["run"]])
def test_a_command_prints_the_sentence_alone(tmp_path: Path, command: list[str]) -> None:
    def create_app() -> Flask:
        app = Flask("under_test", static_folder=None)
        app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=tmp_path / "missing")
        Delegate(app)
        return app

    result = CliRunner().invoke(FlaskGroup(create_app=create_app), command)
    assert result.exit_code == 1
    assert result.output.startswith("Error: DELEGATE_ROOT: ")
    assert result.output.count("\n") == 1
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1


def test_an_unknown_backend_is_refused(root: Path) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_BACKEND="sendfile")
    assert "auto, mod_wsgi, scgi, nginx, caddy, lighttpd, xsendfile, stream" in error.cure


@pytest.mark.parametrize(
    "headers",
    [
        "X-Frame-Options: DENY",
        {"X Frame": "DENY"},
        {"Cache-Control": "public"},
        {"set-cookie": "a=b"},
        {"X-A": "two\nlines"},
        {"X-A": "${HOME}"},
        {"X-A": "expr=%{TIME}"},
        {"X-A": "ü"},
        {"X-A": " blank"},
        {"X-A": ""},
        {"X-A": 1},
        {"X-A": "1", "x-a": "2"},
        {"Trailer": "x"},
        {"X-Content-Type-Options": "none"},
    ],
)
def test_headers_that_apache_could_not_send_are_refused(root: Path, headers: Any) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_HEADERS=headers)
    assert error.key.startswith("DELEGATE_HEADERS")


def test_a_second_set_up_is_refused(app: Flask) -> None:
    with pytest.raises(RuntimeError, match="already set up"):
        Delegate(app)


def test_marks_belong_to_secret_and_settings(make_app: Factory, tmp_path: Path) -> None:
    def keys(**settings: Any) -> tuple[str, str]:
        found = make_app(**settings).extensions["delegate"].keys["default"][0]
        return found.token, found.fingerprint

    token, fingerprint = keys()
    assert keys() == (token, fingerprint)
    assert token != fingerprint
    (tmp_path / "other").mkdir()
    changes: list[dict[str, Any]] = [
        {"SECRET_KEY": "another secret"},
        {"DELEGATE_URL": "/elsewhere/"},
        {"DELEGATE_ROOT": tmp_path / "other"},
    ]
    for change in changes:
        assert not set(keys(**change)) & {token, fingerprint}
    with_headers = keys(DELEGATE_HEADERS={"X-Frame-Options": "DENY"})
    assert with_headers[0] == token
    assert with_headers[1] != fingerprint


def test_what_is_kept_of_an_application_does_not_show_its_secrets(make_app: Factory) -> None:
    """Debug pages and error reports print such things."""
    state = make_app(SECRET_KEY_FALLBACKS=["an older secret"]).extensions["delegate"]
    shown = repr(state)
    assert state.keys["default"][0].fingerprint in shown
    for secret in (SECRET, "an older secret", state.keys["default"][0].token):
        assert secret not in shown


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"root": "relative"}, "root"),
        ({"url": "/no-slash"}, "url"),
        ({"backend": "cherokee"}, "backend"),
        ({"signed_url": "/no-slash"}, "signed_url"),
        ({"signed_url": "/signed/", "backend": "xsendfile"}, "signed_url"),
    ],
)
def test_an_error_names_the_area_and_its_setting(
    root: Path, changed: dict[str, Any], name: str
) -> None:
    areas = {"photos": {"root": str(root), "url": "/photos/", **changed}}
    error = refused(SECRET_KEY=SECRET, DELEGATE_AREAS=areas)
    assert error.key == f"DELEGATE_AREAS['photos'] {name}"
    assert str(error) == f"{error.key}: {error.problem} {error.cure}"


def test_an_error_names_the_area_or_the_header(root: Path) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_AREAS={"a b": {"root": root, "url": "/x/"}})
    assert error.key == "DELEGATE_AREAS['a b']"
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_HEADERS={"X-A": "ü"})
    assert error.key == "DELEGATE_HEADERS['X-A']"


def test_areas_inherit_the_backend_and_may_have_their_own(root: Path, make_app: Factory) -> None:
    (root / "photos").mkdir()
    (root / "reports").mkdir()
    settings = make_app(
        DELEGATE_ROOT=None,
        DELEGATE_BACKEND="nginx",
        DELEGATE_HEADERS={"X-A": "1"},
        DELEGATE_AREAS={
            "photos": {"root": root / "photos", "url": "/photos/"},
            "reports": {"root": root / "reports", "url": "/reports/", "backend": "stream"},
        },
    )
    found = settings.extensions["delegate"].settings.areas
    assert [(one.backend, one.headers) for one in found.values()] == [
        ("nginx", {"X-A": "1"}),
        ("stream", {"X-A": "1"}),
    ]


def test_a_signed_url_that_the_static_files_have_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    error = refused(
        SECRET_KEY=SECRET,
        DELEGATE_ROOT=root,
        DELEGATE_SIGNED_URL="/static/x/",
        static_folder=str(tmp_path / "static"),
    )
    assert error.key == "DELEGATE_SIGNED_URL"


def test_the_secrets_are_the_key_and_those_that_it_has_replaced(make_app: Factory) -> None:
    def secrets(**settings: Any) -> tuple[bytes, ...]:
        found: tuple[bytes, ...] = make_app(**settings).extensions["delegate"].settings.secrets
        return found

    assert secrets(SECRET_KEY="ü") == ("ü".encode(),)
    assert secrets(SECRET_KEY=b"new", SECRET_KEY_FALLBACKS=["old"]) == (b"new", b"old")
    assert secrets(SECRET_KEY=None, DELEGATE_BACKEND="stream") == ()


@pytest.mark.parametrize(
    "name",
    [
        "Accept-Ranges",
        "cache-control",
        "Connection",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Content-Security-Policy",
        "Content-Type",
        "Date",
        "ETag",
        "Expires",
        "Keep-Alive",
        "Last-Modified",
        "Location",
        "Server",
        "Set-Cookie",
        "Status",
        "Trailer",
        "Transfer-Encoding",
        "Vary",
    ],
)
def test_a_header_that_the_server_sets_cannot_be_set(root: Path, name: str) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_HEADERS={name: "x"})
    assert error.key == f"DELEGATE_HEADERS[{name!r}]"


def test_headers_of_every_usual_form_can_be_set(make_app: Factory) -> None:
    headers = {"Referrer-Policy": "no-referrer", "X-1": '~!a "b" \\ 50%', "Z": "a b; c=d"}
    headers["x-content-type-options"] = "nosniff"
    found = make_app(DELEGATE_HEADERS=headers).extensions["delegate"].settings.area(None)
    assert {found}  # a key, headers or not
    assert found.headers == headers


@pytest.mark.parametrize("url", ["/a.b_c~d-9/", "/A/z/0/", "/_/"])
def test_an_internal_url_of_every_usual_form_can_be_set(make_app: Factory, url: str) -> None:
    app = make_app(DELEGATE_URL=url)
    assert app.extensions["delegate"].settings.area(None).url == url


def test_a_root_that_may_not_be_entered_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def access(path: str, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root)
    assert f"user id {os.geteuid()} may not enter {str(root)!r}" in error.problem
    assert asked == [(str(root), os.X_OK)]


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"url": "/static/a/"}, "url"), ({"signed_url": "/static/"}, "signed_url"), ({}, "root")],
)
def test_what_an_area_shares_with_the_static_files_is_named(
    root: Path, tmp_path: Path, changed: dict[str, str], name: str
) -> None:
    (tmp_path / "static").mkdir()
    error = refused(
        SECRET_KEY=SECRET,
        DELEGATE_AREAS={"photos": {"root": root, "url": "/photos/", **changed}},
        static_folder=str(tmp_path / "static" if changed else root),
    )
    assert error.key == f"DELEGATE_AREAS['photos'] {name}"
    shared = {"root": f"{str(root)!r} overlaps the static folder {str(root)!r}"}
    said = shared.get(name, f"{changed.get(name)!r} overlaps the static files' URL '/static/'.")
    assert error.problem.startswith(said)


@pytest.mark.parametrize("given", ["/a\0b", "/a\ud800b"])
def test_a_root_that_no_file_system_has_is_refused_in_words(given: str) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=given)
    assert error.key == "DELEGATE_ROOT"
    assert "cannot be opened" in error.problem
