"""What is built can be installed where nothing else is, and with the oldest Flask it names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

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


# Interpreters that a machine may have beside the one that runs the tests.
OTHERS = ("python3.12", "python3.13", "python3.14")
TESTS = ("pytest", "pytest-timeout", "hypothesis")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def environment(folder: Path, *requirements: str | Path, base: str = sys.executable) -> Path:
    """Make a virtual environment; give its interpreter."""
    run(base, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", *requirements)
    return python


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, PROJECT)
    return folder


def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_wheel_holds_the_extension_alone(built: Path) -> None:
    with zipfile.ZipFile(wheel(built)) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"flask_delegate", "flask_delegate-0.1.0.dist-info"}
    assert "flask_delegate/py.typed" in names
    assert "flask_delegate/doctor/__init__.py" in names


def test_the_source_distribution_holds_what_the_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2].partition("/")[0] for name in archive.getnames()}
    extra = {".gitignore", "PKG-INFO"}
    assert names - extra == {
        "flask_delegate",
        "pyproject.toml",
        "README.md",
        "CHANGES.md",
        "LICENSE",
    }


def test_it_works_where_only_flask_is(built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "clean", wheel(built))
    run(python, "-W", "error", "-c", SMOKE, cwd=tmp_path)
    assert "delegate" in run(python, "-m", "pip", "list").lower()
    installed = run(python, "-m", "pip", "list", "--format=freeze").lower().split()
    names = {line.partition("==")[0] for line in installed}
    flask_brings = {"blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "werkzeug"}
    assert names - {"pip", "setuptools", "wheel", "flask-delegate"} == flask_brings


def run_unit_tests(python: Path) -> None:
    tests = PROJECT / "tests" / "unit" / "flask_delegate"
    told = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=PROJECT)
    assert " passed" in told


def test_the_oldest_flask_will_do(tmp_path: Path) -> None:
    run_unit_tests(environment(tmp_path / "oldest", "flask==3.0.0", "werkzeug==3.0.0", *TESTS))


def test_other_pythons_will_do(tmp_path: Path) -> None:
    """Where there are any; the rest of the tests are for the one that runs them."""
    for name in filter(is_there, OTHERS):
        run_unit_tests(environment(tmp_path / name, "flask", *TESTS, base=name))


def is_there(name: str) -> bool:
    found = shutil.which(name)
    return found is not None and subprocess.run([found, "-c", ""], check=False).returncode == 0
