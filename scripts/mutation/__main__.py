"""``scripts/mutate``: see its ``--help``."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .changes import Change, changes_to
from .harmless import is_harmless
from .trials import Outcome, Trials

PROJECT = Path(__file__).resolve().parents[2]
HELP = """Change the code of a package, one change at a time in a copy, and run the unit tests
that reach it, then mypy. Print each change that neither notices: it wants an assertion, or simpler
code, or, if it changes nothing, an entry in scripts/mutation/harmless.toml."""


def main() -> int:
    """Try a sample of the changes, and return 1 if one is left over."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=HELP)
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many (300)")
    parser.add_argument("--seed", type=int, metavar="N", help="which ones; it is printed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    folder = [Path("flask_delegate")]
    parser.add_argument(
        "paths", nargs="*", type=Path, default=folder, help="modules, folders of one package"
    )
    given = parser.parse_args()
    packages = {path.resolve().relative_to(PROJECT).parts[0] for path in given.paths}
    if len(packages) > 1:
        parser.error(f"one package at a time, not {' and '.join(sorted(packages))}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # as Ctrl-C does
    seed = random.SystemRandom().randrange(10_000) if given.seed is None else given.seed
    again = shlex.join(["scripts/mutate", f"--sample={given.sample}", f"--seed={seed}"])
    print(f"again: {again} {shlex.join(map(str, given.paths))}", flush=True)
    begin, found = time.monotonic(), Counter[Outcome]()
    with tempfile.TemporaryDirectory(prefix="flask-delegate-") as copies:
        trials = Trials(PROJECT, packages.pop(), Path(copies), given.jobs)
        possible = list(changes(given.paths))
        reached = [change for change in possible if trials.tests_for(change)]
        print(
            f"{len(possible)} changes, {len(reached)} of them where a unit test passes", flush=True
        )
        random.Random(seed).shuffle(reached)  # noqa: S311 -- no secret
        sample = list(islice((one for one in reached if not is_harmless(one)), given.sample))
        for change, outcome in trials.run(sample):
            found[outcome] += 1
            if found.total() % 50 == 0:
                print(f"\n... {found.total()} of {len(sample)}", flush=True)
            if outcome is Outcome.UNNOTICED:
                print(f"\n{change.path}:{change.line}\n{change.diff()}", flush=True)
    counts = ", ".join(f"{found[outcome]} {outcome.value}" for outcome in Outcome)
    rate = found[Outcome.UNNOTICED] / max(1, len(sample))
    seconds = time.monotonic() - begin
    print(f"\n{len(sample)} changes in {seconds:.0f} s: {counts}; {rate:.1%} unnoticed")
    return int(bool(found[Outcome.UNNOTICED]))


def changes(paths: list[Path]) -> Iterator[Change]:
    """Yield the changes to these modules, and to those in these folders."""
    for path in sorted({path.resolve() for path in paths}):
        for module in [path] if path.is_file() else sorted(path.rglob("*.py")):
            yield from changes_to(PROJECT, module.relative_to(PROJECT))


if __name__ == "__main__":
    raise SystemExit(main())
