"""How tests run the doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Flask

from flask_delegate.doctor import route

NAME = route.PREFIX + "0" * 32


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["delegate", "doctor", *arguments])
    return result.exit_code, result.output


def findings(app: Flask, *arguments: str) -> dict[str, dict[str, Any]]:
    _, output = run(app, "--json", *arguments)
    found = {item["check"]: item for item in json.loads(output)["findings"]}
    for item in found.values():
        assert item["seen"]
        if item["level"] in ("warning", "failure"):
            assert item["why"]
            assert item["fix"]
            assert item["seen"].endswith(".")
            assert item["why"].endswith(".")
    return found


def level(app: Flask, check: str, *arguments: str) -> str:
    return str(findings(app, *arguments)[check]["level"])


def generated(app: Flask, folder: Path, *options: str, command: str = "apache-config") -> str:
    path = str(folder / "generated.conf")
    arguments = ["delegate", command, "--output", path, *options]
    assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
    return path
