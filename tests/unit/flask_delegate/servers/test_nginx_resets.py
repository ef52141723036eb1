"""Which directives nginx is told to undo, asked of a program that plays nginx."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flask_delegate import ConfigurationError
from flask_delegate.servers import nginx_resets
from flask_delegate.servers.nginx_resets import resets

# It knows what nginx has by itself, and brotli if the module is loaded.
PLAYS_NGINX = """#!/bin/sh
if [ "$1" = -V ]; then echo "configure arguments: --conf-path={conf} --with-x" >&2; exit; fi
for word in gunzip gzip_static sub_filter add_before_body add_after_body brotli_static zstd \\
    zstd_static subs_filter_bypass modsecurity add_header_inherit more_set_headers \\
    more_clear_headers brotli; do
    if [ $word = brotli ] && grep -q brotli.so "$3"; then continue; fi
    if grep -q "^ *$word " "$3"; then
        echo "nginx: [emerg] unknown directive \\"$word\\" in $3:9" >&2
        exit 1
    fi
done
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "nginx.conf"


@pytest.fixture
def nginx(tmp_path: Path, conf: Path) -> Path:
    return program(tmp_path, PLAYS_NGINX.format(conf=conf))


def program(folder: Path, text: str) -> Path:
    path = folder / "nginx"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_what_each_nginx_has_is_undone() -> None:
    names = "ssi charset expires userid open_file_cache if_modified_since max_ranges"
    names += " client_max_body_size"
    assert [line.split()[0] for line in resets(None)] == names.split()
    assert all(line.endswith(";") for line in resets(None))


def test_only_what_nginx_knows_is_undone(nginx: Path) -> None:
    assert resets(str(nginx)) == resets(None)  # no configuration: no modules


@pytest.mark.parametrize(
    "text",
    [
        "load_module modules/brotli.so;\nevents { }",
        "# made by {{ something }}\nload_module modules/brotli.so;\nevents { }",
        "user www-data; load_module 'modules/brotli.so';\nevents { }",
        "include modules.d/*.conf;\nhttp { include more.conf; }",
        "include nginx.conf;\ninclude fifo;\ninclude missing.conf;\nload_module brotli.so;",
        "include modules.d/../nginx.conf;\ninclude modules.d/*.conf;",
        "include modules.d/*.conf;\ninclude missing*.conf;\nuser x;",
        "include modules.d/more;\ninclude empty;",
        "include modules.d/more;",  # which names the next one from the main file's folder
    ],
)
def test_modules_that_the_configuration_loads_are_heeded(
    nginx: Path, conf: Path, text: str
) -> None:
    conf.write_bytes(b"# \xff\n" + text.encode())
    (conf.parent / "modules.d").mkdir()
    (conf.parent / "modules.d/brotli.conf").write_text("# {\nload_module modules/brotli.so;\n")
    (conf.parent / "modules.d/more").write_text("include modules.d/brotli.conf;\n")
    (conf.parent / "empty").touch()
    os.mkfifo(conf.parent / "fifo")
    assert "brotli off;" in resets(str(nginx))


def test_what_a_block_includes_loads_no_module(nginx: Path, conf: Path) -> None:
    conf.write_text("events { }\nhttp { include more.conf; }\n")
    (conf.parent / "more.conf").write_text("load_module modules/brotli.so;\n")
    assert "brotli off;" not in resets(str(nginx))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho 'nginx: [emerg] dlopen() \"nope.so\" failed' >&2; exit 1\n", "dlopen"),
        ("#!/bin/sh\nprintf 'unknown directive \"http\" \\377' >&2; exit 1\n", 'directive "http"'),
        ("#!/bin/sh\nexit 1\n", "it said nothing"),
        ("#!/bin/sh\nexec sleep 60\n", "timed out"),
        ("#!/no/such/interpreter\n", "No such file"),
        ("no program", "Exec format error"),
    ],
)
def test_a_program_that_cannot_be_asked_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(nginx_resets, "_PATIENCE", 0.2 if "sleep" in text else 10)
    with pytest.raises(ConfigurationError, match=reason):
        resets(str(program(tmp_path, text)))
