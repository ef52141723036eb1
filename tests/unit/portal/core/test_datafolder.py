from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from portal import create_app
from portal.core import datafolder
from portal.core.datafolder import DataFolderError
from portal.core.setting_checks import SettingError
from tests.support import postgresql
from tests.support.capabilities import modes_bind
from tests.support.portal import prepare, token


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PORTAL_"):
            monkeypatch.delenv(name)


def test_missing_data_folder_setting_is_named() -> None:
    with pytest.raises(SettingError, match="PORTAL_DATA is not set"):
        create_app()


@pytest.mark.parametrize("root", ["/", "//", "/tmp/.."])  # noqa: S108
def test_root_of_all_files_is_no_data_folder(root: str) -> None:
    with pytest.raises(SettingError, match="the root of all files"):
        create_app({"DATA": root})


def test_relative_data_folder_is_refused() -> None:
    with pytest.raises(SettingError, match="PORTAL_DATA must be an absolute path"):
        create_app({"DATA": "data"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_CONTENT_LENGTH", "1G"),
        ("MAX_CONTENT_LENGTH", 0),
        ("MAX_CONTENT_LENGTH", True),
        ("MAX_FORM_PARTS", None),
        ("PROXIES", -1),
        ("PERMANENT_SESSION_LIFETIME", -1),
        ("PERMANENT_SESSION_LIFETIME", 10**12),
        ("TRASH_DAYS", 36_501),
        ("ACTIVITY_DAYS", 10**30),
        ("SESSION_COOKIE_SECURE", "no"),
    ],
)
def test_setting_out_of_range_is_named(key: str, value: object, data: Path) -> None:
    with pytest.raises(SettingError, match=f"PORTAL_{key} must be"):
        create_app({"DATA": str(data), key: value})
    assert not data.exists()


def test_settings_come_from_environment_and_argument_wins(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_DATA", str(data))
    monkeypatch.setenv("PORTAL_MAX_CONTENT_LENGTH", "12345")
    monkeypatch.setenv("PORTAL_SESSION_COOKIE_SECURE", "false")
    app = create_app({"SESSION_COOKIE_SECURE": True})
    assert app.config["MAX_CONTENT_LENGTH"] == 12345
    assert app.config["SESSION_COOKIE_SECURE"] is True


def test_settings_come_from_the_named_file_and_the_environment_wins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f'DATA = "{data}"\nMAX_CONTENT_LENGTH = 12345\nDISK_RESERVE = 2\n')
    monkeypatch.setenv("PORTAL_SETTINGS", str(path))
    monkeypatch.setenv("PORTAL_DISK_RESERVE", "3")
    app = create_app()
    assert (app.config["MAX_CONTENT_LENGTH"], app.config["DISK_RESERVE"]) == (12345, 3)
    assert data.is_dir()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: .*No such file"),
        (b"DATA = /srv", "not TOML"),
        (b"\xff", "not TOML"),
        (b'data = "/srv"', "sets 'data'. Write names in capitals"),
        (b'PORTAL_DATA = "/srv"', "sets 'PORTAL_DATA'. Write names .* without PORTAL_"),
    ],
)
def test_settings_file_that_cannot_be_used_is_named(
    content: bytes | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("PORTAL_SETTINGS", str(path))
    with pytest.raises(SettingError, match=f"{path}.* {words}"):
        create_app()


@pytest.mark.parametrize(("proxies", "seen"), [(0, "10.0.0.1"), (1, "192.0.2.7"), (2, "6.6.6.6")])
def test_address_is_taken_from_as_many_proxies_as_there_are(
    proxies: int, seen: str, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROXIES=proxies)
    prepare(app)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = "6.6.6.6, 192.0.2.7"
    form_token = token(client)
    client.post(
        "/sign-in",
        data={"csrf_token": form_token, "username": "alice", "password": "wrong password"},
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )
    assert f"sign-in failed from {seen}: 'alice'" in caplog.text


@pytest.mark.usefixtures("app")
def test_everything_in_the_data_folder_is_private(data: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [data, *data.iterdir()]}
    assert modes.pop("data") == 0o700
    assert modes.pop("files") == 0o700
    assert modes.pop("incoming") == 0o700
    assert {"secret_key", *([] if postgresql.SERVER else ["portal.db"])} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_key_is_kept_and_another_folder_has_another(
    make_app: Callable[..., Flask], data: Path, tmp_path: Path
) -> None:
    first, second = make_app(), make_app()
    other = make_app(DATA=str(tmp_path / "other"))
    assert first.secret_key == second.secret_key == (data / "secret_key").read_bytes()
    assert len(first.secret_key or b"") >= 32
    assert other.secret_key != first.secret_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_key_open_to_others_is_refused(mode: int, data: Path) -> None:
    create_app({"DATA": str(data)})
    (data / "secret_key").chmod(mode)
    with pytest.raises(DataFolderError, match="is open to other users"):
        create_app({"DATA": str(data)})


def test_short_key_is_refused(data: Path) -> None:
    data.mkdir()
    datafolder.write_private(data / "secret_key", b"x" * 31)
    with pytest.raises(DataFolderError, match="holds 31 bytes"):
        create_app({"DATA": str(data)})


def test_loser_of_a_race_takes_the_winners_key(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data.mkdir()
    really = datafolder.locked

    @contextmanager
    def overtaken(folder: Path) -> Iterator[None]:
        datafolder.write_private(data / "secret_key", b"the other process's key, long enough")
        with really(folder):
            yield

    monkeypatch.setattr(datafolder, "locked", overtaken)
    assert datafolder.secret_key(data) == b"the other process's key, long enough"
    assert [path.name for path in data.iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_have_one_key(data: Path) -> None:
    data.mkdir()
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        keys = pool.map(datafolder.secret_key, [data] * 16)
        pool.close()
        pool.join()
    assert len(set(keys)) == 1


def test_threads_that_start_at_once_have_one_key(data: Path) -> None:
    data.mkdir()
    barrier = threading.Barrier(8)
    keys = []

    def start() -> None:
        barrier.wait()
        keys.append(datafolder.secret_key(data))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="cannot be created"):
        create_app({"DATA": str(tmp_path / "file" / "data")})


DATABASE = pytest.param("portal.db", marks=pytest.mark.sqlite("its file"))
KINDS = ("files", "incoming", "portal.db", "activity.spool", "throttle.db", "secret_key")


@pytest.mark.parametrize("name", ["", "files", "incoming", DATABASE, "activity.spool"])
@pytest.mark.parametrize("right", [0o020, 0o002])
def test_folder_that_others_may_write_to_is_refused(name: str, right: int, data: Path) -> None:
    create_app({"DATA": str(data)})
    path = data / name
    path.chmod(path.stat().st_mode | right)
    with pytest.raises(DataFolderError, match=f"may write to {path} .*: chmod go-w {path}$"):
        create_app({"DATA": str(data)})


@pytest.mark.parametrize("name", ["", "files", "incoming", DATABASE, *KINDS[3:5]])
def test_what_the_portal_may_not_write_to_is_named(name: str, data: Path) -> None:
    create_app({"DATA": str(data)})
    path = data / name
    if name == "throttle.db":
        path.touch(0o600)
    path.chmod(path.stat().st_mode & 0o500)
    with modes_bind(), pytest.raises(DataFolderError, match=f"write to {path} .*: chmod"):
        create_app({"DATA": str(data)})


def test_folder_of_another_user_than_the_portals_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_app({"DATA": str(data)})
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(DataFolderError, match=f"the portal runs as user id {other}"):
        create_app({"DATA": str(data)})


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("name", [DATABASE, "activity.spool"])
def test_database_open_to_others_is_refused(name: str, data: Path) -> None:
    (data / name).chmod(0o640)
    with pytest.raises(DataFolderError, match=rf"may read .*{name} .*: chmod go= "):
        create_app({"DATA": str(data)})


@pytest.mark.parametrize("mode", [0o2700, 0o700])
def test_files_that_the_web_server_could_not_read_are_told_of_at_the_start(
    mode: int, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_app({"DATA": str(data)})
    (data / "files").chmod(0o750)
    (data / "incoming").chmod(mode)
    create_app({"DATA": str(data)})  # its own group may read them
    other = os.getegid() + 1
    monkeypatch.setattr(os, "getegid", lambda: other)
    if mode & stat.S_ISGID:
        create_app({"DATA": str(data)})
        return
    with pytest.raises(DataFolderError, match=f"would get group id {other}, .*chmod 2700"):
        create_app({"DATA": str(data)})


@pytest.mark.parametrize("character", [chr(code) for code in range(1, 128) if chr(code) != "/"])
def test_path_that_would_be_refused_later_is_refused_first(character: str, tmp_path: Path) -> None:
    folder = tmp_path / f"a{character}b"
    try:
        create_app({"DATA": str(folder)})
    except SettingError:
        assert not folder.exists()


def test_path_with_a_nul_is_refused() -> None:
    with pytest.raises(SettingError, match="PORTAL_DATA"):
        create_app({"DATA": "/srv/a\0b"})


def test_link_to_an_unusable_path_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "100%"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(SettingError, match="Apache would misread"):
        create_app({"DATA": str(tmp_path / "link")})
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORTAL_DATA", "", "PORTAL_DATA is not set."),
        ("PORTAL_DATA", "/proc/none", "The data folder /proc/none cannot be created:"),
        ("PORTAL_MAX_FORM_PARTS", "many", "PORTAL_MAX_FORM_PARTS must be a whole number"),
        ("PORTAL_DELEGATE_BACKEND", "apache", "PORTAL_DELEGATE_BACKEND must be one of auto"),
        ("PORTAL_QOUTA", "5", "PORTAL_QOUTA is no setting of the portal. Did you mean PORTAL_Q"),
    ],
)
def test_command_says_in_one_line_what_is_wrong(
    name: str, value: str, message: str, data: Path
) -> None:
    command = [sys.executable, "-m", "flask", "--app", "portal", "portal", "upgrade"]
    environment = {**os.environ, "PORTAL_DATA": str(data), name: value}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_remains_of_a_killed_process_are_removed_after_a_day(
    make_app: Callable[..., Flask], data: Path
) -> None:
    make_app()
    old, young = data / "incoming" / "old", data / "incoming" / "young"
    for path, age in ((old, 25), (young, 23)):
        path.touch()
        os.utime(path, times=(time.time() - age * 3600,) * 2)
    make_app()
    assert not old.exists()
    assert young.exists()


def test_start_survives_what_lies_in_the_way(
    make_app: Callable[..., Flask], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_app()
    incoming = data / "incoming"
    (incoming / "folder").mkdir()
    (incoming / "link").symlink_to(data / "secret_key")
    (incoming / "old").touch()
    for path in (*incoming.iterdir(), data / "secret_key"):
        os.utime(path, times=(0, 0), follow_symlinks=False)
    listed = [incoming / "finished-meanwhile", *incoming.iterdir()]
    monkeypatch.setattr(Path, "iterdir", lambda _self: iter(listed))
    make_app()
    assert [path.exists() for path in listed[1:]] == [path.name != "old" for path in listed[1:]]
    assert (data / "secret_key").exists()


@pytest.mark.parametrize("name", KINDS)
def test_what_is_of_another_kind_is_named(name: str, data: Path) -> None:
    data.mkdir(0o700)
    if name in {"files", "incoming"}:
        (data / name).touch(0o600)
    else:
        (data / name).mkdir(0o700)
    with pytest.raises(DataFolderError, match=f"{name} has to be a"):
        create_app({"DATA": str(data)})
