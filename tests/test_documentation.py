"""The documentation names everything that there is, and its examples run."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from flask import Flask

import flask_delegate
from flask_delegate import exceptions
from flask_delegate.backends import accel, location, sendfile, stream
from flask_delegate.cli import delegate
from flask_delegate.config import BACKENDS, DEFAULTS
from flask_delegate.handoff import Options
from flask_delegate.receipts import NGINX_FORMAT
from scripts.commands.tools import MODULES

REPOSITORY = Path(__file__).parents[1]
CONFIGURATION = (REPOSITORY / "docs" / "configuration.md").read_text()


def readme_example() -> str:
    found = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("key", [*DEFAULTS, "SECRET_KEY"])
def test_each_setting_is_documented(key: str) -> None:
    assert f"| `{key}` |" in CONFIGURATION


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_is_documented(backend: str) -> None:
    assert f"`{backend}`" in CONFIGURATION


@pytest.mark.parametrize("option", Options.__dataclass_fields__)
def test_each_option_of_a_handoff_is_documented(option: str) -> None:
    assert f"| `{option}` |" in CONFIGURATION


def test_each_command_and_its_options_are_documented() -> None:
    for name, command in delegate.commands.items():
        assert f"`flask delegate {name}`" in CONFIGURATION
        for parameter in [one for one in command.params if isinstance(one, click.Option)]:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert f"`{option}" in CONFIGURATION


def test_each_exception_is_documented_and_in_the_tree() -> None:
    names = [name for name, item in vars(exceptions).items() if isinstance(item, type)]
    for name in names:
        assert name in (exceptions.__doc__ or "")
        if name not in ("DelegateError", "FileRefused"):
            assert f"`{name}`" in CONFIGURATION


def test_the_table_of_servers_is_what_the_backends_declare() -> None:
    page = (REPOSITORY / "docs" / "backends.md").read_text()
    for backend in (location, accel, sendfile, stream):
        keeps = dataclasses.astuple(backend.KEEPS)
        words = " | ".join("yes" if kept else "no" for kept in keeps)
        assert f"| `{backend.NAME}` | {words} |" in page


def test_the_log_format_for_nginx_is_the_one_that_is_read() -> None:
    page = (REPOSITORY / "docs" / "receipts.md").read_text()
    assert f"log_format flask_delegate '{NGINX_FORMAT}';" in page


def test_each_public_name_has_a_docstring() -> None:
    for name in flask_delegate.__all__:
        item = getattr(flask_delegate, name)
        assert item.__doc__ or name in ("file_delegated", "file_refused")


def test_the_reference_has_each_public_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pdoc", "--docformat", "restructuredtext"]
    subprocess.run([*command, "--output-directory", tmp_path, *MODULES], check=True, cwd=REPOSITORY)
    page = (tmp_path / "flask_delegate.html").read_text()
    for name in flask_delegate.__all__:
        assert f'id="{name}"' in page
    assert (tmp_path / "flask_delegate" / "testing.html").exists()
    assert not (tmp_path / "flask_delegate" / "codec.html").exists()


def test_the_readmes_example_is_short_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = readme_example()
    assert len([line for line in source.splitlines() if line.strip()]) <= 15
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "a.txt").write_text("numbers")
    monkeypatch.setenv("FLASK_SECRET_KEY", "secret")
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(tmp_path))
    names: dict[str, object] = {"__name__": "hello"}
    exec(compile(source, "hello.py", "exec"), names)  # noqa: S102 -- the example under test
    app = names["app"]
    assert isinstance(app, Flask)
    client = app.test_client()
    assert client.get("/reports/a.txt").status_code == 403
    with client.session_transaction() as session:
        session["user"] = "alice"
    response = client.get("/reports/a.txt", buffered=True)
    assert response.data == b"numbers"
    assert response.headers["Content-Disposition"] == 'attachment; filename="a.txt"'


def test_links_between_pages_lead_somewhere() -> None:
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
