"""``deploy/make-guard``: what the command sees that writes the rules, and what stays outside."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

pytestmark = pytest.mark.root
SHOW = 'pwd; ls -A "$DATA"; stat -c %a "$DATA" "$DATA/secret_key"; cat "$DATA/secret_key"; env'


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    data, app, environment = tmp_path / "data", tmp_path / "app", tmp_path / "environment"
    data.mkdir()
    app.mkdir()
    (data / "portal.py").write_text("raise SystemExit('the portal has a hand in it')")
    (data / "secret_key").write_text("what the portal put there")
    environment.write_text(f"DATA={data}\n")
    return data, app, environment


def make_guard(
    folders: tuple[Path, Path, Path], *command: str, key: str = ""
) -> subprocess.CompletedProcess[str]:
    words: list[str | Path] = [PROJECT / "deploy/make-guard", *folders, *command]
    return subprocess.run(words, input=key, capture_output=True, text=True, check=False)


def test_the_command_sees_the_key_alone(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evil")
    monkeypatch.setenv("LD_PRELOAD", "")
    _, app, _ = folders
    done = make_guard(folders, "sh", "-c", SHOW, key="the key\n")
    assert done.returncode == 0, done.stderr
    where, listed, *modes, key = (lines := done.stdout.splitlines())[:5]
    assert (where, listed, modes, key) == (str(app), "secret_key", ["700", "600"], "the key")
    names = {line.partition("=")[0] for line in lines[5:]} - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names == {"PATH", "LANG", "PYTHONDONTWRITEBYTECODE", "DATA"}


def test_what_is_outside_stays_as_it_was(folders: tuple[Path, Path, Path]) -> None:
    data, *_ = folders
    mounts = Path("/proc/self/mounts").read_text()
    done = make_guard(folders, "sh", "-c", 'echo more >"$DATA/more"', key="the key")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in data.iterdir()} == {"portal.py", "secret_key"}
    assert (data / "secret_key").read_text() == "what the portal put there"
    assert Path("/proc/self/mounts").read_text() == mounts


def test_no_option_skips_the_namespace(folders: tuple[Path, Path, Path]) -> None:
    data, app, environment = folders
    words: list[str | Path] = [
        PROJECT / "deploy/make-guard",
        "--alone",
        data,
        app,
        environment,
        "true",
    ]
    done = subprocess.run(words, input="", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert str(data) not in Path("/proc/self/mounts").read_text()
    assert (data / "secret_key").read_text() == "what the portal put there"


def test_the_status_is_the_commands(folders: tuple[Path, Path, Path]) -> None:
    assert make_guard(folders, "sh", "-c", "exit 7").returncode == 7
    (folders[0] / "secret_key").unlink()
    folders[0].joinpath("portal.py").unlink()
    folders[0].rmdir()
    assert make_guard(folders, "true").returncode != 0
