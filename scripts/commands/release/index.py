"""The project's name on the index that pip is configured for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ...lib.messages import refuse

KNOWN = "flask"
"""A project that each index has which can answer at all."""
_UNREACHED = re.compile(r"Retrying|connection|Could not fetch URL|SSLError", re.IGNORECASE)


def check_name(name: str, version: str, tagged: set[str], variables: Mapping[str, str]) -> None:
    """Refuse a name that is somebody else's, and a version that the index has.

    A name is ours if each version on the index has a tag in this clone, and free if there is none.
    """
    if not versions(KNOWN, variables):
        refuse(f"pip's index knows no {KNOWN}: it does not answer, or holds a few projects only.")
    on_index = versions(name, variables)
    if version in on_index:
        refuse(f"the index has {name} {version}, and takes each version once. Choose another.")
    if foreign := sorted(on_index - tagged):
        refuse(
            f"the index has {name} {', '.join(foreign)}, and this clone has no such tag. Fetch the"
            " tags with 'git fetch --tags'; without them, the name is somebody else's."
        )


def versions(name: str, variables: Mapping[str, str]) -> set[str]:
    """Return the versions on the index, pre-releases and those for other Pythons included."""
    words = ["--pre", "--ignore-requires-python", "--disable-pip-version-check"]
    done = subprocess.run(
        ["python", "-m", "pip", "index", "versions", *words, name],
        env=dict(variables),
        cwd=Path("/"),
        capture_output=True,
        text=True,
        check=False,
    )
    if found := re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE):
        return set(found[1].split(", "))
    if "No matching distribution" not in done.stderr or _UNREACHED.search(done.stderr):
        refuse(f"pip cannot ask its index for {name}: {done.stderr.strip()}")
    return set()
