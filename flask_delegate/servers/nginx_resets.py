"""What an nginx location inherits that would change a file, and the lines that undo it.

A location takes over what the ``server`` and ``http`` blocks around it say, unless it says so
itself: see the context of each directive in nginx's documentation. nginx refuses a directive of a
module that it does not have, so the lines are those that the nginx of this machine accepts.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from glob import glob
from pathlib import Path

from ..exceptions import ConfigurationError

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
    "if_modified_since before;",
    "max_ranges 2147483647;",
    # The application has taken the request's body, as long as its own location allows.
    "client_max_body_size 0;",
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
_UNKNOWN = re.compile(r'unknown directive "(\w+)"')
_PATIENCE = 10
"""Seconds that nginx may take to answer."""
_TRIAL = """{modules}
pid "{folder}/pid";
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
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
    :raises ConfigurationError: if nginx does not say which directives it understands.
    """
    lines = list(_USUAL)
    if nginx is None:
        return lines
    lines += _OPTIONAL
    while (said := _complaint(nginx, lines)) is not None:
        # It stops at the first directive that it does not know.
        unknown = _UNKNOWN.search(said)
        left = [line for line in lines if unknown and not line.startswith(f"{unknown[1]} ")]
        if unknown is None or left == lines:
            raise _cannot_ask(nginx, _last_line(said))
        lines = left
    return lines


def check_script(nginx: str, script: str, lines: Callable[[str], Sequence[str]]) -> None:
    """Check that nginx runs a script of njs.

    :param lines: returns the directives that use it; called with its path.
    :raises ConfigurationError: if nginx does not have the module, or an old one.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".js", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        said = _complaint(nginx, list(lines(file.name)))
    if said is not None:
        problem = f"of nginx needs njs 0.7.7 or newer: {_last_line(said)}."
        cure = (
            "On Debian and Ubuntu: apt-get install libnginx-mod-http-js. With nginx's own packages:"
            " install nginx-module-njs, and load ngx_http_js_module in the main configuration."
        )
        raise ConfigurationError("DELEGATE_SIGNED_URL", problem, cure)


def _complaint(nginx: str, lines: Sequence[str]) -> str | None:
    """Return what nginx says of lines in a location, or nothing if it takes them."""
    modules = "\n".join(_load_module_lines(_main_configuration(nginx)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        trial = {"modules": modules, "folder": folder, "nothing": NOTHING}
        path.write_text(_TRIAL.format(lines="\n".join(lines), **trial), "utf-8")
        status, said = _ask(nginx, "-t", "-c", str(path))
    return None if status == 0 else said


def _last_line(said: str) -> str:
    return said.strip().rpartition("\n")[2] or "it said nothing"


def has_headers_more(lines: Sequence[str]) -> bool:
    """Return whether the lines are for an nginx with the module headers-more."""
    return any(line.startswith("more_clear_headers ") for line in lines)


def _main_configuration(nginx: str) -> Path:
    built = re.search(r"--conf-path=(\S+)", _ask(nginx, "-V")[1])
    return Path(built[1] if built else "/etc/nginx/nginx.conf")


def _load_module_lines(main: Path) -> Iterator[str]:
    """Yield the lines that load modules: before the first block, or in files included there.

    Names are relative to the main configuration's folder, whatever file they stand in.
    """
    waiting, read = [main], set[Path]()
    while waiting:
        path = waiting.pop(0).resolve()
        try:
            if path in read or not path.is_file():  # it may include itself, or a pipe
                continue
            read.add(path)
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            raise _cannot_ask(str(path), f"it cannot be read: {error.strerror}") from error
        head = re.sub(r"#.*", "", text).partition("{")[0]
        for directive, value in re.findall(r"\b(load_module|include)\s+[\"']?([^\"';]+)", head):
            if directive == "load_module":
                yield f'load_module "{value}";'
            else:
                found = sorted(glob(value, root_dir=main.parent))  # noqa: PTH207
                waiting += [main.parent / name for name in found]


def _ask(nginx: str, *words: str) -> tuple[int, str]:
    """Run nginx, and return its status and what it says.

    :raises ConfigurationError: if it cannot be run, or does not end.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [nginx, *words], capture_output=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _cannot_ask(nginx, str(error)) from error
    return done.returncode, done.stderr.decode("utf-8", "replace")


def _cannot_ask(what: str, why: str) -> ConfigurationError:
    cure = "Run the command as root where nginx runs, with a configuration that 'nginx -t' accepts."
    problem = f"nginx cannot be asked which directives it understands: {why}."
    return ConfigurationError(what, problem, cure)
