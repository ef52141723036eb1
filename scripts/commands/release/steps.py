"""The steps of a release, in their order: what is cheap to refuse comes first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ...lib.jobs import Jobs
from ...lib.messages import fail, refuse, say
from . import artifacts, trials
from .index import check_name
from .source import Clone

CHECKS = ("scripts/check", "scripts/test unit -q")
"""What has to succeed in the release's own worktree."""


class Release:
    """A version that is to be released from a clone."""

    def __init__(self, folder: Path, version: str) -> None:
        self._clone, self._version = Clone(folder), version
        self._target = folder / "dist" / version

    def check_tree(self) -> None:
        """Refuse what no release can be made from."""
        self._clone.check_version(self._version)
        self._clone.check_clean()
        self._clone.check_changes()
        if self._target.exists():
            refuse(f"{self._target} exists. Remove what is left there of another attempt.")

    def make(self, variables: Mapping[str, str], systems: Sequence[str]) -> None:
        """Build and test it in a worktree; then put the commit, the tag and the files in place."""
        clone, version = self._clone, self._version
        check_name(clone.name, version, clone.tagged(), variables)
        before = clone.commit
        with clone.worktree() as tree:
            tree.write(version, f"{datetime.now(UTC):%Y-%m-%d}")
            tree.git("commit", "--quiet", "--all", f"--message=Release {version}")
            built = tree.folder.with_name("built")
            files = self._build(tree, built, variables)
            for command in CHECKS:
                say(f"{command} ...")
                with Jobs() as jobs:
                    status = jobs.run(*command.split(), cwd=tree.folder)
                if status:
                    fail(f"{command}: status {status}. Nothing was released.")
            for system in systems:
                trials.run(built, system)
            (built / artifacts.SUMS).write_text(artifacts.sums(files))
            shutil.copy(built.with_name(artifacts.PROVENANCE), built)
            self._check_branch(before)
            try:
                shutil.copytree(built, self._target)
                self._tag(tree.commit, systems)
            except BaseException:
                shutil.rmtree(self._target, ignore_errors=True)
                raise
            clone.git("merge", "--quiet", "--ff-only", tree.commit)
        self._say_what_is_left(clone, variables)

    def _build(self, tree: Clone, built: Path, variables: Mapping[str, str]) -> list[Path]:
        say("building ...")
        files = artifacts.build(tree, built, variables)
        urls = artifacts.check_metadata(files, self._version)
        artifacts.check_readme(files, variables)
        source = urls["Source"].rstrip("/")
        told = artifacts.provenance(tree, files, self._version, source, variables)
        built.with_name(artifacts.PROVENANCE).write_text(json.dumps(told, indent=2) + "\n")
        return files

    def _check_branch(self, before: str) -> None:
        self._clone.check_clean()
        if self._clone.commit != before:
            fail("the branch has changed meanwhile. Nothing was released: start again.")

    def _tag(self, commit: str, systems: Sequence[str]) -> None:
        """Put a tag on the commit that says what it was tested on."""
        tag = f"v{self._version}"
        lines = [f"Flask-Delegate {self._version}", ""]
        for system, python in trials.PYTHONS.items():
            tested = "tested" if system in systems else "not tested"
            lines.append(f"{tested} on {system}, Python {python}")
        message = "\n".join(lines)
        self._clone.git("tag", "--annotate", tag, f"--message={message}", commit)

    def _say_what_is_left(self, clone: Clone, variables: Mapping[str, str]) -> None:
        twine = shutil.which("twine", path=variables["PATH"])
        folder = self._target.relative_to(clone.folder)
        branch = clone.git("branch", "--show-current")
        say(f"{folder} has the files; the commit and the tag v{self._version} are on {branch}.")
        say(
            "Nothing was uploaded. To upload:"
            f" git push --atomic origin {branch} v{self._version} &&"
            f" {twine} upload {folder}/*.whl {folder}/*.tar.gz"
        )
