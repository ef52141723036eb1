"""The doctor's token, its offline checks and its reports; servers are in tests/live."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Blueprint, Flask

from flask_delegate.doctor import probe, report, route
from flask_delegate.doctor.apache_config import ConfigurationUnreadable, read, ways
from flask_delegate.doctor.case import Case
from flask_delegate.doctor.checks import running as live
from flask_delegate.doctor.checks import server as files
from flask_delegate.doctor.command import doctor
from flask_delegate.doctor.file_access import (
    ENTER,
    READ,
    Account,
    _bits_allow,
    denied,
    find_account,
    parents,
)
from flask_delegate.doctor.finding import CHECKS, Finding, Level, failure, ok, without
from flask_delegate.doctor.requests.client import Reply, parse_url
from flask_delegate.doctor.requests.families import FAMILIES, SPELLINGS
from flask_delegate.doctor.requests.spelling import requests, targets
from flask_delegate.servers import apache
from tests.support.extension import SECRET, Factory, behind_apache
from tests.support.paths import PROJECT

NAME = route.PREFIX + "0" * 32


@pytest.fixture
def probed(root: Path) -> Path:
    """Put a file in place that looks like the doctor's."""
    path = root / NAME
    path.write_bytes(b"probe")
    return path


def url(app: Flask, kind: str = route.FILE, area: str = "default", name: str = NAME) -> str:
    return route.ROUTE + route.make_token(app, kind, area, name)


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["delegate", "doctor", *arguments])
    return result.exit_code, result.output


def findings(app: Flask, *arguments: str) -> dict[str, dict[str, Any]]:
    _, output = run(app, "--json", *arguments)
    return {item["check"]: item for item in json.loads(output)["findings"]}


# The token and the route.


@pytest.mark.usefixtures("probed")
def test_the_token_opens_the_probe_file(app: Flask) -> None:
    response = app.test_client().get(url(app))
    assert (response.status_code, response.data) == (200, b"probe")
    assert response.headers["Cache-Control"] == "private, max-age=77"
    assert app.test_client().head(url(app)).status_code == 200


@pytest.mark.usefixtures("probed")
def test_the_report_names_settings_and_no_secret(app: Flask) -> None:
    response = behind_apache(app).get(url(app, route.REPORT))
    assert response.headers["Cache-Control"] == "no-store"
    told = json.loads(response.data)
    assert told["process_group"] == "localhost:8000"
    assert told["probe"] == "readable"
    assert told["areas"]["default"]["problem"] is None
    state = app.extensions["delegate"]
    assert state.keys["default"][0].token not in response.text
    assert SECRET not in response.text


def wrong_urls(app: Flask, make_app: Factory) -> list[str]:
    good = url(app)
    other = make_app(SECRET_KEY="another secret of another application")
    return [
        good[:-1],
        good + "x",
        good + "/",
        good.replace(route.ROUTE, route.ROUTE + "x"),
        route.ROUTE + "x",
        route.ROUTE,
        url(other),
        url(app, "other"),
        url(app, area="other"),
        url(app, name="report.txt"),
        url(app, name=route.PREFIX + "../report.txt"),
        url(app, name=NAME + "/../report.txt"),
        url(app, name=route.PREFIX + "1" * 32),
        url(app, route.REPORT, name="report.txt"),
        route.ROUTE + str(route._serializer(app).dumps("report")),
        route.ROUTE + str(route._serializer(app).dumps({"kind": "file"})),
        route.ROUTE + str(route._serializer(app).dumps(["file", ["default"], {}])),
    ]


@pytest.mark.usefixtures("probed")
def test_whatever_is_wrong_is_answered_like_an_unknown_url(app: Flask, make_app: Factory) -> None:
    app.register_error_handler(404, lambda _: ("our own page", 404, {"X-Page": "1"}))
    client = app.test_client()
    for path in wrong_urls(app, make_app):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "FOO"):
            unknown = client.open("/nothing/here", method=method)
            response = client.open(path, method=method)
            assert response.status_code == unknown.status_code == 404, (method, path)
            assert (response.data, list(response.headers)) == (
                unknown.data,
                list(unknown.headers),
            ), (method, path)


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_the_right_token_is_for_get_and_head_only(app: Flask, method: str) -> None:
    assert app.test_client().open(url(app), method=method).status_code == 404


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (70, 404), (-70, 404)])
def test_a_token_is_good_for_a_minute(
    app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    made, now = url(app), time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    assert app.test_client().get(made).status_code == status


def test_a_link_in_the_probes_place_is_not_followed(app: Flask, root: Path) -> None:
    (root / NAME).symlink_to(root / "report.txt")
    assert app.test_client().get(url(app)).status_code == 404


def test_a_token_for_one_area_does_not_open_another(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / NAME).write_bytes(b"photo")
    photos = {"root": tmp_path / "photos", "url": "/inside/photos/"}
    app = make_app(DELEGATE_AREAS={"photos": photos})
    assert app.test_client().get(url(app, area="photos")).data == b"photo"
    assert app.test_client().get(url(app)).status_code == 404


def test_the_sessions_signature_is_not_the_doctors(app: Flask) -> None:
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    forged = serializer.dumps([route.FILE, "default", NAME])
    assert app.test_client().get(route.ROUTE + forged).status_code == 404


def test_without_a_key_there_is_no_token(make_app: Factory) -> None:
    app = make_app(SECRET_KEY=None, DELEGATE_BACKEND="stream")
    assert app.test_client().get(route.ROUTE + "x").status_code == 404


def test_the_probe_file_is_taken_away(root: Path) -> None:
    with probe.probe_file(str(root)) as made:
        path = root / made.name
        assert path.read_bytes() == made.content
        assert path.stat().st_mode & 0o777 == 0o644
        assert time.time() - path.stat().st_mtime > 3000
        assert made.content.count(made.marker) > 100
        assert made.marker.decode() not in made.name
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), probe.probe_file(str(root)):
        raise ZeroDivisionError
    assert [path.name for path in root.iterdir()] == ["report.txt"]


# The attacks.


def test_each_family_is_explained_and_adds_something() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.why for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch("[a-z0-9]+", family.name)
        assert len(family.why) > 60
        assert family.why.endswith(".")
        assert list(requests(family, "/private/", NAME))


def test_there_are_at_least_sixty_spellings() -> None:
    spelled = targets("/private/", NAME)
    assert len(set(spelled)) == len(spelled) >= 60
    assert sum(len(family.targets) for family in SPELLINGS) == len(spelled)
    assert f"/%70rivate/{NAME}".encode() in spelled


def test_an_area_with_a_deep_url_is_spelled_as_well() -> None:
    spelled = targets("/inside/photos/", NAME)
    assert f"/inside/photos/{NAME}".encode() in spelled
    assert f"/insid%65/photos/{NAME}".encode() not in spelled
    assert f"/inside/photo%73/{NAME}".encode() in spelled
    assert all(b"{" not in target for target in spelled)


# The report.


@pytest.mark.parametrize("level", Level)
def test_only_a_failure_fails(level: Level) -> None:
    found = [ok("root", "fine"), Finding("root", level, "seen", "why", "fix")]
    assert report.failed(found) == (level is Level.FAILURE)
    document = json.loads(report.as_json(found))
    assert document["ok"] == (level is not Level.FAILURE)
    assert document["findings"][1] == {
        "check": "root",
        "level": level.value,
        "seen": "seen",
        "why": "why",
        "fix": "fix",
        "area": None,
    }
    assert sum(document["summary"].values()) == 2


def test_text_is_safe_for_a_terminal() -> None:
    text = report.as_text([replace(failure("root", "a\x1b[31mb\nc", "why", "fix"), area="default")])
    assert "failure root [default]: a?[31mb?c" in text
    assert "why: why" in text
    assert "1 checks: 0 ok, 0 warning, 1 failure, 0 skipped." in text


def test_a_check_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="no check 'unheard-of'"):
        ok("unheard-of", "seen")


def test_secrets_are_taken_out() -> None:
    said = without(["a-long-secret", "", "o"], failure("root", "x a-long-secret o", "", ""))
    assert said.seen == "x [secret] o"


# The command.


def test_nothing_fails_in_a_new_application(app: Flask) -> None:
    user = find_account(None).name if os.geteuid() else "root"
    code, text = run(app, "--user", user)
    assert code == 0, text
    assert "settings: complete; 1 area" in text
    assert " 0 failure" in text


def test_json_has_each_offline_check(app: Flask) -> None:
    found = findings(app)
    offline = [name for name in CHECKS if name in found]
    assert len(offline) == len(found) == 14
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


def test_an_area_that_the_doctor_may_not_write_to(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_root: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(live, "fetch", lambda *_: Reply(200, HTTPMessage(), b""))
    monkeypatch.setattr(live, "probe_file", refuse)
    found = findings(app, "http://127.0.0.1:1/")
    assert found["probe-file"]["level"] == "failure"
    assert "cannot create a file" in found["probe-file"]["seen"]
    assert "attack-plain" not in found


def test_urls() -> None:
    target = parse_url("https://[::1]/a b")
    assert (target.port, target.path, target.host_header) == (443, "/a%20b/", "[::1]")
    assert parse_url("http://x:81").host_header == "x:81"
    assert parse_url("http://x").path == "/"


# Offline checks.


def level(app: Flask, check: str, *arguments: str) -> str:
    return str(findings(app, *arguments)[check]["level"])


def test_a_short_key(make_app: Factory) -> None:
    assert level(make_app(SECRET_KEY="short"), "settings") == "failure"


def test_debug_mode(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert level(app, "settings") == "warning"


def test_an_interpreter_that_cannot_be_read(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "python").write_bytes(b"")
    closed.chmod(0)
    monkeypatch.setattr("sys.executable", str(closed / "python"))
    found = findings(app, "--user", find_account(None).name)["interpreter"]
    closed.chmod(0o700)
    assert found["level"] == "failure"
    assert f"may not enter or run {closed}" in found["seen"] or os.geteuid() == 0


def test_the_daemons_user_runs_python(app: Flask, tmp_path: Path) -> None:
    main = tmp_path / "apache2.conf"
    main.write_text(f"WSGIDaemonProcess a user={os.getuid()} user='root' threads=5\n")
    seen = findings(app, "--apache-config", str(main))["interpreter"]["seen"]
    assert seen.startswith("root ")


def test_a_linked_root(make_app: Factory, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    found = findings(make_app(DELEGATE_ROOT=tmp_path / "link"))["root-link"]
    assert found["level"] == "warning"
    assert str(root) in found["seen"]


def test_files_that_cannot_be_read_and_links(app: Flask, root: Path) -> None:
    (root / "link").symlink_to(root / "report.txt")
    user = ("--user", find_account(None).name if os.geteuid() else "root")
    assert level(app, "files", *user) == "warning"
    if os.geteuid() == 0:
        (root / "report.txt").chmod(0o600)
        assert level(app, "files", "--user", "nobody") == "failure"


def test_static_folders_of_blueprints(app: Flask, root: Path) -> None:
    app.register_blueprint(Blueprint("assets", __name__, static_folder=str(root / "sub")))
    assert level(app, "overlap") == "failure"


def test_code_in_the_area(make_app: Factory, root: Path) -> None:
    app = make_app()
    app.root_path = str(root / "code")
    (root / "code").mkdir()
    assert level(app, "overlap") == "failure"


@pytest.mark.parametrize("backend", ["mod_wsgi", "nginx", "xsendfile", "auto"])
def test_a_backend_that_is_not_there(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    monkeypatch.setattr(apache, "_FOLDERS", ())
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert level(app, "backend") == "warning"


MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,relatime shared:1 - nfs4 server:/export rw
31 30 8:2 / /srv/local\\040disk rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv/files", "nfs4"), ("/srvx", "ext4"), ("/srv/local disk/a", "xfs"), ("/", "ext4")],
)
def test_file_systems(folder: str, kind: str) -> None:
    assert files.file_system(folder, MOUNTS) == kind


def test_a_network_file_system_needs_sendfile_off(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 8:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(files, "_MOUNTS", mounts)
    assert level(app, "network") == "failure"
    config = generated(app, tmp_path, "--no-sendfile")
    assert level(app, "network", "--config", config) == "ok"
    assert level(app, "sendfile", "--config", config) == "warning"


def generated(app: Flask, folder: Path, *options: str, command: str = "apache-config") -> str:
    path = str(folder / "generated.conf")
    arguments = ["delegate", command, "--output", path, *options]
    assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
    return path


@pytest.mark.parametrize("options", [(), ("--site",), ("--no-sendfile",), ("--process-group", "a")])
def test_what_was_generated_now_is_current(
    app: Flask, tmp_path: Path, options: tuple[str, ...]
) -> None:
    config = generated(app, tmp_path, *options)
    found = findings(app, "--config", config)
    assert found["config"]["level"] == found["config-secret"]["level"] == "ok"


@pytest.mark.parametrize(
    ("backend", "command"), [("nginx", "nginx-config"), ("xsendfile", "apache-config")]
)
def test_other_backends_configurations(
    make_app: Factory, tmp_path: Path, backend: str, command: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    config = generated(app, tmp_path, command=command)
    assert level(app, "config", "--config", config) == "ok"
    other = make_app(DELEGATE_BACKEND=backend, SECRET_KEY="another secret, long enough")
    assert level(other, "config", "--config", config) == "failure"


Alter = Callable[[str], str]


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.replace("Require all denied", "Require all granted"),
        lambda text: text.replace("Require all denied", "# Require all denied"),
        lambda text: text.replace("<Location", "#<Location"),
        lambda text: text.partition("<Location")[0],
        lambda _: "",
    ],
)
def test_an_altered_file(app: Flask, tmp_path: Path, alter: Alter) -> None:
    config = Path(generated(app, tmp_path))
    config.write_text(alter(config.read_text()))
    assert level(app, "config", "--config", str(config)) == "failure"


def test_a_configuration_that_others_can_read(app: Flask, tmp_path: Path) -> None:
    config = Path(generated(app, tmp_path))
    config.chmod(0o644)
    code, text = run(app, "--config", str(config))
    assert code == 1
    assert f"chmod 600 {config}" in " ".join(text.split())
    assert app.extensions["delegate"].keys["default"][0].token not in text


# Apache's configuration.

LOADED = "".join(
    f"LoadModule {name}_module x.so\n"
    for name in ("alias", "authz_core", "env", "headers", "ratelimit", "setenvif", "wsgi")
)


def paths_level(app: Flask, tmp_path: Path, text: str) -> str:
    main = tmp_path / "apache2.conf"
    main.write_text(LOADED + text)
    return level(app, "apache-paths", "--apache-config", str(main))


def test_ways_to_the_files(app: Flask, root: Path, tmp_path: Path) -> None:
    include = f"Include {generated(app, tmp_path, '--site')}\n"
    (tmp_path / "link").symlink_to(root)
    alias = f'Alias /other "{root}"\n'
    host = "<VirtualHost *:80>\nServerName {}\n{}</VirtualHost>\n"
    inside = host.format("a", include)
    assert paths_level(app, tmp_path, include) == "ok"
    assert paths_level(app, tmp_path, inside) == "ok"
    assert paths_level(app, tmp_path, include + host.format("b", alias)) == "warning"
    assert paths_level(app, tmp_path, inside + host.format("b", alias)) == "failure"
    assert paths_level(app, tmp_path, inside + alias) == "failure"
    assert paths_level(app, tmp_path, include + f"Alias /x {tmp_path}/link/\n") == "failure"
    assert paths_level(app, tmp_path, include + f"DocumentRoot '{tmp_path}'\n") == "warning"
    assert (
        paths_level(app, tmp_path, f"Define R {root}\nAliasMatch ^/(.*) ${{R}}/$1\n") == "failure"
    )
    assert paths_level(app, tmp_path, include + "DocumentRoot /var/www/html\n") == "ok"
    assert (
        paths_level(app, tmp_path, f"<Location /l>\nAlias \\\n  {root}\n</Location>\n") == "failure"
    )


def test_missing_modules(app: Flask, tmp_path: Path) -> None:
    main = tmp_path / "apache2.conf"
    main.write_text(LOADED)
    assert level(app, "apache-modules", "--apache-config", str(main)) == "ok"
    main.write_text(LOADED.replace("LoadModule ratelimit", "# LoadModule ratelimit"))
    found = findings(app, "--apache-config", str(main))["apache-modules"]
    assert found["level"] == "failure"
    assert "a2enmod ratelimit" in found["fix"]


def test_includes_are_read_from_the_server_root(tmp_path: Path, app: Flask, root: Path) -> None:
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "a.conf").write_text(f"<VirtualHost *:81>\nServerAlias x y\nAlias /x/ {root}/\n")
    main = tmp_path / "main.conf"
    main.write_text(f"ServerRoot {tmp_path}\nInclude main.conf\nIncludeOptional sites/*.conf\n")
    configuration = read(main)
    area = app.extensions["delegate"].settings.areas["default"]
    found = list(ways(configuration, area, ["token"]))
    assert [(way.url, way.is_guarded) for way in found] == [("/x/", False)]
    assert configuration.names(found[0].host) == ["x", "y"]
    with pytest.raises(ConfigurationUnreadable, match="Is a directory"):
        read(folder)


# Rights.


def test_rights_are_those_of_the_account(tmp_path: Path) -> None:
    me = find_account(None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    needs = [(str(closed), ENTER)]
    if os.geteuid() == 0:
        root = find_account("root")
        assert denied(root, needs) == []
        assert denied(me, needs) == needs
        assert denied(me, [("/", ENTER), *needs, ("/etc/passwd", READ)]) == needs
    else:
        assert denied(me, needs) == needs
    assert parents("/a/b/c") == ["/", "/a", "/a/b"]


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "allowed"),
    [
        (0o400, os.geteuid(), (), True),
        (0o040, os.geteuid() + 1, (os.getegid(),), True),
        (0o040, os.geteuid() + 1, (), False),
        (0o004, os.geteuid() + 1, (), True),
        (0o440, os.geteuid() + 1, (), False),
    ],
)
def test_permission_bits(
    tmp_path: Path, mode: int, uid: int, groups: tuple[int, ...], allowed: bool
) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    account = Account("somebody", uid, 10**6, frozenset(groups))
    assert _bits_allow(account, str(path), READ) == allowed
    assert not _bits_allow(account, str(path / "x"), READ)


def test_a_case_can_be_made_by_hand(app: Flask) -> None:
    """As :func:`flask_delegate.doctor.command.examine` takes it."""
    state = app.extensions["delegate"]
    case = Case(app, state, tuple(state.settings.areas.values()), find_account(None))
    assert replace(case, areas=()).config is None


# The documentation.


def test_the_table_of_checks_is_the_one_that_is_made() -> None:
    page = (PROJECT / "docs/extension/doctor.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z][a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == dict(CHECKS)


def test_each_option_is_documented() -> None:
    page = (PROJECT / "docs/extension/doctor.md").read_text()
    for parameter in doctor.params:
        if isinstance(parameter, click.Option):
            assert all(f"| `{option}" in page for option in parameter.opts)
