"""Run the Python behind a script, such as ``scripts/run``: ``python scripts PROGRAM [WORD...]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
program, words = sys.argv[1], sys.argv[2:]
sys.argv[0] = program  # which messages begin with
folder, _, name = program.partition("/")
if folder == "deploy":
    module, name = "deploy.installation", "main"
elif name in ("bench", "check", "docs", "screenshots"):
    module = "scripts.commands.tools"
else:
    module, name = f"scripts.commands.{name}", "main"
getattr(importlib.import_module(module), name)(words)
