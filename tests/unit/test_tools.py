"""A program that a test needs and the machine lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tools import tool


def test_a_program_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strace").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool("strace") == str(tmp_path / "strace")


@pytest.mark.parametrize(
    ("name", "package"), [("no-such-tool", "no-such-tool"), ("fail2ban-regex", "fail2ban")]
)
def test_a_missing_program_fails_the_test_with_the_command_that_installs_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(pytest.fail.Exception) as failed:
        tool(name)
    assert f"This test needs {name} from the package {package}" in str(failed.value)
    assert f"apt-get install {package}'" in str(failed.value)
    assert "\n" not in str(failed.value)
