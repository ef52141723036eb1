"""The command: its options, its exit status and its documentation."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from http.client import HTTPMessage
from pathlib import Path

import click
import pytest
from flask import Flask

from flask_delegate.doctor import probe
from flask_delegate.doctor.checks import running
from flask_delegate.doctor.command import doctor
from flask_delegate.doctor.file_access import (
    find_account,
)
from flask_delegate.doctor.finding import CHECKS
from flask_delegate.doctor.probe import Case
from flask_delegate.doctor.requests.client import Reply
from flask_delegate.doctor.requests.families import FAMILIES
from tests.support.doctor import findings, run
from tests.support.extension import Factory
from tests.support.paths import PROJECT


def test_nothing_fails_in_a_new_application(app: Flask) -> None:
    user = find_account(None).name if os.geteuid() else "root"
    code, text = run(app, "--user", user)
    assert code == 0, text
    assert "settings: complete; 1 area" in text
    assert " 0 failure" in text


def test_json_has_each_offline_check(app: Flask) -> None:
    found = findings(app)
    offline = [name for name in CHECKS if name in found]
    assert len(offline) == len(found) == 16
    for item in found.values():
        assert set(item) == {"check", "level", "seen", "why", "fix", "area"}
        assert item["level"] != "failure" or (item["why"] and item["fix"])


def test_a_failure_is_an_exit_status_of_one(app: Flask, root: Path) -> None:
    root.chmod(0o777)
    code, text = run(app)
    assert code == 1
    assert f"fix: chmod o-w {root}" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--user", "nobody-of-this-name"],
        ["--area", "other"],
        ["--config", "/no/such/file"],
        ["--apache-config", "/no/such/file"],
        ["ftp://127.0.0.1/"],
        ["127.0.0.1:8000"],
        ["http://127.0.0.1:8000/?x=1"],
        ["http://größe.example/"],
        ["http://127.0.0.1:x/"],
    ],
)
def test_what_cannot_be_used_is_refused(app: Flask, arguments: list[str]) -> None:
    assert run(app, *arguments)[0] == 2


OTHER_SERVERS = {
    "nginx": "events {}\nhttp {\nserver {\nlocation /x/ {\nalias /srv/;\n}\n}\n}\n",
    "nginx's server": "server { listen 80;\nlocation /x/ {\nalias /srv/;\n}\n}\n",
    "Caddy": "http://:80 {\n  root * /srv\n  file_server\n}\n",
    "Caddy's JSON": '{\n  "apps": {}\n}\n',
    "Caddy without braces": ":80\nroot * /srv\nfile_server\n",
    "lighttpd": 'server.document-root = "/srv"\nalias.url = ( "/x/" => "/srv/" )\ninclude "x"\n',
    "nothing": "# Alias /x /srv\n",
}


@pytest.mark.parametrize("server", OTHER_SERVERS)
def test_another_servers_configuration_is_none_of_apaches(
    app: Flask, tmp_path: Path, server: str
) -> None:
    main = tmp_path / "server.conf"
    main.write_text(OTHER_SERVERS[server])
    code, text = run(app, "--apache-config", str(main))
    assert code == 2
    assert f"main configuration file. {main} is another server's" in text
    main.write_text(f'<IfModule x>\nFuture "{{"\n</IfModule>\nInclude {main}\n')
    assert run(app, "--apache-config", str(main))[0] != 2


def test_an_area_that_the_doctor_may_not_write_to(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_root: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(running, "fetch", lambda *_: Reply(201, HTTPMessage(), b""))
    monkeypatch.setattr(running, "probe_file", refuse)
    found = findings(app, "http://127.0.0.1:1/")
    assert (found["reach"]["level"], found["reach"]["area"]) == ("ok", None)
    assert found["reach"]["seen"] == "127.0.0.1:1 answers, with 201"
    said = found["probe-file"]
    assert (said["level"], said["area"]) == ("failure", "default")
    root = app.config["DELEGATE_ROOT"]
    assert (
        said["seen"] == f"user id {os.geteuid()} cannot create a file in {root}: Permission denied."
    )
    assert "attack-plain" not in found


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_server_that_does_not_answer(
    app: Flask, root: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def refuse(*_: object, **__: object) -> Reply:
        raise ConnectionRefusedError(111, "Connection refused")

    if when == "later":
        monkeypatch.setattr(running, "fetch", lambda *_: Reply(200, HTTPMessage(), b""))
        monkeypatch.setattr(probe, "fetch", refuse)
    else:
        monkeypatch.setattr(running, "fetch", refuse)
    found = findings(app, "http://127.0.0.1:1/x")
    said = found["reach"]
    assert said["level"] == "failure"
    assert "Connection refused" in said["seen"]
    assert "error log" in said["fix"]
    if when == "later":
        assert found["probe-file"]["seen"] == f"created in {root}"
        assert (found["probe-file"]["level"], said["area"]) == ("ok", "default")
    else:
        assert said["seen"].startswith("http://127.0.0.1:1/x/ does not answer: ")
        assert "probe-file" not in found
    assert [path.name for path in root.iterdir()] == ["report.txt"]


def test_without_a_key_a_server_is_only_asked_whether_it_answers(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "fetch", lambda *_: Reply(200, HTTPMessage(), b""))
    app = make_app(SECRET_KEY=None, DELEGATE_BACKEND="stream")
    found = findings(app, "http://127.0.0.1:1/")
    assert (found["probe"]["level"], found["probe"]["fix"]) == ("skipped", "Set SECRET_KEY.")
    assert "probe-file" not in found


def test_a_case_can_be_made_by_hand(app: Flask) -> None:
    """As :func:`flask_delegate.doctor.command.examine` takes it."""
    state = app.extensions["delegate"]
    case = Case(app, state, tuple(state.settings.areas.values()), find_account(None))
    assert replace(case, areas=()).config is None


def test_the_table_of_checks_is_the_one_that_is_made() -> None:
    page = (PROJECT / "docs/extension/doctor.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z][a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert set(rows) == CHECKS
    for family in FAMILIES:
        assert rows[f"attack-{family.name}"].endswith(f". {family.why}")


def test_each_option_is_documented() -> None:
    page = (PROJECT / "docs/extension/doctor.md").read_text()
    for parameter in doctor.params:
        if isinstance(parameter, click.Option):
            assert all(f"| `{option}" in page for option in parameter.opts)
