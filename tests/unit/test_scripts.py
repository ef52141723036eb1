"""What the scripts need, what they refuse, and what they install."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import installation, site
from scripts.lib import environment, machine
from scripts.lib.jobs import Jobs
from tests.support.paths import PROJECT


def refusal(script: str, *words: str, **variables: str) -> str:
    """Run a script, which has to refuse before it installs anything."""
    command = [str(PROJECT / "scripts" / script), *words]
    variables = {**os.environ, **variables}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "installing" not in done.stderr
    return done.stderr


def program(path: Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("script", ["run", "test", "check"])
@pytest.mark.parametrize("version", ["3.9.2", "3.10.12", "3.15.0", "2.7.18"])
def test_another_python_is_refused(script: str, version: str, tmp_path: Path) -> None:
    old = program(tmp_path / "python3", f"echo Python {version}")
    said = refusal(script, FLASK_DELEGATE_PYTHON=old)
    assert f"{old} is Python {version}, and Python 3.11 to 3.14 is needed." in said
    assert "FLASK_DELEGATE_PYTHON" in said


def test_packages_are_installed_on_what_is_supported_only(tmp_path: Path) -> None:
    system = tmp_path / "os-release"
    system.write_text('ID=ubuntu\nVERSION_ID="22.04"\n')
    lines = 'case $2 in *ensurepip*) exit 1 ;; esac; exec /usr/bin/python3 "$@"'
    python = program(tmp_path / "python3", lines)
    variables = {"FLASK_DELEGATE_PYTHON": python, "FLASK_DELEGATE_OS_RELEASE": str(system)}
    said = refusal("run", **variables)
    assert "missing: python3-venv" in said
    assert machine.SUPPORTED in said


def test_run_checks_the_number_of_clients_before_it_installs(tmp_path: Path) -> None:
    lines = 'case $2 in *ensurepip*) exit 1 ;; esac; exec /usr/bin/python3 "$@"'
    python = program(tmp_path / "python3", lines)  # for which a package is missing
    said = refusal("run", "--clients", "many", FLASK_DELEGATE_PYTHON=python)
    assert "'many' is not a number of clients" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hosts", "0"], "--hosts is '0'. Give it a number from 1 to 16."),
        (["--hosts", "many"], "--hosts is 'many'"),
        (["--port", "60000"], "--port is '60000'. Give it a number from 1 to 55000."),
        (["--data", "/etc"], "/etc is not empty. Choose another folder with --data"),
        (["--data", "/srv/a b"], "cannot keep data in '/srv/a b'"),
        (["--data", f"/srv/{'a' * 60}"], "Choose a path of at most 60 letters"),
    ],
)
def test_cluster_refuses_what_cannot_be(words: list[str], said: str) -> None:
    assert said in refusal("cluster", *words)
    assert not Path("/etc/cluster").exists()


def test_install_checks_the_number_of_clients_before_it_installs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "SYSTEM", "debian 12")
    monkeypatch.setattr(Path, "is_dir", lambda _: True)  # systemd's
    monkeypatch.setattr(installation, "Installation", pytest.fail)
    for clients, said in (("many", "is not a number of clients"), ("9" * 9, "Expect fewer")):
        with pytest.raises(SystemExit, match="2"):
            installation.main(["--clients", clients, "nginx", "files.example.org"])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "debians", "said"),
    [
        (["chromium"], True, "Ubuntu has as a snap only"),
        (["python3-venv"], False, "lacks its module ensurepip"),
        (["python3-dev"], False, "lacks its headers"),
    ],
)
def test_what_no_package_brings_is_named(
    missing: list[str],
    debians: bool,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(machine, "SYSTEM", "ubuntu 24.04")
    monkeypatch.setattr(machine, "_missing", lambda _: iter(missing))
    monkeypatch.setattr(machine, "_is_debians", lambda: debians)
    with pytest.raises(SystemExit, match="2"):
        machine.install_packages(Jobs(), *missing)
    assert said in capsys.readouterr().err


def test_production_is_locked_with_hashes_and_no_host() -> None:
    found = environment.locked("mod-wsgi", "gunicorn", "postgresql", "store")
    for name, requirement in found.items():
        assert re.match(rf"{name}==[\w.]+ ", requirement)
        assert "--hash=sha256:" in requirement
    for wanted in environment.group("production"):
        name = re.split("[<>=[]", wanted)[0]
        assert re.sub("[-_.]+", "-", name).lower() in found
    assert "://" not in environment.LOCK.read_text()


def test_what_is_changed_is_put_back_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file, new = tmp_path / "a" / "file", tmp_path / "a" / "new"
    file.parent.mkdir()
    file.write_text("before")
    with site.Changes() as changes:
        changes.put(file, "after", gid=os.getegid(), uid=os.geteuid())
        changes.put(new, "after", gid=os.getegid(), uid=os.geteuid())
        assert (file.read_text(), new.read_text()) == ("after", "after")
    assert file.read_text() == "before"
    assert not new.exists()


def test_each_server_has_its_own_packages_only() -> None:
    nothing, gunicorn = environment.locked(), environment.locked("gunicorn")
    assert not nothing.keys() & {"mod-wsgi", "gunicorn", "setuptools"}
    assert gunicorn.keys() - nothing.keys() == {"gunicorn"}


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore what a script that ends leaves ignored."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_signal_ends_the_script_where_it_waits_and_all_it_started() -> None:
    steps: list[object] = []

    def work() -> None:
        with Jobs() as jobs:
            steps.append(jobs.start("sleep", "600"))
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("not here")
            jobs.run("sleep", "600")

    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        work()
    process, *rest = steps
    assert rest == ["not here"]
    assert isinstance(process, subprocess.Popen)
    assert process.poll() == -signal.SIGTERM


def test_each_harmless_change_is_to_a_line_that_there_is_and_has_its_reason() -> None:
    listed = tomllib.loads((PROJECT / "scripts/mutation/harmless.toml").read_text())
    for path, changes in listed.items():
        lines = (PROJECT / path).read_text().splitlines()
        for change in changes:
            assert change.keys() == {"line", "becomes", "reason"}
            wanted = change["line"].splitlines()
            assert set(wanted) <= {line.strip() for line in lines}, change["line"]
            assert change["becomes"].splitlines() != wanted


@pytest.mark.usefixtures("handlers")
def test_what_a_killed_program_left_behind_is_not_waited_for() -> None:
    with Jobs() as jobs:
        left = "trap '' TERM; echo $$; exec sleep 600"
        command = ("sh", "-c", 'sh -c "$0" & wait', left)
        process = jobs.start(*command, stdout=subprocess.PIPE)
        assert process.stdout
        with process.stdout:
            pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        began = time.monotonic()
    assert time.monotonic() - began < 5
    while _runs(pid):  # until the kernel has ended it
        assert time.monotonic() - began < 5
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()
