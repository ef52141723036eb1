"""What an nginx location inherits that would change a file, and the lines that undo it.

A location takes over what the ``server`` and ``http`` blocks around it say, unless it says so
itself: see the context of each directive in nginx's documentation. nginx refuses a directive of a
module that it does not have, so the lines are those that the nginx of this machine accepts.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from glob import glob
from pathlib import Path

NOTHING = "$flask_delegate_nothing"
"""A variable that the generated configuration sets to the empty string."""
_USUAL = (
    # The bytes.
    "ssi off;",
    "charset off;",
    # The headers.
    "expires off;",
    "userid off;",
    # Which file, which part of it, and whether it is sent at all.
    "open_file_cache off;",
    "if_modified_since exact;",
    "max_ranges 2147483647;",
)
"""Of modules that each nginx has, unless it was built without them."""
_OPTIONAL = (
    "gzip_static off;",
    "gunzip off;",
    f'sub_filter {NOTHING} "";',
    'add_before_body "";',
    'add_after_body "";',
    "brotli off;",
    "brotli_static off;",
    "zstd off;",
    "zstd_static off;",
    "subs_filter_bypass 1;",
    "modsecurity off;",
    "add_header_inherit on;",
    # This module adds to what it inherits, and acts before add_header does.
    'more_set_headers "Cache-Control: $upstream_http_cache_control";',
    'more_set_headers "Content-Disposition: $upstream_http_content_disposition";',
    "more_clear_headers Content-Security-Policy X-Content-Type-Options Vary Expires;",
)
_TRIAL = """{modules}
pid "{folder}/pid";
events {{ }}
http {{
    access_log off;
    server {{
        set {nothing} "";
        location / {{
            {lines}
        }}
    }}
}}
"""


def resets(nginx: str | None) -> list[str]:
    """Return the lines for a location that undo what it would inherit.

    :param nginx: the program, whose main configuration says which modules it loads; none: the
        lines are those for the modules that each nginx has.
    """
    lines = list(_USUAL)
    if nginx is None:
        return lines
    lines += _OPTIONAL
    modules = "\n".join(_load_module_lines(_main_configuration(nginx)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        while True:
            trial = {"modules": modules, "folder": folder, "nothing": NOTHING}
            path.write_text(_TRIAL.format(lines="\n".join(lines), **trial), "utf-8")
            # It stops at the first directive that it does not know. Other errors come after that.
            unknown = re.search(r'unknown directive "(\w+)"', _said(nginx, "-t", "-c", str(path)))
            if unknown is None:
                return lines
            lines = [line for line in lines if not line.startswith(f"{unknown[1]} ")]


def _main_configuration(nginx: str) -> Path:
    built = re.search(r"--conf-path=(\S+)", _said(nginx, "-V"))
    return Path(built[1] if built else "/etc/nginx/nginx.conf")


def _load_module_lines(configuration: Path) -> Iterator[str]:
    """Yield the lines that load modules: before the first block, or in files included there."""
    try:
        head = configuration.read_text("utf-8", "replace").partition("{")[0]
    except OSError:
        return
    for directive, value in re.findall(r"^\s*(load_module|include)\s+[\"']?([^\"';]+)", head, re.M):
        if directive == "load_module":
            yield f'load_module "{value}";'
        else:
            for included in sorted(glob(value, root_dir=configuration.parent)):  # noqa: PTH207
                yield from _load_module_lines(configuration.parent / included)


def _said(nginx: str, *words: str) -> str:
    return subprocess.run(  # noqa: S603
        [nginx, *words], capture_output=True, text=True, check=False
    ).stderr
