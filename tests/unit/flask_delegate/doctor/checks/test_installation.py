"""Checks of settings, folders and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flask import Blueprint, Flask

from flask_delegate.doctor.file_access import (
    find_account,
)
from tests.support.doctor import findings, level
from tests.support.extension import Factory


def test_a_short_key(make_app: Factory) -> None:
    assert level(make_app(SECRET_KEY="short"), "settings") == "failure"


def test_debug_mode(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert level(app, "settings") == "warning"


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
    assert f"may not enter or run {closed}" in found["seen"] or os.geteuid() == 0


def test_the_daemons_user_runs_python(app: Flask, tmp_path: Path) -> None:
    main = tmp_path / "apache2.conf"
    main.write_text(f"WSGIDaemonProcess a user={os.getuid()} user='root' threads=5\n")
    seen = findings(app, "--apache-config", str(main))["interpreter"]["seen"]
    assert seen.startswith("root ")


def test_a_linked_root(make_app: Factory, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    found = findings(make_app(DELEGATE_ROOT=tmp_path / "link"))["root-link"]
    assert found["level"] == "warning"
    assert str(root) in found["seen"]


def test_files_that_cannot_be_read_and_links(app: Flask, root: Path) -> None:
    (root / "link").symlink_to(root / "report.txt")
    user = ("--user", find_account(None).name if os.geteuid() else "root")
    assert level(app, "files", *user) == "warning"
    if os.geteuid() == 0:
        (root / "report.txt").chmod(0o600)
        assert level(app, "files", "--user", "nobody") == "failure"


def test_static_folders_of_blueprints(app: Flask, root: Path) -> None:
    app.register_blueprint(Blueprint("assets", __name__, static_folder=str(root / "sub")))
    assert level(app, "overlap") == "failure"


def test_code_in_the_area(make_app: Factory, root: Path) -> None:
    app = make_app()
    app.root_path = str(root / "code")
    (root / "code").mkdir()
    assert level(app, "overlap") == "failure"
