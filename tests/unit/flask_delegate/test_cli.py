from __future__ import annotations

import stat
from pathlib import Path

import pytest
from flask import Flask

from tests.support.extension import Factory


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["delegate", "apache-config", *arguments])
    return result.exit_code, result.output


def test_the_configuration_holds_each_areas_token_and_resolved_folder(
    make_app: Factory, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    link = tmp_path / "link"
    link.symlink_to(root)
    app = make_app(
        DELEGATE_ROOT=link,
        DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/photos-inside/"}},
    )
    code, text = run(app)
    assert code == 0
    assert str(link) not in text
    for (keys,) in app.extensions["delegate"].keys.values():
        assert keys.token in text
        assert keys.fingerprint in text
    assert f'<Directory "{root}/">' in text
    assert 'Alias "/photos-inside/"' in text


def test_a_file_is_written_for_its_owner_only(app: Flask, tmp_path: Path) -> None:
    output = tmp_path / "delegate.conf"
    output.write_text("old")
    output.chmod(0o644)
    code, text = run(app, "--output", str(output))
    assert (code, text) == (0, "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.read_text() == run(app)[1]
    assert [path.name for path in tmp_path.glob("*delegate*")] == ["delegate.conf"]


def test_a_file_that_cannot_be_written_is_said_to_be_so(app: Flask, tmp_path: Path) -> None:
    code, text = run(app, "--output", str(tmp_path / "no" / "folder.conf"))
    assert code == 1
    assert "cannot write" in text
    assert "No such file or directory" in text


def test_only_a_regular_file_is_replaced(app: Flask, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    for target in (link, tmp_path):
        code, text = run(app, "--output", str(target))
        assert code != 0
        assert "is a directory" in text or "is not a regular file" in text
    assert link.is_symlink()


def test_a_folder_whose_name_is_not_ascii_is_written(make_app: Factory, tmp_path: Path) -> None:
    (tmp_path / "größe").mkdir()
    output = tmp_path / "delegate.conf"
    assert run(make_app(DELEGATE_ROOT=tmp_path / "größe"), "--output", str(output)) == (0, "")
    assert f'"{tmp_path.resolve()}/größe/"' in output.read_text(encoding="utf-8")


def test_a_site_loads_its_modules_itself(app: Flask) -> None:
    assert "LoadModule" in run(app)[1]
    text = run(app, "--site")[1]
    assert "LoadModule" not in text
    assert "a2enmod ratelimit" in text


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "", "a\nb", "%{GLOBAL}"])
def test_a_process_group_that_could_not_be_one_is_refused(app: Flask, name: str) -> None:
    code, text = run(app, "--process-group", name)
    assert code == 1
    assert "is not a process group's name" in text


def test_nothing_is_printed_for_an_application_that_streams(make_app: Factory) -> None:
    code, text = run(make_app(DELEGATE_BACKEND="stream"))
    assert code == 1
    assert "sends the files of no area" in text


def test_sendfile_can_be_left_off(app: Flask) -> None:
    assert "EnableSendfile On" in run(app)[1]
    assert "EnableSendfile Off" in run(app, "--no-sendfile")[1]
