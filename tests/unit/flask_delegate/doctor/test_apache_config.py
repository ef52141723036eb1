"""Apache's configuration, read."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.doctor.apache_config import Configuration, ways


def test_includes_are_read_from_the_server_root(tmp_path: Path, app: Flask, root: Path) -> None:
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "a.conf").write_text(f"<VirtualHost *:81>\nServerAlias x y\nAlias /x/ {root}/\n")
    main = tmp_path / "main.conf"
    main.write_text(f"ServerRoot {tmp_path}\nInclude main.conf\nIncludeOptional sites/*.conf\n")
    configuration = Configuration(main)
    area = app.extensions["delegate"].settings.areas["default"]
    found = list(ways(configuration, area, ["token"]))
    assert [(way.url, way.is_guarded) for way in found] == [("/x/", False)]
    assert configuration.names(found[0].directive.host) == ["x", "y"]
    with pytest.raises(ValueError, match="Is a directory"):
        Configuration(folder)


def read(tmp_path: Path, text: str, host: bytes = b"") -> Configuration:
    main = tmp_path / "main.conf"
    main.write_bytes(text.encode() + host)
    return Configuration(main)


def test_directives_are_read_as_apache_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "81")
    text = r"""
        # Define A commented
        Define A /a
        Define EMPTY
        Define B "/b c" ignored
        LoadModule  alias_module x.so
        <VirtualHost *:${PORT}>
            ServerName https://One.example:444
            ServerAlias two 'three'
            <IfModule x>
                ALIAS ${A}/${NONE} \
                    "${B}/\"quoted\""
            </IfModule>
        </VirtualHost>
        <VirtualHost [::1]:65535>
        </VirtualHost>
        <VirtualHost _default_:65536>
        </VirtualHost>
        <VirtualHost *:0>
        </VirtualHost>
        <VirtualHost *>
            ServerName other
        </VirtualHost>
        Header x${EMPTY}y
        Bare
    """
    read_in = read(tmp_path, text, b"Alias /\xff y\n")
    (alias, last) = read_in.named("alias", "bare")
    assert alias.words == ("/a/${NONE}", r"/b c/\"quoted\"")
    assert alias.sections == (("virtualhost", "*:81"), ("ifmodule", "x"))
    assert (alias.host, alias.place) == (1, f"{tmp_path}/main.conf:12")
    assert (last.words, last.sections, last.host) == (("/\udcff", "y"), (), 0)
    assert read_in.named("header")[0].words == ("xy",)
    assert read_in.names(1) == ["One.example", "two", "three"]
    assert (read_in.names(2), read_in.names(5)) == ([], ["other"])
    assert [read_in.port(host) for host in range(7)] == [None, 81, 65535, None, None, None, None]
    assert read_in.modules() == {"alias"}


def test_each_file_of_an_included_folder_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    for name in ("d/b", "d/a", "d/e/c", "f1", "f2"):
        (tmp_path / name).write_text(f"Name {name}\n")
    main = f"Include {tmp_path}/d\nINCLUDE f*\nInclude f1\nInclude none*\nInclude\n"
    found = read(tmp_path, main).named("name")
    assert [one.words[0] for one in found] == ["d/a", "d/b", "d/e/c", "f1", "f2", "f1"]


def test_a_server_root_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("Name x\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/y.conf").write_text("Name y\n")
    text = f"Include x.conf\nServerRoot {tmp_path}/sub\nInclude y.conf\n"
    assert [one.words for one in read(tmp_path, text).named("name")] == [("x",), ("y",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DocumentRoot {root}/", ("/", "")),
        ("DocumentRoot {above}", ("/", "files/")),
        ("DocumentRoot files/sub", ("/", "")),
        ("DocumentRoot {above}/elsewhere", None),
        ("Alias /x {root}", ("/x/", "")),
        ("Alias /x/ {above}", ("/x/", "files/")),
        ("ScriptAlias /x {root}", ("/x/", "")),
        ("Alias {root}", None),
        ("<Location /l>\nAlias {root}\n</Location>", ("/l/", "")),
        ("<Location /a>\n<Location '/l/'>\nScriptAlias {root}\n", ("/l/", "")),
        ("<Directory /l>\nAlias {root}\n</Directory>", None),
        ("AliasMatch ^/u/([a-z]+)/(.*) {root}/$1", ("/u/", "")),
        ("ScriptAliasMatch /u/.*$ {root}/$0", ("/u/", "")),
        ("AliasMatch ^/u(.*) $1", None),
        ("Redirect /x {root}", None),
    ],
)
def test_what_leads_to_an_area(
    app: Flask, root: Path, tmp_path: Path, text: str, expected: tuple[str, str] | None
) -> None:
    written = text.format(root=root, above=root.parent)
    area = app.extensions["delegate"].settings.areas["default"]
    found = list(ways(read(tmp_path, written), area, ["token"]))
    assert [(way.url, way.below) for way in found] == ([expected] if expected else [])


GUARD = '<Directory {root}/>\n<If "token">\nRequire all granted\n</If>\n</Directory>\n'


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        (GUARD + "Alias /private/ {root}/", []),
        (GUARD + "Alias /other/ {root}/", [True]),
        (GUARD + "Alias /private/ {root}/sub", [True]),
        (GUARD.replace("token", "k") + "Alias /private/ {root}", [False]),
        (GUARD.replace("<If ", "<Else ") + "Alias /private/ {root}", [False]),
        (GUARD.replace("{root}/", "/x/") + "Alias /private/ {root}", [False]),
        (GUARD + "Alias /private/ {link}", [False]),
        ("<VirtualHost *>\n" + GUARD + "Alias /private/ {root}\n</VirtualHost>", []),
        ("<VirtualHost *>\n" + GUARD + "</VirtualHost>\nAlias /private/ {root}", [False]),
        (GUARD + "<VirtualHost *>\nAlias /private/ {root}", []),
    ],
)
def test_the_guard_covers_its_own_host_and_spelling(
    app: Flask, root: Path, tmp_path: Path, text: str, guarded: list[bool]
) -> None:
    (tmp_path / "link").symlink_to(root)
    written = text.replace("{root}", str(root)).replace("{link}", str(tmp_path / "link"))
    area = app.extensions["delegate"].settings.areas["default"]
    found = ways(read(tmp_path, written), area, ["another", "token"])
    assert [way.is_guarded for way in found] == guarded
