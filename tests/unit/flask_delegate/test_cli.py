from __future__ import annotations

import gzip
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate import receipts, rotation
from tests.support.extension import Factory
from tests.support.paths import PROJECT


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
    for _ in range(2):
        code, text = run(app, "--output", str(output))
        assert (code, text) == (0, "")
        assert stat.S_IMODE(output.stat().st_mode) == 0o600
        assert output.read_text() == run(app)[1]
    assert [path.name for path in tmp_path.glob("*delegate*")] == ["delegate.conf"]


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o666])
def test_a_file_that_is_replaced_keeps_those_who_may_read_it(
    make_app: Factory, tmp_path: Path, mode: int
) -> None:
    """Caddy reads it as its own user. Everybody else on the machine is nobody's choice."""
    output = tmp_path / "delegate.conf"
    output.touch()
    output.chmod(mode)
    if os.geteuid() == 0:
        os.chown(output, 65534, 65534)
    for headers in ({}, {"X-Frame-Options": "DENY"}):
        before = output.stat()
        assert run(make_app(DELEGATE_HEADERS=headers), "--output", str(output)) == (0, "")
        after = output.stat()
        assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
        assert stat.S_IMODE(after.st_mode) == mode & 0o770
    assert "DENY" in output.read_text()


@pytest.mark.parametrize("text", ["ServerRoot /etc/apache2\n", "old", "# My own\n", "\n"])
def test_what_was_not_generated_is_not_replaced(app: Flask, tmp_path: Path, text: str) -> None:
    output = tmp_path / "apache2.conf"
    output.write_text(text)
    code, said = run(app, "--output", str(output))
    assert (code, output.read_text()) == (1, text)
    assert f"{output} exists, and was not made by 'flask delegate'. Nothing was written." in said


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
        assert (code, text) == (1, f"Error: {target} exists and is not a regular file.\n")
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


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "", "%{GLOBAL}"])
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


def invoke(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["delegate", *arguments])
    return result.exit_code, result.output


def test_there_is_a_command_for_each_product_and_no_other(app: Flask) -> None:
    code, text = invoke(app, "--help")
    assert code == 0
    assert "Set up the web server that sends private files." in text
    listed = re.findall(r"^  ([a-z-]+)", text.partition("Commands:\n")[2], re.MULTILINE)
    assert listed == [
        "apache-config",
        "caddy-config",
        "clean-generated",
        "doctor",
        "lighttpd-config",
        "nginx-config",
        "receipts",
    ]
    for name in listed:
        assert invoke(app, name, "--help")[0] == 0
    code, text = invoke(app, "cherokee-config")
    assert code == 2
    assert "No such command 'cherokee-config'" in text


def test_a_command_has_the_options_that_its_servers_heed(app: Flask) -> None:
    def options(name: str) -> set[str]:
        return set(re.findall(r"^  (--[a-z-]+)", invoke(app, name, "--help")[1], re.MULTILINE))

    shared = {"--output", "--receipts", "--sendfile", "--help"}
    assert options("nginx-config") == {*shared, "--resolver"}
    assert options("lighttpd-config") == shared - {"--sendfile"}
    assert options("caddy-config") == shared - {"--sendfile"}
    apache = {"--site", "--process-group", "--store-connections"}
    assert options("apache-config") == shared | apache


def test_a_configuration_begins_with_who_made_it_and_how_secret_it_is(app: Flask) -> None:
    text = run(app)[1]
    beginning = (
        "# Apache configuration for the private files of under_test, made by"
        " 'flask delegate apache-config'.\n# It holds a secret token: "
    )
    assert text.startswith(beginning)
    assert text.partition("\n\n")[2].startswith("<IfModule !alias_module>")
    assert text.endswith("</Location>\n")


@pytest.mark.parametrize(
    ("backend", "product", "is_secret"),
    [
        ("mod_wsgi", "apache", True),
        ("scgi", "apache", True),
        ("xsendfile", "apache", False),
        ("nginx", "nginx", True),
        ("caddy", "caddy", True),
        ("lighttpd", "lighttpd", False),
    ],
)
def test_a_configuration_is_called_secret_if_it_holds_a_token(
    make_app: Factory, backend: str, product: str, is_secret: bool
) -> None:
    app = make_app(DELEGATE_BACKEND=backend)
    (keys,) = app.extensions["delegate"].keys["default"]
    head, _, rules = invoke(app, f"{product}-config")[1].partition("\n\n")
    assert ("secret token" in head) == (keys.token in rules) == is_secret
    assert "Write it again when the settings change." in head


def test_one_command_writes_for_all_servers_of_its_product(
    make_app: Factory, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    areas = {"b": {"root": tmp_path / "b", "url": "/b/", "backend": "xsendfile"}}
    code, text = run(make_app(DELEGATE_AREAS=areas))
    assert code == 0
    assert "</Location>\n\n<IfModule !env_module>" in text
    assert f'XSendFilePath "{tmp_path.resolve()}/b"' in text
    assert text.count('Alias "/private/"') == 1
    assert 'Alias "/b/"' not in text


def test_a_product_that_sends_nothing_names_the_backends_that_it_has(make_app: Factory) -> None:
    app = make_app(DELEGATE_BACKEND="stream")
    for name, said in (
        (
            "apache-config",
            "Apache sends the files of no area. Set it to mod_wsgi, scgi or xsendfile.",
        ),
        ("nginx-config", "nginx sends the files of no area. Set it to nginx."),
    ):
        code, text = invoke(app, name)
        assert (code, text) == (1, f"Error: DELEGATE_BACKEND: {said}\n")


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    output = tmp_path / "delegate.conf"
    assert run(app, "--output", str(output)) == (0, "")
    old = output.read_text()
    monkeypatch.setattr(Path, "replace", fail)
    code, text = run(app, "--no-sendfile", "--output", str(output))
    assert (code, text) == (1, f"Error: cannot write {output}: No space left on device\n")
    assert output.read_text() == old
    assert [path.name for path in tmp_path.glob("*delegate*")] == ["delegate.conf"]


def test_a_folder_whose_name_is_no_utf8_is_written_byte_for_byte(
    make_app: Factory, tmp_path: Path
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path.resolve()) + b"/\xff"))
    folder.mkdir()
    output = tmp_path / "delegate.conf"
    assert run(make_app(DELEGATE_ROOT=folder), "--output", str(output)) == (0, "")
    assert b"/\xff/" in output.read_bytes()


def test_a_dangling_link_is_not_written_through(app: Flask, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    assert run(app, "--output", str(link)) == (
        1,
        f"Error: {link} exists and is not a regular file.\n",
    )
    assert not (tmp_path / "target").exists()


RECEIPT = (
    "flask-delegate id=0123456789abcdef time=1700000000 method=GET status=206 end=+"
    ' body=8 length=8 sent=300 range="bytes 8-15/16"\n'
)


@pytest.mark.parametrize("options", [(), ("--follow",)])
def test_receipts_are_shown_with_the_part_that_was_sent(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    log = tmp_path / "log"
    log.write_text(RECEIPT)
    followed: list[Path] = []

    def follow(path: Path) -> list[tuple[list[receipts.Receipt], rotation.Position]]:
        followed.append(path)
        return [(list(receipts.read(path)), {})]

    monkeypatch.setattr(receipts, "follow", follow)
    code, text = invoke(app, "receipts", str(log), *options)
    line = "2023-11-14 22:13:20Z 0123456789abcdef 206 completed, 8 bytes sent of bytes 8-15/16\n"
    assert (code, text) == (0, line)


def test_a_log_that_is_not_there_is_named(app: Flask, tmp_path: Path) -> None:
    said = f"Error: cannot read {tmp_path}/none: No such file or directory\n"
    assert invoke(app, "receipts", str(tmp_path / "none")) == (1, said)


def test_a_log_of_every_usual_path_is_taken(app: Flask) -> None:
    assert '"/var/log/a-b_c.d/e@f+g h"' in run(app, "--receipts", "/var/log/a-b_c.d/e@f+g h")[1]


def test_a_configuration_is_drafted_beside_its_place(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another file system it could not be put in place in one step."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert invoke(app, "apache-config", "--output", str(tmp_path / "written")) == (0, "")
    assert (tmp_path / "written").read_text()


PRINTING = (
    *(["apache-config"], ["apache-config", "--help"], ["--help"], ["doctor"], ["doctor", "--json"]),
    *(["receipts", "LOG"], ["receipts", "LOG", "--json"], ["receipts", "--help"]),
)


@pytest.mark.parametrize("words", PRINTING)
def test_full_disk_where_the_output_goes_is_said_in_a_sentence(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "LOG").write_text(RECEIPT)
    (tmp_path / "private").mkdir()
    (tmp_path / "app.py").write_text(APPLICATION)
    command = [sys.executable, "-m", "flask", "--app", "app", "delegate", *words]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
    said = "Error: cannot write the output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


APPLICATION = """
from flask import Flask
from flask_delegate import Delegate

app = Flask("full")
app.config.update(
    SECRET_KEY="secret", DELEGATE_ROOT=f"{__file__[:-6]}private", DELEGATE_BACKEND="mod_wsgi"
)
Delegate(app)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["apache-config", "--output", "a\nb"],
        ["apache-config", "--process-group", "a\tb"],
        ["doctor", "--host", "a\nb"],
        ["doctor", "--user", "a\x1b[2J"],
        ["doctor", "--area", "a\x85b"],
        ["doctor", "http://127.0.0.1:1/\r\n"],
        ["receipts", "a\x00b"],
        ["a\nb"],
    ],
)
def test_argument_with_control_characters_is_refused(
    words: list[str], app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    code, text = invoke(app, *words)
    assert code == 2
    assert "An argument has control characters: " in text
    assert text.replace("\n", "").isprintable()
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("host", ["a b", "日本", "", "x" * 256, "a/b"])
def test_host_that_could_be_none_is_refused(host: str, app: Flask) -> None:
    code, text = invoke(app, "doctor", "http://127.0.0.1:1/", "--host", host)
    assert code == 2
    assert "--host takes a host's name, such as files.example.org" in text


@pytest.mark.parametrize("name", ["log.gz", "downloads.log-20261127.gz"])
def test_receipts_are_read_from_a_compressed_log(name: str, app: Flask, tmp_path: Path) -> None:
    log = tmp_path / name
    log.write_bytes(gzip.compress((RECEIPT * 3).encode()))
    code, text = invoke(app, "receipts", str(log))
    assert code == 0
    assert text.count("0123456789abcdef 206 completed, 8 bytes sent") == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.gz", b"no archive", "Not a gzipped file"),
        ("log.gz", gzip.compress(b"x" * 1000)[:10] + b"\xff" * 100, "it is damaged: "),
        ("log.xz", b"", "files that end in .xz are not read"),
    ],
)
def test_log_that_cannot_be_read_is_refused_in_a_sentence(
    name: str, content: bytes, said: str, app: Flask, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    code, text = invoke(app, "receipts", str(tmp_path / name))
    assert code == 1
    assert f"Error: cannot read {tmp_path / name}: " in text
    assert said in text
