"""What nginx, Caddy, lighttpd and mod_xsendfile get to include, and what their hand-offs say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_delegate import file_refused
from flask_delegate.receipts import LIGHTTPD_FORMAT, NGINX_FORMAT
from flask_delegate.servers import SERVERS, nginx_resets
from flask_delegate.servers.caddy import log_block
from flask_delegate.servers.nginx import PASSING_ON
from flask_delegate.servers.nginx_resets import NOTHING
from tests.support.extension import Factory, serve


def written(app: Flask, command: str, *options: str) -> str:
    done = app.test_cli_runner().invoke(args=["delegate", command, *options])
    assert done.exit_code == 0, done.output
    return done.output


def shown(app: Flask) -> dict[str, str]:
    return {"X-Flask-Delegate": app.extensions["delegate"].keys["default"][0].fingerprint}


def two_areas(make_app: Factory, folder: Path, **settings: Any) -> Flask:
    (folder / "photos").mkdir()
    areas = {"photos": {"root": folder / "photos", "url": "/photos/"}}
    return make_app(DELEGATE_AREAS=areas, **settings)


def test_nginx_shows_the_fingerprints_of_all_areas(make_app: Factory, tmp_path: Path) -> None:
    app = two_areas(make_app, tmp_path, DELEGATE_BACKEND="nginx")
    prints = " ".join(keys[0].fingerprint for keys in app.extensions["delegate"].keys.values())
    text = written(app, "nginx-config")
    nothing = f'set {NOTHING} "";\nset $flask_delegate_logged "";'
    assert f'\nset $flask_delegate "{prints}";\n{nothing}\n\n' in text
    for protocol, lines in PASSING_ON.items():
        told = "".join(f"\n#     {line}" for line in lines)
        assert f"\n# beside {protocol}_pass:{told}\n" in text
    for url in ("/private/", "/photos/"):
        assert f"\nlocation ^~ {url} {{\n" in text
    assert text.count("\n    ssi off;\n") == 2
    assert "access_log" not in text
    assert "log_format" not in text
    assert text.count("sendfile on;") == 2


def test_nginx_writes_receipts_and_leaves_sendfile_off_where_asked(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="nginx")
    text = written(app, "nginx-config", "--receipts", "/var/log/x", "--no-sendfile")
    assert f"#     log_format flask_delegate '{NGINX_FORMAT}';\n" in text
    assert '\n    access_log "/var/log/x" flask_delegate if=$flask_delegate_logged;\n}\n' in text
    assert "\n    sendfile off;\n" in text


@pytest.mark.parametrize("has", [True, False])
def test_an_areas_headers_are_cleared_where_nginx_can(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    lines = ["ssi off;", "more_clear_headers ETag;"] if has else ["ssi off;"]
    monkeypatch.setattr(nginx_resets, "resets", lambda _: lines)
    app = make_app(DELEGATE_BACKEND="nginx", DELEGATE_HEADERS={"X-A": 'a "b" \\'})
    text = written(app, "nginx-config")
    assert ("\n    more_clear_headers X-A;\n" in text) == has
    assert 'add_header X-A "a \\"b\\" \\\\";' in text


def test_nginx_is_found_wherever_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server is in no user's PATH."""
    asked: list[tuple[str, list[str]]] = []
    answers = iter(["/usr/sbin/nginx", None])

    def which(name: str, *, path: str) -> str | None:
        asked.append((name, path.split(":")))
        return next(answers)

    monkeypatch.setattr("shutil.which", which)
    assert [SERVERS["nginx"].is_installed() for _ in range(2)] == [True, False]
    name, folders = asked[0]
    assert name == "nginx"
    assert {"/usr/sbin", "/usr/local/sbin"} <= set(folders)


@pytest.mark.parametrize("rate", [None, 2000])
def test_nginx_is_handed_a_file(make_app: Factory, rate: int | None) -> None:
    app = make_app(DELEGATE_BACKEND="nginx")
    serve(app, "report.txt", rate_limit=rate, csp="sandbox")
    response = app.test_client().get("/file", headers=shown(app))
    token = app.extensions["delegate"].keys["default"][0].token
    url, _, identity = response.headers["X-Accel-Redirect"].rpartition("&id=")
    assert url == f"/private/report.txt?k={token}"
    assert len(identity) == 16
    assert response.headers.get("X-Accel-Limit-Rate") == (rate and str(rate))
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert response.headers["Vary"] == "Cookie"
    assert response.data == b""


def test_caddy_shows_the_fingerprints_of_all_areas(make_app: Factory, tmp_path: Path) -> None:
    app = two_areas(make_app, tmp_path, DELEGATE_BACKEND="caddy", DELEGATE_HEADERS={"X-A": "1"})
    prints = " ".join(keys[0].fingerprint for keys in app.extensions["delegate"].keys.values())
    text = written(app, "caddy-config")
    assert f'\nheader_up X-Flask-Delegate "{prints}"\n' in text
    for name, (keys,) in app.extensions["delegate"].keys.items():
        assert f"\n    header X-Flask-Delegate-Token {keys.token}\n" in text
        assert f"\nhandle_response @delegate_{name} {{\n" in text
    assert text.count("\n        header X-A {rp.header.X-A}\n") == 2
    assert "log_" not in text
    assert text.index("@delegate_photos") < text.index("@delegate_refused")


def test_caddy_writes_receipts_where_asked(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="caddy")
    text = written(app, "caddy-config", "--receipts", "/var/log/x")
    for text_line in log_block("/var/log/x"):
        assert f"\n#     {text_line}\n" in text
    for directive in ("log_append flask_delegate {rp.header.X-Flask-Delegate-Id}", "log_name"):
        assert f"\n        {directive}" in text


def test_caddy_is_looked_for(
    make_app: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del make_app
    monkeypatch.setattr("flask_delegate.servers.caddy._FOLDERS", "/nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not SERVERS["caddy"].is_installed()
    (tmp_path / "caddy").touch(0o755)
    assert SERVERS["caddy"].is_installed()


def test_caddy_gets_the_token_beside_the_url(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="caddy")
    serve(app, "report.txt")
    headers = app.test_client().get("/file", headers=shown(app)).headers
    (keys,) = app.extensions["delegate"].keys["default"]
    assert headers["X-Accel-Redirect"] == "/private/report.txt"
    assert headers["X-Flask-Delegate-Token"] == keys.token
    assert len(headers["X-Flask-Delegate-Id"]) == 16


def test_lighttpd_is_told_the_folders_and_shows_the_fingerprints(
    make_app: Factory, tmp_path: Path, root: Path
) -> None:
    app = two_areas(make_app, tmp_path, DELEGATE_BACKEND="lighttpd")
    prints = " ".join(keys[0].fingerprint for keys in app.extensions["delegate"].keys.values())
    text = written(app, "lighttpd-config")
    assert f'"X-Flask-Delegate" => "{prints}"' in text
    folders = f'( "{root}/", "{tmp_path.resolve() / "photos"}/" )'
    assert f'"x-sendfile-docroot" => {folders}\n' in text
    assert 'setenv.set-response-header = ( "X-Flask-Delegate-Id" => "" )' in text
    assert "accesslog" not in text


def test_lighttpd_writes_receipts_where_asked(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="lighttpd")
    text = written(app, "lighttpd-config", "--receipts", "/var/log/x")
    assert '\n    accesslog.filename = "/var/log/x"\n' in text
    escaped = LIGHTTPD_FORMAT.replace('"', '\\"')
    assert f'\n    accesslog.format = "{escaped}"\n' in text
    assert "set-response-header" not in text


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("größe 1%.txt", "gr%C3%B6%C3%9Fe%201%25.txt"),
        ("raw\udcff.txt", None),
        ("a\tb", None),
        ("a\x7fb", None),
    ],
)
def test_lighttpd_is_handed_a_path_that_it_reads_as_meant(
    make_app: Factory, root: Path, name: str, sent: str | None
) -> None:
    (root / name).touch()
    app = make_app(DELEGATE_BACKEND="lighttpd")
    serve(app, name)
    errors: list[Exception] = []
    with file_refused.connected_to(lambda _, error: errors.append(error)):
        response = app.test_client().get("/file", headers=shown(app))
    if sent:
        assert response.headers["X-Sendfile"] == f"{root}/{sent}"
        assert len(response.headers["X-Flask-Delegate-Id"]) == 16
        assert response.headers["ETag"]
        assert response.headers["Last-Modified"]
    else:
        assert response.status_code == 500
        assert f"lighttpd cannot send {str(root / name)!r}: it reads UTF-8" in str(errors[0])
        assert "Rename the file" in str(errors[0])


@pytest.mark.parametrize("options", [(), ("--site",)])
def test_xsendfile_is_told_the_folders_and_shows_the_fingerprints(
    make_app: Factory, tmp_path: Path, root: Path, options: tuple[str, ...]
) -> None:
    app = two_areas(make_app, tmp_path, DELEGATE_BACKEND="xsendfile")
    text = written(app, "apache-config", *options)
    state = app.extensions["delegate"]
    for area, ((keys,), url) in zip(
        (root, tmp_path.resolve() / "photos"),
        zip(state.keys.values(), ("/private/", "/photos/"), strict=True),
        strict=True,
    ):
        assert f'\nXSendFile On\nXSendFilePath "{area}"\n' in text
        assert f'\nSetEnv flask_delegate.{keys.fingerprint} "{url}"\n' in text
        assert f"\nRequestHeader append X-Flask-Delegate {keys.fingerprint}\n" in text
    for name in ("xsendfile", "env", "headers"):
        assert f"<IfModule !{name}_module>" in text
    assert ("LoadModule xsendfile_module" in text) == (not options)
    assert ("a2enmod xsendfile" in text) == bool(options)


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("größe.txt", True),
        ("raw\udcff.txt", True),
        (" a.txt", True),
        ("a.txt ", False),
        ("a\tb", False),
        ("a\x7fb", False),
    ],
)
def test_xsendfile_is_handed_a_path_that_a_header_carries(
    make_app: Factory, root: Path, name: str, can: bool
) -> None:
    (root / name).touch()
    app = make_app(DELEGATE_BACKEND="xsendfile")
    errors: list[Exception] = []
    serve(app, name)
    with file_refused.connected_to(lambda _, error: errors.append(error)):
        response = app.test_client().get("/file", headers=shown(app))
    if can:
        sent = response.headers["X-Sendfile"].encode("latin-1")
        assert sent == os.fsencode(root / name)
        assert response.headers["ETag"]
        assert response.headers["Last-Modified"]
    else:
        assert response.status_code == 500
        assert f"X-Sendfile cannot carry the name {str(root / name)!r}." in str(errors[0])
        assert "Rename the file" in str(errors[0])
