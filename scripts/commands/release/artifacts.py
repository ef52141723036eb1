"""The wheel and the source distribution: built twice with the same bytes, and described."""

from __future__ import annotations

import email
import hashlib
import os
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...lib.jobs import Jobs
from ...lib.messages import fail, refuse
from .source import Clone
from .trials import PYTHONS

LABELS = ("Source", "Documentation", "Changelog", "Issues")
"""The URLs that an index shows, by the labels that it knows."""
SUMS, PROVENANCE = "SHA256SUMS", "provenance.json"
_BUILD = ("python", "-m", "build", "--no-isolation")
# A second building machine differs in all that must not show.
_ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
_FIELDS = ("Summary", "Author", "License-Expression", "License-File", "Requires-Python")


def build(tree: Clone, target: Path, variables: Mapping[str, str]) -> list[Path]:
    """Build both into the target, and return them; fail unless a second build has the same bytes.

    The first one is built in the worktree, the second from ``git archive``, in another folder,
    with another umask, time zone and language; both with the commit's time.
    """
    variables = {**variables, "SOURCE_DATE_EPOCH": epoch(tree)}
    archive, again = target.with_name("archive"), target.with_name("again")
    archive.mkdir(mode=0o700)
    command = f"git -C '{tree.folder}' archive HEAD | tar --extract --directory='{archive}'"
    with Jobs() as jobs:
        failure = "the release cannot be built."
        jobs.quietly("sh", "-c", f"umask 077; {command}", failure=failure)
        quietly, elsewhere = jobs.quietly, {**variables, **_ELSEWHERE}
        quietly(*_BUILD, "--outdir", target, tree.folder, env=variables, failure=failure)
        words = ("sh", "-c", 'umask 077; exec "$@"', "sh", *_BUILD, "--outdir", again, archive)
        quietly(*words, env=elsewhere, failure=failure)
    files = sorted(target.iterdir())
    if differing := [path.name for path in files if digest(path) != digest(again / path.name)]:
        fail(f"built twice, {' and '.join(differing)} differ: the build is not reproducible.")
    return files


def epoch(tree: Clone) -> str:
    """Return the commit's time in seconds since 1970."""
    return tree.git("log", "-1", "--format=%ct")


def digest(path: Path) -> str:
    """Return a file's SHA-256 sum, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sums(files: Sequence[Path]) -> str:
    """Return the lines that ``sha256sum --check`` reads."""
    return "".join(f"{digest(path)}  {path.name}\n" for path in files)


def check_metadata(files: Sequence[Path], version: str) -> dict[str, str]:
    """Return the project's URLs by their labels; refuse metadata that lack what an index shows."""
    (wheel,) = [path for path in files if path.suffix == ".whl"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        found = email.message_from_bytes(archive.read(name))
    if found["Version"] != version:
        fail(f"{wheel.name} says that it is version {found['Version']}, not {version}.")
    if lacking := [field for field in _FIELDS if not found[field]]:
        refuse(f"the metadata lack {', '.join(lacking)}. Complete [project] in pyproject.toml.")
    classifiers = found.get_all("Classifier", [])
    named = [f"Programming Language :: Python :: {python}" for python in PYTHONS.values()]
    if lacking := [one for one in named if one not in classifiers]:
        refuse(f"classifiers lack '{lacking[0]}'. Add it in pyproject.toml.")
    urls = dict(one.split(", ", 1) for one in found.get_all("Project-URL", []))
    lacking = [label for label in LABELS if not urls.get(label, "").startswith("https://")]
    if lacking:
        refuse(
            f"the metadata lack the URLs {', '.join(lacking)}. Write where these are to be found,"
            " beginning with https://, into [project.urls] of pyproject.toml, and commit that."
        )
    return urls


def check_readme(files: Sequence[Path], variables: Mapping[str, str]) -> None:
    """Refuse a README that an index would not show."""
    with Jobs() as jobs:
        command = ("python", "-m", "twine", "--no-color", "check", "--strict", *files)
        jobs.quietly(*command, env=variables, failure="an index would not show README.md.")


def provenance(
    tree: Clone, files: Sequence[Path], version: str, source: str, variables: Mapping[str, str]
) -> dict[str, object]:
    """Return what was built from what, as an in-toto statement with SLSA's predicate.

    It is not signed: it lets others build the same bytes, and proves nothing about who wrote it.

    :param source: the URL of the repository.
    """
    subject = [{"name": path.name, "digest": {"sha256": digest(path)}} for path in files]
    commit = {"uri": f"git+{source}@refs/tags/v{version}", "digest": {"gitCommit": tree.commit}}
    tools = [{"uri": f"pkg:pypi/{one}"} for one in _tools(variables)]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{source}#scripts/release",
                "externalParameters": {"version": version},
                "internalParameters": {
                    "command": " ".join(_BUILD),
                    "SOURCE_DATE_EPOCH": epoch(tree),
                },
                "resolvedDependencies": [commit, *tools],
            },
            "runDetails": {"builder": {"id": f"{source}#scripts/release"}},
        },
    }


def _tools(variables: Mapping[str, str]) -> list[str]:
    """Return the versions of what decides the bytes, such as ``hatchling@1.33.0``."""
    asked = (
        "from importlib.metadata import version\n"
        "print(*(f'{name}@{version(name)}' for name in ('build', 'hatchling')))"
    )
    told = subprocess.run(
        ["python", "-c", asked],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.split()
