"""Checks of settings, folders and files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from flask import Blueprint, Flask

from flask_delegate.doctor.file_access import (
    find_account,
)
from tests.support.doctor import findings, level
from tests.support.extension import Factory


def test_a_short_key(make_app: Factory) -> None:
    found = findings(make_app(SECRET_KEY="x" * 15))["settings"]
    assert found["level"] == "failure"
    assert "SECRET_KEY has 15 bytes" in found["seen"]
    assert "secrets.token_hex()" in found["fix"]
    assert level(make_app(SECRET_KEY="x" * 16), "settings") == "ok"


def test_debug_mode(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    found = findings(app)["settings"]
    assert found["level"] == "warning"
    assert "FLASK_DEBUG" in found["fix"]


def test_an_interpreter_that_cannot_be_read(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "python").write_bytes(b"")
    closed.chmod(0)
    monkeypatch.setattr("sys.executable", str(closed / "python"))
    found = findings(app, "--user", find_account(None).name)["interpreter"]
    closed.chmod(0o700)
    assert found["level"] == "failure"
    name = find_account(None).name
    assert found["seen"].startswith(
        f"{name} may not enter or run {'/' if os.geteuid() == 0 else closed}"
    )
    assert "--user" in found["fix"]


def test_the_daemons_user_runs_python(app: Flask, tmp_path: Path) -> None:
    main = tmp_path / "apache2.conf"
    unknown = "WSGIDaemonProcess a user=nobody-of-this-name user=\n"
    main.write_text(f"{unknown}WSGIDaemonProcess b threads=5 user='root' user=daemon\n")
    found = findings(app, "--apache-config", str(main))["interpreter"]
    binary = os.path.realpath(sys.executable)
    assert (found["level"], found["seen"]) == ("ok", f"root can read {binary} and the code")


def test_python_runs_elsewhere(make_app: Factory) -> None:
    found = findings(make_app(DELEGATE_BACKEND="nginx"))["interpreter"]
    assert (found["level"], found["area"]) == ("skipped", None)


def test_a_folder_that_everybody_may_change(app: Flask, root: Path) -> None:
    assert findings(app)["root"]["seen"].startswith(f"{root} ")
    root.chmod(0o1777)
    found = findings(app)["root"]
    assert (found["level"], found["fix"]) == ("failure", f"chmod o-w {root}")
    assert f"{root} (mode 1777)" in found["seen"]
    root.chmod(0o755)
    for mode, wanted in ((0o1777, "ok"), (0o777, "failure")):
        root.parent.chmod(mode)
        assert level(app, "root") == wanted
    root.parent.chmod(0o700)


def test_a_folder_that_the_web_server_may_not_enter(app: Flask, root: Path) -> None:
    (root / "a").mkdir()
    outer = root.parent
    found = findings(app, "--user", "root")
    assert found["permissions"]["seen"] == f"root may enter all of {root}"
    outer.chmod(0o600)
    found = findings(app, "--user", "1234567")
    outer.chmod(0o700)
    said = found["permissions"]
    assert said["level"] == "failure"
    assert said["seen"].startswith("uid 1234567 may not enter or run /")
    assert said["fix"].startswith("setfacl -m u:uid 1234567:x /")
    assert "--user" in said["fix"]


def test_a_linked_root(make_app: Factory, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    found = findings(make_app(DELEGATE_ROOT=tmp_path / "link"))["root-link"]
    assert found["level"] == "warning"
    assert found["seen"].startswith(f"{tmp_path}/link leads through")
    assert f" {root}." in found["seen"]
    assert f"Write {root} into the settings" in found["fix"]
    areas = {
        "plain": {"root": f"{root}/../files/", "url": "/a/"},
        "linked": {"root": str(tmp_path / "link"), "url": "/b/"},
    }
    for name, wanted in (("plain", "ok"), ("linked", "warning")):
        app = make_app(DELEGATE_ROOT=None, DELEGATE_AREAS={name: areas[name]})
        found = findings(app, "--area", name)["root-link"]
        assert (found["level"], found["area"]) == (wanted, name)


def test_files_that_cannot_be_read_and_links(app: Flask, root: Path) -> None:
    (root / "link").symlink_to(root / "report.txt")
    user = ("--user", find_account(None).name if os.geteuid() else "root")
    found = findings(app, *user)["links"]
    assert found["level"] == "warning"
    assert f"1 symbolic links, such as {root}/link." in found["seen"]
    assert level(app, "files", *user) == "ok"
    if os.geteuid() == 0:
        (root / "report.txt").chmod(0o600)
        for name in "abc":
            (root / name).mkdir(mode=0o600)
        every = findings(app, "--user", "nobody")
        found = every["files"]
        assert (found["level"], every["links"]["level"]) == ("failure", "warning")
        assert found["seen"].startswith("of 5 files and folders, nobody ")
        assert found["seen"].endswith(", and 1 more.")
        assert found["seen"].count(f", may not enter or run {root}/") >= 1
        assert f"may not enter or run {root}/" in found["seen"]
        (root / "a").rmdir()
        assert (
            f"cannot read {root}/report.txt" in findings(app, "--user", "nobody")["files"]["seen"]
        )
        assert "more" not in findings(app, "--user", "nobody")["files"]["seen"]
        fix = findings(app, "--user", "nobody")["files"]["fix"]
        assert f"setfacl -R -m u:nobody:rX -m d:u:nobody:rX {root}" in fix


@pytest.mark.parametrize("backend", ["stream", "nginx"])
def test_where_python_sends_files_its_user_reads_them(
    make_app: Factory, root: Path, tmp_path: Path, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    (root / "report.txt").chmod(0)
    main = tmp_path / "apache2.conf"
    main.write_text("WSGIDaemonProcess a user=root\n")
    by_daemon = findings(app, "--user", "65533", "--apache-config", str(main))
    found = findings(app, "--user", "65533")
    for check in ("files", "permissions"):
        if backend == "nginx":
            assert (found[check]["level"], by_daemon[check]["level"]) == ("failure", "failure")
            continue
        assert (by_daemon[check]["level"], "65533" in by_daemon[check]["seen"]) == ("ok", False)
        if os.geteuid() == 0:
            assert found[check]["level"] == "skipped"
            assert "application's user is not known" in found[check]["seen"]


def test_static_folders_of_blueprints(app: Flask, root: Path) -> None:
    app.register_blueprint(Blueprint("assets", __name__, static_folder=str(root / "sub")))
    found = findings(app)["overlap"]
    assert found["level"] == "failure"
    assert "'assets'" in found["seen"]
    assert f"{root} overlaps" in found["seen"]
    assert f"{root}/sub" in found["seen"]


def test_code_in_the_area(make_app: Factory, root: Path) -> None:
    app = make_app()
    app.root_path = str(root / "code")
    (root / "code").mkdir()
    found = findings(app)["overlap"]
    assert found["level"] == "failure"
    assert f"{root}/code, lies in {root}." in found["seen"]
