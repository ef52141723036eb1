"""Run the Python behind a script, such as ``scripts/run``: ``python scripts PROGRAM [WORD...]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
program, words = sys.argv[1], sys.argv[2:]
modules = {"deploy/install": "deploy.installation"}
name = modules.get(program, program.replace("scripts/", "scripts.commands."))
sys.argv[0] = program  # which messages begin with
importlib.import_module(name).main(words)
