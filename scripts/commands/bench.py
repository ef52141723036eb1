"""scripts/bench: measure ours and the alternatives side by side."""

from __future__ import annotations

import resource
from collections.abc import Sequence

from ..lib.environment import BrowserFiles, for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CERTIFICATES, CLONE, check_python, daemon, install_packages

_XSENDFILE = "libapache2-mod-xsendfile:/usr/lib/apache2/modules/mod_xsendfile.so"


def main(words: Sequence[str]) -> None:
    """Hand over to the package ``benchmarks``."""
    environment = for_developers(servers=True, groups=("dev", "bench"))
    with Jobs() as jobs:
        install_packages(jobs, "mod_wsgi", "npm", CERTIFICATES, "nginx", "wrk", _XSENDFILE)
        check_python(daemon())
        environment.make(jobs)
        BrowserFiles().make(jobs)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    command = (environment.bin / "python", "-m", "benchmarks", *words)
    raise SystemExit(in_foreground(*command, cwd=CLONE, env=environment.variables()))
