"""What ``flask portal check`` finds."""

from __future__ import annotations

import json

from flask import Flask

from portal.cli import portal


def check(app: Flask, *options: str) -> list[tuple[str, str | None]]:
    """Return the kinds of what is wrong, and how each was repaired."""
    result = app.test_cli_runner().invoke(portal, ["check", "--json", *options])
    found = json.loads(result.stdout)
    wrong = any(one["repaired"] is None for one in found)
    assert (result.exit_code, result.stderr) == (int(wrong), "")
    return [(one["kind"], one["repaired"]) for one in found]
