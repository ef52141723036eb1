"""What the real unzip makes of the portal's ZIPs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.portal import make_folder, upload
from tests.support.tools import tool
from tests.support.zips import BEHIND, large_zip


def test_names_and_empty_folders_come_out(alice: FlaskClient, tmp_path: Path) -> None:
    page = make_folder(alice, "Übersicht")
    make_folder(alice, "Empty", page)
    upload(alice, "日本.txt", b"", page=make_folder(alice, "Inner", page))
    (tmp_path / "a.zip").write_bytes(alice.get(f"{page}/zip").data)
    command = [tool("unzip"), "-q", str(tmp_path / "a.zip"), "-d", str(tmp_path / "out")]
    variables = {**os.environ, "LC_ALL": "C.UTF-8"}
    assert subprocess.run(command, env=variables, check=False).returncode == 0
    assert (tmp_path / "out/Übersicht/Inner/日本.txt").exists()
    assert (tmp_path / "out/Übersicht/Empty").is_dir()


def test_what_is_behind_4_gib_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [tool("unzip"), "-p", str(large_zip(tmp_path, monkeypatch)), "after.txt"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == BEHIND
