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
