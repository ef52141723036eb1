"""Run the Python behind a script, such as ``scripts/run``: ``python scripts PROGRAM [WORD...]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
program, words = sys.argv[1], sys.argv[2:]
sys.argv[0] = program  # which messages begin with
_OTHERS = {
    "deploy/install": "deploy.installation",
    "scripts/cluster": "scripts.commands.cluster",
    "scripts/release": "scripts.commands.release",
    "scripts/run": "scripts.commands.run",
}
module = importlib.import_module(_OTHERS.get(program, "scripts.commands.tools"))
name = "main" if program in _OTHERS else Path(program).name
raise SystemExit(getattr(module, name)(words))
