"""Install a wheel and a source distribution where nothing else is, and test each of them.

``python3 trial.py FOLDER``, with both files in the folder: any supported Python runs it, alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

SMOKE = """
import pathlib, tempfile
from flask import Flask
from flask_delegate import Delegate, delegated
from flask_delegate.testing import assert_delegated

root = pathlib.Path(tempfile.mkdtemp())
(root / "a.txt").write_text("a")
app = Flask("smoke", static_folder=None)
app.config.update(SECRET_KEY="secret", DELEGATE_ROOT=root)
Delegate(app)
app.get("/a")(delegated(lambda: True)(lambda: "a.txt"))
assert_delegated(app.test_client().get("/a"), "a.txt")
"""
"""Hands off a file; with warnings as errors."""
PACKAGE = "flask_delegate"


def main(folder: Path) -> None:
    """Test both; the first failure ends it."""
    source = _only(folder, "*.tar.gz")
    for artifact in (_only(folder, "*.whl"), source):
        with tempfile.TemporaryDirectory() as temporary:
            _try(artifact, source, Path(temporary))
        version = ".".join(map(str, sys.version_info[:3]))
        print(f"{artifact.name}: tested with Python {version}", flush=True)


def _try(artifact: Path, source: Path, folder: Path) -> None:
    python = folder / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "venv", python.parents[1])
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "install", "--quiet", "--no-cache-dir", artifact)
    _run(python, "-W", "error", "-c", SMOKE, cwd=folder)
    _run(*pip, "check")
    tests = unpack(source, folder)
    # What is tested is what was installed.
    shutil.rmtree(tests / PACKAGE)
    groups = tomllib.loads((tests / "pyproject.toml").read_text())["dependency-groups"]
    _run(*pip, "install", "--quiet", *groups["unit"])
    _run(python, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", cwd=tests)


def unpack(source: Path, folder: Path) -> Path:
    """Unpack a source distribution, and return the one folder that is in it."""
    # Debian 12's tarfile has no filter yet, without which a later one warns.
    (folder / "source").mkdir()
    _run("tar", "--extract", f"--directory={folder / 'source'}", "--file", source)
    return _only(folder / "source", "*")


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command[:4]))} …")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
