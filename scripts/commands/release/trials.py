"""The tests of what was built, on each supported Python."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ...lib.jobs import Jobs
from ...lib.messages import say
from .. import systems

PYTHONS = {"debian-12": "3.11", "ubuntu-24.04": "3.12", "debian-13": "3.13", "ubuntu-26.04": "3.14"}
"""The version of Python that each system has: together, all that are supported."""
_TRIAL = Path(__file__).with_name("trial.py")
_PLACE = "srv/release"
_COMMAND = f"""export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends ca-certificates python3-venv
python3 -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{{python}}")'
exec python3 {_TRIAL.name} /{_PLACE}"""


def run(files: Path, system: str) -> None:
    """Test the wheel and the source distribution in a new root of a system; fail where they do."""
    say(f"testing on {system} with Python {PYTHONS[system]} ...")
    # The jobs end before the folder does.
    with tempfile.TemporaryDirectory(prefix=f"{system}-", dir="/var/tmp") as folder, Jobs() as jobs:
        root = systems.make_root(jobs, system, Path(folder))
        place = root / _PLACE
        shutil.copytree(files, place)
        shutil.copy(_TRIAL, place)
        command = _COMMAND.format(python=PYTHONS[system])
        jobs.quietly(
            *systems.inside(root, f"/{_PLACE}"),
            *("sh", "-ec", command),
            failure=f"the release fails on {system} with Python {PYTHONS[system]}.",
        )
