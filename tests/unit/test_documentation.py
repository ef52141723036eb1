"""The documentation names everything that there is, and its examples run."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from types import ModuleType

import click
import pytest
from flask import Flask

import flask_delegate.receipts
import flask_delegate.testing
from flask_delegate import exceptions
from flask_delegate.cli import delegate
from flask_delegate.config import DEFAULTS
from flask_delegate.handoff import Options
from flask_delegate.receipts import NGINX_FORMAT
from flask_delegate.scgi import options as scgi_options
from flask_delegate.servers import AUTO, SERVERS
from flask_delegate.servers.caddy import log_block
from flask_delegate.servers.codec import LONGEST
from flask_delegate.servers.nginx import PASSING_ON
from flask_delegate.servers.signing import LONGEST_URL
from tests.support.paths import PROJECT
from tests.support.readme import readme_example

PAGES = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs/extension").glob("*.md"))
"""Those of the extension without the set-ups, which are for production."""
CONFIGURATION = (PROJECT / "docs/extension/configuration.md").read_text()


@pytest.mark.parametrize("key", [*DEFAULTS, "SECRET_KEY"])
def test_each_setting_is_documented(key: str) -> None:
    assert f"| `{key}` |" in CONFIGURATION


@pytest.mark.parametrize("backend", [AUTO, *SERVERS])
def test_each_backend_is_documented(backend: str) -> None:
    assert f"`{backend}`" in CONFIGURATION


@pytest.mark.parametrize("option", Options.__annotations__)
def test_each_option_of_a_handoff_is_documented(option: str) -> None:
    assert f"| `{option}` |" in CONFIGURATION


def test_each_command_and_its_options_are_documented() -> None:
    context = click.Context(delegate)
    for name in delegate.list_commands(context):
        command = delegate.get_command(context, name)
        assert command is not None
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
    page = (PROJECT / "docs/extension/servers.md").read_text()
    for server in SERVERS.values():
        keeps = dataclasses.astuple(server.keeps)
        words = " | ".join("yes" if kept else "no" for kept in keeps)
        assert f"| `{server.name}` | {words} |" in page


def test_the_log_format_for_nginx_is_the_one_that_is_read() -> None:
    for name in ("docs/extension/receipts.md", "deploy/nginx/portal.conf"):
        assert f"log_format flask_delegate '{NGINX_FORMAT}';" in (PROJECT / name).read_text()


def test_the_log_for_caddy_is_the_one_that_is_generated() -> None:
    page = (PROJECT / "docs/extension/receipts.md").read_text()
    printed = "".join(f"    {line}\n" for line in log_block("/var/log/hello/downloads.log"))
    assert printed in page


def test_receipts_are_in_a_folder_that_the_applications_user_may_read() -> None:
    pages = {path.name: path.read_text() for path in (PROJECT / "docs/extension").rglob("*.md")}
    text = pages["receipts.md"]
    for name, page in pages.items():
        for log in re.findall(r"[^\s\"'`]+/downloads\.log", page):
            assert log == "/var/log/hello/downloads.log", name
    made = re.findall(r"install -d (?:-o www-data )?-g hello -m 2?75[01] /var/log/hello\n", text)
    assert len(made) == text.count(" --receipts /var/log/hello/downloads.log ")


LISTENING = r"start-server [^\n]*(?:\\\n[^\n]*)*|(?:gunicorn|flask_delegate\.scgi) [^\n`]*--bind .*"


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_what_is_only_tried_listens_to_this_machine_alone(page: str) -> None:
    for command in re.findall(LISTENING, (PROJECT / page).read_text()):
        assert re.search(r"--host 127\.0\.0\.1 |--bind (?:127\.0\.0\.1:|unix:)", command)


@pytest.mark.parametrize(
    ("page", "protocols"),
    [
        ("docs/extension/servers.md", PASSING_ON),
        ("docs/extension/setups/nginx.md", ["proxy", "uwsgi", "fastcgi"]),
        ("deploy/nginx/portal.conf", ["proxy"]),
    ],
)
def test_nginx_reads_as_much_as_the_extension_sends(page: str, protocols: list[str]) -> None:
    text = (PROJECT / page).read_text()
    for protocol in protocols:
        assert all(line in text for line in PASSING_ON[protocol])


def test_the_longest_paths_and_headers_are_documented() -> None:
    page = (PROJECT / "docs/extension/servers.md").read_text()
    assert f"into its {LONGEST // 1024} KiB" in page
    assert f"of more than {LONGEST_URL} bytes" in page
    for first, second in (("mod_wsgi", "xsendfile"), ("nginx", "stream")):
        assert SERVERS[first].longest_path == SERVERS[second].longest_path
        assert f"| `{first}`, `{second}` | {SERVERS[first].longest_path} |" in page
    assert f"| `scgi` | {SERVERS['scgi'].longest_path} |" in page


def test_the_options_of_the_scgi_server_are_documented() -> None:
    page = (PROJECT / "docs/extension/scgi.md").read_text()
    for action in scgi_options.parser()._actions:
        if action.option_strings and action.dest != "help":
            usual = {"place": "systemd's socket"}.get(action.dest, action.default)
            assert f"| `{action.option_strings[0]} {action.metavar}` | {usual} |" in page


def _public_names() -> set[str]:
    items = vars(flask_delegate).items()
    return {name for name, item in items if name[0] != "_" and not isinstance(item, ModuleType)}


def test_each_public_name_has_a_docstring() -> None:
    for name in _public_names():
        item = getattr(flask_delegate, name)
        assert item.__doc__ or name in ("file_delegated", "file_refused")


def test_the_reference_has_each_public_name() -> None:
    page = (PROJECT / "docs/extension/api.md").read_text()
    named = set(re.findall(r"^\.\. (?:auto|py:)[a-z]+:: (\w+)", page, re.MULTILINE))
    members = re.search(r"automodule:: flask_delegate.receipts\n +:members: (.+)", page)
    assert members
    public = {*_public_names(), *flask_delegate.testing.__all__}
    assert named - {"flask_delegate"} == public
    written = {
        name
        for name, item in vars(flask_delegate.receipts).items()
        if getattr(item, "__module__", "") == "flask_delegate.receipts" and name[0] != "_"
    }
    assert set(members[1].split(", ")) == written


def test_the_readmes_example_is_short_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = readme_example()
    assert len([line for line in source.splitlines() if line.strip()]) <= 15
    (tmp_path / "files/reports").mkdir(parents=True)
    (tmp_path / "files/reports/a.txt").write_text("numbers")
    settings = f'SECRET_KEY = "secret"\nDELEGATE_ROOT = "{tmp_path}/files"\n'
    (tmp_path / "hello.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "hello"}
    exec(compile(source, "hello.py", "exec"), names)  # noqa: S102 -- the example under test
    app = names["app"]
    assert isinstance(app, Flask)
    client = app.test_client()
    assert client.get("/reports/a.txt").status_code == 403
    assert 'href="/reports/a.txt"' in client.get("/sign-in").text
    response = client.get("/reports/a.txt", buffered=True)
    assert response.data == b"numbers"
    assert response.headers["Content-Disposition"] == 'attachment; filename="a.txt"'


def test_what_is_deprecated_is_named_with_the_version_in_which_it_goes() -> None:
    page = (PROJECT / "docs/extension/stability.md").read_text()
    for path in (PROJECT / "flask_delegate").rglob("*.py"):
        if "DeprecationWarning" in (source := path.read_text()):
            assert "Deprecated at present: nothing." not in page
            assert re.search(r"goes in \d+\.\d+", source), f"{path} does not say when it goes"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (PROJECT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_stands_alone_on_a_package_index() -> None:
    text = (PROJECT / "README.md").read_text()
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", text))
    for folder in re.findall(r"`(docs/\S*)`", text):
        assert (PROJECT / folder).is_dir()


def test_the_readmes_commands_are_there() -> None:
    text = (PROJECT / "README.md").read_text()
    for script in set(re.findall(r"scripts/\w+", text)):
        assert os.access(PROJECT / script, os.X_OK)
    for name in re.findall(r"flask --app hello delegate ([a-z-]+)", text):
        assert name in delegate.list_commands(click.Context(delegate))


def test_what_went_wrong_elsewhere_names_tests_that_there_are() -> None:
    page = (PROJECT / "docs/project/elsewhere.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    written: set[str] = set()
    for path in (PROJECT / "tests").rglob("test_*.py"):
        written.update(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert len(named) > 60
    assert named <= written, named - written
