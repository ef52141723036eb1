"""The clone that a release is made from: git, the version, and CHANGES.md."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...lib.messages import fail, refuse

_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}((a|b|rc)[1-9]\d*)?")
"""PEP 440 in its normal form, with three numbers; neither local, nor post, nor dev releases."""
_PROJECT = r'^(?P<before>\[project\]\n(?:(?!\[).*\n)*?version = )"[^"]*"$'
_UNRELEASED = re.compile(r"^## .* \(not released\)\n(?P<entries>.*?)(?=^## |\Z)", re.M | re.S)


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, or a worktree of it."""

    folder: Path

    def git(self, *words: str | Path) -> str:
        """Return what git prints, without the last line's end; fail with what git says."""
        command = ["git", "-C", str(self.folder), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            fail(f"'git {words[0]}' failed: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    @property
    def name(self) -> str:
        """The project's name on an index."""
        read = tomllib.loads((self.folder / "pyproject.toml").read_text())
        return str(read["project"]["name"])

    def tagged(self) -> set[str]:
        """Return the versions that have a tag."""
        return {tag.removeprefix("v") for tag in self.git("tag", "--list", "v*").split()}

    def check_clean(self) -> None:
        """Refuse changes that no commit holds, and a commit that no branch holds."""
        if changed := self.git("status", "--porcelain").splitlines():
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            listed = ", ".join(line[3:] for line in changed[:3])
            refuse(f"the tree is not clean: {listed}{more}. Commit these changes, or remove them.")
        if not self.git("branch", "--show-current"):
            refuse("no branch is checked out. A release is a commit on a branch: check one out.")

    def check_version(self, version: str) -> None:
        """Refuse what is no version, and one that was released."""
        if not _VERSION.fullmatch(version):
            refuse(
                f"'{version}' is not a version of three numbers. Write it like 1.2.0, or 1.2.0rc1"
                " for a release candidate."
            )
        if version in self.tagged():
            refuse(f"version {version} has the tag v{version}. Choose another version.")

    def check_changes(self) -> None:
        """Refuse a release without changes."""
        found = _UNRELEASED.search(self._changes.read_text())
        if not found or not re.search(r"^- \S", found["entries"], re.M):
            refuse(
                "CHANGES.md lists nothing that is not released. List the changes below the heading"
                " '## VERSION (not released)'."
            )

    def write(self, version: str, date: str) -> None:
        """Write the version into ``pyproject.toml``, and with the date into ``CHANGES.md``."""
        path = self.folder / "pyproject.toml"
        new = rf'\g<before>"{version}"'
        text, written = re.subn(_PROJECT, new, path.read_text(), count=1, flags=re.MULTILINE)
        if not written:
            refuse("pyproject.toml has no line 'version = \"…\"' in [project]. Write one.")
        path.write_text(text)
        text = self._changes.read_text()
        found = _UNRELEASED.search(text)
        assert found  # noqa: S101 -- as check_changes said
        heading = f"## {version} ({date})\n"
        entries = found["entries"]
        self._changes.write_text(text[: found.start()] + heading + entries + text[found.end() :])

    @property
    def _changes(self) -> Path:
        return self.folder / "CHANGES.md"

    @contextmanager
    def worktree(self) -> Iterator[Clone]:
        """Yield a worktree of this commit, in which nothing changes the clone's own files."""
        self.git("worktree", "prune")  # what a killed command left
        with TemporaryDirectory(prefix="flask-delegate-release-", dir="/var/tmp") as folder:
            tree = Path(folder, "clone")
            self.git("worktree", "add", "--quiet", "--detach", tree)
            try:
                yield Clone(tree)
            finally:
                self.git("worktree", "remove", "--force", tree)
