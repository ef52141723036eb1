"""Checks of the server's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.doctor.checks import server
from flask_delegate.servers import apache
from tests.support.doctor import findings, generated, level, run
from tests.support.extension import Factory


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
    assert server.file_system(folder, MOUNTS) == kind


def test_a_network_file_system_needs_sendfile_off(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 8:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(server, "_MOUNTS", mounts)
    assert level(app, "network") == "failure"
    config = generated(app, tmp_path, "--no-sendfile")
    assert level(app, "network", "--config", config) == "ok"
    assert level(app, "sendfile", "--config", config) == "warning"


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
