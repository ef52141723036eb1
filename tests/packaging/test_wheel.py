"""What is built can be installed where nothing else is, and with the oldest Flask it names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts.commands.release import artifacts
from scripts.commands.release.source import Clone
from scripts.commands.release.trial import SMOKE
from tests.support.paths import PROJECT

# Interpreters that a machine may have beside the one that runs the tests.
OTHERS = ("python3.12", "python3.13", "python3.14")
PROJECT_FILE = tomllib.loads((PROJECT / "pyproject.toml").read_text())
TESTS = PROJECT_FILE["dependency-groups"]["unit"]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def environment(folder: Path, *requirements: str | Path, base: str = sys.executable) -> Path:
    """Create a virtual environment; return its interpreter."""
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
    version = PROJECT_FILE["project"]["version"]
    assert tops == {"flask_delegate", f"flask_delegate-{version}.dist-info"}
    assert {"flask_delegate/py.typed", "flask_delegate/mime.types"} <= set(names)
    assert "flask_delegate/doctor/__init__.py" in names


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    run("tar", "--extract", "--directory", folder, "--file", next(built.glob("*.tar.gz")))
    (found,) = folder.iterdir()
    return found


def test_the_source_distribution_holds_what_it_is_built_and_tested_with(unpacked: Path) -> None:
    extra = {".gitignore", "PKG-INFO"}
    assert {path.name for path in unpacked.iterdir()} - extra == {
        "flask_delegate",
        "tests",
        "docs",
        "pyproject.toml",
        "README.md",
        "CHANGES.md",
        "LICENSE",
    }
    assert not list(unpacked.glob("**/portal"))


def test_the_wheel_names_who_and_where_it_runs(built: Path) -> None:
    with zipfile.ZipFile(wheel(built)) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = archive.read(name).decode().partition("\n\n")[0].splitlines()
    for minor in range(11, 15):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}" in metadata
    assert "Classifier: Framework :: Flask" in metadata
    assert "Author: The Flask-Delegate contributors" in metadata
    extras = [line for line in metadata if line.startswith("Provides-Extra")]
    assert extras == ["Provides-Extra: gunicorn", "Provides-Extra: mod-wsgi"]


def test_the_release_is_built_twice_alike_and_an_index_shows_its_readme(tmp_path: Path) -> None:
    run("git", "clone", "--quiet", PROJECT, tmp_path / "clone")
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    files = artifacts.build(Clone(tmp_path / "clone"), tmp_path / "built", variables)
    assert [path.suffix for path in files] == [".whl", ".gz"]
    artifacts.check_readme(files, variables)


def test_it_works_where_only_flask_is(built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "clean", wheel(built))
    run(python, "-W", "error", "-c", SMOKE, cwd=tmp_path)
    assert "delegate" in run(python, "-m", "pip", "list").lower()
    installed = run(python, "-m", "pip", "list", "--format=freeze").lower().split()
    names = {line.partition("==")[0] for line in installed}
    flask_brings = {"blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "werkzeug"}
    assert names - {"pip", "setuptools", "wheel", "flask-delegate"} == flask_brings


def run_unit_tests(python: Path, source: Path) -> None:
    told = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", source, cwd=source)
    assert " passed" in told


def test_the_oldest_flask_will_do(unpacked: Path, tmp_path: Path) -> None:
    """With the unit tests of the source distribution, where nothing else is."""
    oldest = environment(tmp_path / "oldest", "flask==3.0.0", "werkzeug==3.0.0", *TESTS)
    run_unit_tests(oldest, unpacked)


def test_other_pythons_will_do(unpacked: Path, tmp_path: Path) -> None:
    """Where there are any; the rest of the tests are for the one that runs them."""
    for name in filter(is_there, OTHERS):
        python = environment(tmp_path / name, "flask", *TESTS, base=name)
        run_unit_tests(python, unpacked)


def is_there(name: str) -> bool:
    found = shutil.which(name)
    return found is not None and subprocess.run([found, "-c", ""], check=False).returncode == 0
