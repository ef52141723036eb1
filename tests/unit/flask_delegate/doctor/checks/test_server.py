"""Checks of the server's files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.doctor.checks import server
from flask_delegate.doctor.file_access import find_account
from flask_delegate.servers import apache
from tests.support.doctor import findings, generated, level, run
from tests.support.extension import SECRET, Factory


@pytest.mark.parametrize("backend", ["mod_wsgi", "nginx", "caddy", "lighttpd", "xsendfile", "auto"])
def test_a_backend_that_is_not_there(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    monkeypatch.setattr(apache, "_FOLDERS", ())
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    found = findings(app)["backend"]
    assert found["level"] == "warning"
    products = {"nginx": "nginx", "caddy": "Caddy", "xsendfile": "mod_xsendfile"}
    products["lighttpd"] = "lighttpd"
    product = products.get(backend, "mod_wsgi")
    assert f"the backend is {backend}, and {product} was not found" in found["seen"]
    assert f"Install {product}," in found["fix"]
    assert "DELEGATE_BACKEND" in found["fix"]


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
    found = findings(app)["network"]
    assert found["level"] == "failure"
    assert "on nfs4," in found["seen"]
    assert "--no-sendfile" in found["fix"]
    assert "--config" in found["fix"]
    assert level(app, "network", "--config", generated(app, tmp_path)) == "failure"
    config = generated(app, tmp_path, "--no-sendfile")
    assert level(app, "network", "--config", config) == "ok"
    found = findings(app, "--config", config)["sendfile"]
    assert found["level"] == "warning"
    assert "--no-sendfile" in found["fix"]
    assert found["seen"] == f"off in {config}."
    monkeypatch.setattr(server, "_MOUNTS", tmp_path / "none")
    found = findings(app)["network"]
    assert (found["level"], str(tmp_path / "none") in found["seen"]) == ("skipped", True)


@pytest.mark.parametrize(
    ("kind", "is_network"),
    [
        *((name, True) for name in ("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "afs")),
        *((name, True) for name in ("ceph", "glusterfs", "lustre", "ncpfs", "gfs2", "ocfs2")),
        *((name, True) for name in ("vboxsf", "virtiofs", "fuse.sshfs", "fuse.")),
        *((name, False) for name in ("ext4", "xfs", "fuse", "fuseblk", "tmpfs", "overlay")),
    ],
)
def test_which_file_systems_are_of_a_network(kind: str, is_network: bool) -> None:
    assert bool(server._NETWORK.fullmatch(kind)) == is_network


def test_what_was_not_named_is_asked_for(app: Flask) -> None:
    found = findings(app)
    for check in ("config", "config-secret", "sendfile"):
        assert found[check]["level"] == "skipped"
        assert "--config FILE" in found[check]["fix"]
    for check in ("apache-modules", "apache-paths"):
        assert found[check]["level"] == "skipped"
        assert "--apache-config FILE" in found[check]["fix"]


@pytest.mark.parametrize("backend", ["nginx", "caddy", "lighttpd", "stream"])
def test_apaches_configuration_is_all_that_is_read(
    make_app: Factory, root: Path, tmp_path: Path, backend: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    main = tmp_path / "apache2.conf"
    main.write_text(LOADED)
    for options in ([], ["--apache-config", str(main)]):
        found = findings(app, *options)
        for check in ("apache-modules", "apache-paths"):
            assert (found[check]["level"], found[check]["fix"]) == ("skipped", "")
            assert found[check]["seen"].startswith(f"the backend is {backend};")
    main.write_text(f"{LOADED}Alias /x {root}\n")  # an Apache beside it
    assert level(app, "apache-paths", "--apache-config", str(main)) == "failure"


def test_what_a_backend_has_no_use_for(make_app: Factory, tmp_path: Path) -> None:
    stream = make_app(DELEGATE_BACKEND="stream")
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    found = findings(stream, "--config", str(empty))
    assert found["backend"]["level"] == "ok"
    assert "backend stream needs" in found["backend"]["seen"]
    assert {found[name]["level"] for name in ("config", "sendfile", "apache-modules")} == {
        "skipped"
    }
    assert "stream" in found["config"]["seen"] + found["apache-modules"]["seen"]


def test_a_file_that_was_made_with_an_old_key(make_app: Factory, tmp_path: Path) -> None:
    config = generated(make_app(), tmp_path)
    old, new = SECRET, "a new key of this application"
    found = findings(make_app(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]), "--config", config)
    said = found["config"]
    assert said["level"] == "warning"
    assert config in said["seen"]
    assert "SECRET_KEY_FALLBACKS" in said["seen"]
    assert f"flask delegate apache-config --output {config}" in said["fix"]


@pytest.mark.parametrize("options", [(), ("--site",), ("--no-sendfile",), ("--process-group", "a")])
def test_what_was_generated_now_is_current(
    app: Flask, tmp_path: Path, options: tuple[str, ...]
) -> None:
    config = generated(app, tmp_path, *options)
    found = findings(app, "--config", config)
    assert found["config"]["level"] == found["config-secret"]["level"] == "ok"


@pytest.mark.parametrize(
    ("backend", "command"),
    [
        ("nginx", "nginx-config"),
        ("caddy", "caddy-config"),
        ("lighttpd", "lighttpd-config"),
        ("xsendfile", "apache-config"),
    ],
)
def test_other_backends_configurations(
    make_app: Factory, tmp_path: Path, backend: str, command: str
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    config = generated(app, tmp_path, command=command)
    user = ("--user", find_account(str(os.geteuid())).name)
    assert level(app, "config", "--config", config, *user) == "ok"
    other = make_app(DELEGATE_BACKEND=backend, SECRET_KEY="another secret, long enough")
    is_caddy = backend == "caddy"
    found = findings(app, "--config", config, "--user", "65533")["config"]
    assert found["level"] == ("failure" if is_caddy else "ok")
    if is_caddy:
        assert found["seen"] == f"uid 65533 cannot read {config}."
        assert f"chown root:0 {config}; chmod 640 {config}." in found["fix"]
    Path(config).chmod(0o644)
    assert f"--output {config}" in findings(other, "--config", config)["config"]["fix"]
    around = tmp_path / "around.conf"
    around.touch()
    around.chmod(0o644)
    around.write_text(f"# managed\n{Path(config).read_text()}")
    assert level(app, "config", "--config", str(around), *user) == "ok"
    is_secret = backend in {"nginx", "caddy"}
    expected = "failure" if is_secret else "ok"
    assert level(app, "config-secret", "--config", str(around)) == expected
    fix = findings(other, "--config", str(around))["config"]["fix"]
    assert fix.startswith(f"Replace the rules in {around} by what")
    assert "--output" not in fix
    Path(config).chmod(0o646)
    said = findings(app, "--config", config)["config-secret"]
    assert (said["level"], "token" in said["why"]) == ("failure", is_secret)
    fix = said["fix"]
    assert fix.startswith(f"chmod 600 {config}, and" if not is_caddy else "chown root:")
    said = findings(other, "--config", config)["config"]
    assert said["level"] == "failure"
    assert said["seen"].startswith(f"{config} ")
    assert f"flask delegate {command} --output {config}" in said["fix"]


@pytest.mark.parametrize("text", ["", "EnableSendfile Off\n", ":80\nroot * /srv\n"])
def test_a_file_that_no_command_wrote(app: Flask, tmp_path: Path, text: str) -> None:
    config = tmp_path / "apache2.conf"
    config.write_text(text)
    config.chmod(0o644)
    found = findings(app, "--config", str(config))
    said = found["config"]
    assert said["level"] == "failure"
    assert said["seen"] == f"{config} is no file that 'flask delegate apache-config' wrote."
    assert "--apache-config" in said["fix"]
    assert "--output" not in said["fix"]
    for check in ("config-secret", "sendfile"):
        assert (found[check]["level"], found[check]["fix"]) == (
            "skipped",
            "Name it with --config FILE.",
        )


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
    assert f"change {config} (mode 644)" in " ".join(text.split())
    for mode, wanted in ((0o602, "failure"), (0o604, "failure"), (0o661, "ok"), (0o640, "ok")):
        config.chmod(mode)
        said = findings(app, "--config", str(config))["config-secret"]
        assert said["level"] == wanted
        assert f"mode {mode:o}" in said["seen"]
    assert f"chmod 600 {config}" in " ".join(text.split())
    assert app.extensions["delegate"].keys["default"][0].token not in text


LOADED = "".join(
    f"LoadModule {name}_module x.so\n"
    for name in ("alias", "authz_core", "env", "headers", "ratelimit", "setenvif", "wsgi")
)


def test_a_way_is_told_with_its_place(app: Flask, root: Path, tmp_path: Path) -> None:
    main = tmp_path / "apache2.conf"
    main.write_text(f"Alias /x {root}\n")
    said = findings(app, "--apache-config", str(main))["apache-paths"]
    assert said["seen"] == f"alias for /x/ in {main}:1 leads to {root}, past the guard."
    main.write_text(f"Alias /x {root}\nAlias /y {root}\n")
    said = findings(app, "--apache-config", str(main))["apache-paths"]
    assert f"{main}:1 and 1 more leads to" in said["seen"]
    assert "server level" in said["fix"]
    include = f"Include {generated(app, tmp_path, '--site')}\n"
    main.write_text(f"{include}Alias /y {root}\nAlias /z {tmp_path}\n")
    said = findings(app, "--apache-config", str(main))["apache-paths"]
    assert "guard covers it" in said["seen"]
    (tmp_path / "l").symlink_to(root)
    main.write_text(f"{include}Alias /y {root}\nAlias /z {tmp_path}/l\n")
    said = findings(app, "--apache-config", str(main))["apache-paths"]
    assert "alias for /z/" in said["seen"]


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
    two = tmp_path / "two.conf"
    two.write_text(LOADED.replace("ratelimit", "x").replace("env_", "y_"))
    found = findings(app, "--apache-config", str(two))["apache-modules"]
    assert found["seen"] == f"{two} does not load mod_env, mod_ratelimit."
    assert "a2enmod env ratelimit;" in found["fix"]
    found = findings(app, "--apache-config", str(main))["apache-modules"]
    assert found["level"] == "failure"
    assert "a2enmod ratelimit" in found["fix"]
