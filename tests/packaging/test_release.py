"""What scripts/release refuses, and what it leaves, in a small tree with checks that are played."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from scripts.commands import release as command
from scripts.commands.release import artifacts, index, steps, trials
from scripts.commands.release.source import Clone
from tests.support.paths import PROJECT

PYPROJECT = """\
[build-system]
requires = ["hatchling"]

[project]
name = "Flask-Delegate"
authors = [
    { name = "Ada" },
]
version = "0.1.0"

[tool.other]
version = "7"
"""
CHANGES = """\
# Changes

## 0.2 (not released)

- What is new.

## 0.1.0 (2026-01-02)

- All of it.
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "CHANGES.md": CHANGES,
    ".gitignore": "dist/\n",
    "scripts/check": "#!/bin/sh\nexit 0\n",
    "scripts/test": '#!/bin/sh\n[ "$*" = "unit -q" ]\n',
}
URLS = dict.fromkeys(artifacts.LABELS, "https://code.example/flask-delegate")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    folder = tmp_path / "clone"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    made = Clone(folder)
    made.git("init", "--quiet", "--initial-branch=main")
    commit(made)
    return made


def commit(clone: Clone) -> None:
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message=Change it")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Play what has tests of its own or takes long; return the systems that were tried."""
    tried: list[str] = []

    def build(_tree: Clone, target: Path, _variables: Mapping[str, str]) -> list[Path]:
        target.mkdir()
        (target / "a.whl").write_text("wheel")
        return [target / "a.whl"]

    def metadata(_files: Sequence[Path], _version: str) -> dict[str, str]:
        return URLS

    def readme(_files: Sequence[Path], _variables: Mapping[str, str]) -> None: ...

    def run(_files: Path, system: str) -> None:
        tried.append(system)

    monkeypatch.setattr(
        index, "versions", lambda name, _variables: {"flask": {"3.1"}}.get(name, set())
    )
    monkeypatch.setattr(artifacts, "build", build)
    monkeypatch.setattr(artifacts, "check_metadata", metadata)
    monkeypatch.setattr(artifacts, "check_readme", readme)
    monkeypatch.setattr(artifacts, "_tools", lambda _variables: ["hatchling@1.33.0"])
    monkeypatch.setattr(trials, "run", run)
    return tried


def release(clone: Clone, *systems: str) -> None:
    made = steps.Release(clone.folder, "0.2.0")
    made.check_tree()
    made.make(os.environ, systems)


def refused(capsys: pytest.CaptureFixture[str], stopped: SystemExit, status: int = 2) -> str:
    assert stopped.code == status
    return capsys.readouterr().err


def test_a_release_is_a_commit_a_tag_and_files(
    clone: Clone, played: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    release(clone, "debian-12", "debian-13")
    assert played == ["debian-12", "debian-13"]
    assert clone.git("log", "-1", "--format=%s") == "Release 0.2.0"
    assert clone.git("rev-parse", "v0.2.0^{commit}") == clone.commit
    clone.check_clean()
    assert len(clone.git("worktree", "list").splitlines()) == 1
    message = clone.git("tag", "--list", "v0.2.0", "--format=%(contents)")
    assert "\ntested on debian-13, Python 3.13\n" in message
    assert "\nnot tested on ubuntu-26.04, Python 3.14" in message
    folder = clone.folder / "dist" / "0.2.0"
    checked = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, check=False)
    assert checked.returncode == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("Nothing was uploaded. To upload: git push --atomic origin main v0.2.0")
    assert last.endswith("upload dist/0.2.0/*.whl dist/0.2.0/*.tar.gz")


def test_the_release_has_the_version_and_the_date(clone: Clone, played: list[str]) -> None:
    release(clone)
    assert not played
    written = (clone.folder / "pyproject.toml").read_text()
    assert written == PYPROJECT.replace('"0.1.0"', '"0.2.0"')
    changes = (clone.folder / "CHANGES.md").read_text()
    (heading,) = re.findall(r"^## 0\.2\.0 \(\d{4}-\d\d-\d\d\)$", changes, re.MULTILINE)
    assert changes == CHANGES.replace("## 0.2 (not released)", heading)


def test_the_provenance_names_the_commit_and_the_sums(clone: Clone, played: list[str]) -> None:
    del played
    release(clone)
    told = json.loads((clone.folder / "dist/0.2.0/provenance.json").read_text())
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert told["subject"] == [{"name": "a.whl", "digest": {"sha256": digest}}]
    definition = told["predicate"]["buildDefinition"]
    first, hatchling = definition["resolvedDependencies"]
    assert first["digest"] == {"gitCommit": clone.commit}
    assert first["uri"] == "git+https://code.example/flask-delegate@refs/tags/v0.2.0"
    assert hatchling == {"uri": "pkg:pypi/hatchling@1.33.0"}
    assert definition["internalParameters"]["SOURCE_DATE_EPOCH"] == artifacts.epoch(clone)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("new.txt", "new", "the tree is not clean: new.txt. Commit these changes, or remove them."),
        ("CHANGES.md", "# None\n", "the tree is not clean: CHANGES.md."),
    ],
)
def test_a_dirty_tree_is_refused(
    clone: Clone, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    (clone.folder / name).write_text(text)
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, "0.2.0").check_tree()
    assert said in refused(capsys, stopped.value)


def test_no_branch_is_refused(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    clone.git("checkout", "--quiet", "--detach")
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, "0.2.0").check_tree()
    assert "no branch is checked out" in refused(capsys, stopped.value)


@pytest.mark.parametrize(
    "version", ["", "1", "1.2", "v1.2.0", "01.2.0", "1.2.0-1", "1.2.0.dev1", "1.2.0\n", "../1.2.0"]
)
def test_what_is_no_version_is_refused(
    clone: Clone, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, version).check_tree()
    assert "is not a version of three numbers" in refused(capsys, stopped.value)


def test_a_version_with_a_tag_is_refused(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    clone.git("tag", "v0.2.0")
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, "0.2.0").check_tree()
    assert "version 0.2.0 has the tag v0.2.0" in refused(capsys, stopped.value)


@pytest.mark.parametrize("entries", ["", "\nNothing yet.\n\n"])
def test_no_changes_are_refused(
    clone: Clone, capsys: pytest.CaptureFixture[str], entries: str
) -> None:
    changes = CHANGES.replace("\n- What is new.\n\n", entries)
    (clone.folder / "CHANGES.md").write_text(changes)
    commit(clone)
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, "0.2.0").check_tree()
    assert "CHANGES.md lists nothing that is not released" in refused(capsys, stopped.value)


def test_what_is_left_of_another_attempt_is_refused(
    clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone.folder / "dist/0.2.0").mkdir(parents=True)
    with pytest.raises(SystemExit) as stopped:
        steps.Release(clone.folder, "0.2.0").check_tree()
    assert "Remove what is left there" in refused(capsys, stopped.value)


@pytest.mark.parametrize("script", ["scripts/check", "scripts/test"])
def test_checks_that_fail_leave_nothing(
    clone: Clone,
    played: list[str],
    capsys: pytest.CaptureFixture[str],
    script: str,
) -> None:
    (clone.folder / script).write_text("#!/bin/sh\nexit 3\n")
    commit(clone)
    before = clone.commit
    with pytest.raises(SystemExit) as stopped:
        release(clone, "debian-12")
    said = refused(capsys, stopped.value, 1)
    assert re.search(rf"{script}.*: status 3\. Nothing was released\.", said)
    assert not played
    assert clone.commit == before
    assert not clone.tagged()
    assert not (clone.folder / "dist").exists()
    assert len(clone.git("worktree", "list").splitlines()) == 1


def test_a_branch_that_changes_meanwhile_is_not_released(
    clone: Clone,
    played: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del played

    def change(_files: Path, _system: str) -> None:
        (clone.folder / "more.txt").touch()
        commit(clone)

    monkeypatch.setattr(trials, "run", change)
    with pytest.raises(SystemExit) as stopped:
        release(clone, "debian-12")
    assert "the branch has changed meanwhile" in refused(capsys, stopped.value, 1)
    assert not clone.tagged()


def test_a_tag_that_cannot_be_written_leaves_nothing(
    clone: Clone, played: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    del played
    clone.git("config", "tag.gpgSign", "true")
    clone.git("config", "gpg.program", "false")
    before = clone.commit
    with pytest.raises(SystemExit) as stopped:
        release(clone)
    assert "'git tag' failed" in refused(capsys, stopped.value, 1)
    assert clone.commit == before
    assert not clone.tagged()
    assert not (clone.folder / "dist/0.2.0").exists()


@pytest.mark.parametrize(
    ("known", "tagged", "said"),
    [
        (set(), set(), ""),
        ({"0.1.0"}, {"0.1.0", "0.1.1"}, ""),
        ({"0.1.0", "0.2.0"}, {"0.1.0", "0.2.0"}, "has Flask-Delegate 0.2.0, and takes each"),
        ({"0.1.0", "9.0rc1"}, {"0.1.0"}, "has Flask-Delegate 9.0rc1, and this clone has no such"),
        (None, set(), "pip's index knows no flask"),
    ],
)
def test_the_name_is_free_or_ours(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    known: set[str] | None,
    tagged: set[str],
    said: str,
) -> None:
    answers = {} if known is None else {"flask": {"3.1"}, "Flask-Delegate": known}
    monkeypatch.setattr(index, "versions", lambda name, _variables: answers.get(name, set()))
    if not said:
        index.check_name("Flask-Delegate", "0.2.0", tagged, {})
        return
    with pytest.raises(SystemExit) as stopped:
        index.check_name("Flask-Delegate", "0.2.0", tagged, {})
    assert said in refused(capsys, stopped.value)


def test_pip_is_asked_for_each_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the real pip: of an index on disk, and of one that does not answer."""
    folder = tmp_path / "flask-delegate"
    folder.mkdir()
    files = [f"flask_delegate-{version}-py3-none-any.whl" for version in ("0.1.0", "9.0rc1")]
    links = "".join(f'<a href="{file}" data-requires-python="&gt;=9">{file}</a>' for file in files)
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    ours = configured(tmp_path.as_uri())
    assert index.versions("Flask-Delegate", ours) == {"0.1.0", "9.0rc1"}
    assert index.versions("no-such-project", ours) == set()
    with pytest.raises(SystemExit) as stopped:
        index.versions("Flask-Delegate", configured("http://127.0.0.1:9/simple"))
    assert "pip cannot ask its index for Flask-Delegate: " in refused(capsys, stopped.value)


def configured(url: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url, "PIP_RETRIES": "1"}
    return {**others, **own, "PATH": path}


def wheel(folder: Path, *, without: str = "") -> Path:
    lines = ["Metadata-Version: 2.4", "Name: Flask-Delegate", "Version: 0.2.0", "Summary: It."]
    lines += ["Author: Ada", "License-Expression: MIT", "License-File: LICENSE"]
    lines += ["Requires-Python: >=3.11"]
    pythons = trials.PYTHONS.values()
    lines += [f"Classifier: Programming Language :: Python :: {python}" for python in pythons]
    lines += [f"Project-URL: {label}, {url}" for label, url in URLS.items()]
    kept = [line for line in lines if not without or without not in line]
    path = folder / "flask_delegate-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("flask_delegate-0.2.0.dist-info/METADATA", "\n".join([*kept, "", "It"]))
    return path


def test_complete_metadata_have_the_urls(tmp_path: Path) -> None:
    assert artifacts.check_metadata([wheel(tmp_path)], "0.2.0") == URLS


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("License-File", "the metadata lack License-File."),
        ("Summary", "the metadata lack Summary."),
        (":: 3.13", "classifiers lack 'Programming Language :: Python :: 3.13'"),
        ("Issues", "the metadata lack the URLs Issues. Write where these are"),
        ("https:", "lack the URLs Source, Documentation, Changelog, Issues."),
    ],
)
def test_incomplete_metadata_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without: str, said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        artifacts.check_metadata([wheel(tmp_path, without=without)], "0.2.0")
    assert said in refused(capsys, stopped.value)


def test_a_wheel_of_another_version_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        artifacts.check_metadata([wheel(tmp_path)], "0.3.0")
    assert "says that it is version 0.2.0, not 0.3.0" in refused(capsys, stopped.value, 1)


def test_only_a_system_that_there_is_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["0.2.0", "--without", "debian-11"])
    assert "invalid choice: 'debian-11'" in refused(capsys, stopped.value)


def test_the_systems_have_each_python_that_is_supported() -> None:
    text = (PROJECT / "pyproject.toml").read_text()
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert sorted(trials.PYTHONS.values()) == sorted(named)
