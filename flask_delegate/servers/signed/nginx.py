"""What nginx verifies by njs: HMAC with SHA-256 (RFC 2104), over what :mod:`..signing` signs.

The script is a file of its own, the same for each application: nginx reads scripts from nowhere
else. Sources: the reference of ngx_http_js_module and of njs's ``crypto``; ``js_import`` and
``js_set`` stand in a location since njs 0.7.7.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from ...areas import Area
from ...delivery import UNKNOWN
from .. import codec, signing
from . import folders

MODULE = "libnginx-mod-http-js"
"""Debian's package."""
_PREFIX = "$flask_delegate_"
# What the script says of the file, and what it is before that.
_TOLD = {
    "type": "",
    "disposition": "",
    "cache": "private, no-cache",
    "policy": "",
    "digest": "",
    "verified": "",
}
# A hand-off's own header, which headers-more restores there; here add_header adds it afterwards.
_RESTORED = re.compile(r'more_set_headers "([A-Za-z-]+): \$upstream_http_\w+";')
_IMPORTED = re.compile(r'^ *js_import flask_delegate from "(.+)";$', re.MULTILINE)
_CLEARED = r"more_clear_headers \1;"


def mac(key: str, message: bytes) -> str:
    """Return the keyed hash, in hexadecimal."""
    return hmac.new(key.encode(), message, "sha256").hexdigest()


@cache
def script() -> str:
    """Return the script for njs."""
    fields = "".join(f"(?:&{one.key}=({one.pattern}))?" for one in codec.DESCRIBED)
    folder = f"{folders.COOKIE}([1-{folders.DEEPEST}])=([0-9]{{10}})[.]([0-9a-f]{{64}})"
    values = {
        "QUERY": _literal(f"^(e=([0-9]{{10}})(&b=1)?{fields})&s=([0-9a-f]{{64}})$"),
        "BROWSER": _literal(f"^.*;[ ]*{signing.COOKIE}=({signing.COOKIE_VALUE});"),
        "FOLDER": _literal(f";[ ]*{folder}(?=;)"),
        "DEEPEST": str(folders.DEEPEST),
        "KINDS": "\n".join(_cases()),
        "UNKNOWN": json.dumps([UNKNOWN, "attachment", ""]),
    }
    text = Path(__file__).with_name("verify.js").read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _literal(pattern: str) -> str:
    return pattern.replace("/", "\\/")


def _cases() -> Iterator[str]:
    for kind in folders.kinds():
        told = json.dumps([kind.content_type, "inline", kind.policy or ""])
        names = " ".join(f"case {json.dumps(one)}:" for one in kind.extensions)
        yield f"        {names} return {told};"


def script_lines(path: str) -> list[str]:
    """Return the directives that need njs.

    :param path: of the script.
    """
    return [
        f'js_import flask_delegate from "{path}";',
        f"js_set {_PREFIX}verify flask_delegate.verify;",
        "js_header_filter flask_delegate.describe;",
    ]


def fault(text: str) -> str:
    """Return what is wrong with the script that a configuration names, or nothing."""
    found = _IMPORTED.search(text)
    if not found:
        return "names no script for signed URLs"
    try:
        is_ours = Path(found[1]).read_text("utf-8") == script()
    except (OSError, UnicodeDecodeError) as error:
        return f"names the script {found[1]}, which cannot be read: {error}"
    return "" if is_ours else f"names the script {found[1]}, which is altered or of another version"


def location(area: Area, keys: Iterable[str], path: str, rest: Sequence[str]) -> str:
    """Return the location of an area's signed URLs.

    :param keys: the one in use, and those that it has replaced.
    :param path: of the script.
    :param rest: lines that the area's other location has as well.
    """
    lines = [
        f"location ^~ {area.signed_url} {{",
        f"    # Script {hashlib.sha256(script().encode()).hexdigest()[:16]}.",
        *(f"    {line}" for line in script_lines(path)),
        *(f'    set {_PREFIX}{name} "{value}";' for name, value in _TOLD.items()),
        f'    set {_PREFIX}prefix "{area.signed_url}";',
        f'    set {_PREFIX}keys "{" ".join(keys)}";',
        f"    set {_PREFIX}ran {_PREFIX}verify;",
        "    # From here on no variable that a file could print holds a key.",
        f'    set {_PREFIX}keys "";',
        f'    if ({_PREFIX}verified != "yes") {{',
        "        return 403;",
        "    }",
        f'    alias "{area.root}/";',
        "    # A folder is no file, and is not redirected to.",
        "    try_files $uri =404;",
        f"    add_header Cache-Control {_PREFIX}cache;",
        f"    add_header Content-Disposition {_PREFIX}disposition;",
        f"    add_header Content-Security-Policy {_PREFIX}policy;",
        f"    add_header Repr-Digest {_PREFIX}digest;",
        *(f"    {_RESTORED.sub(_CLEARED, line)}" for line in rest),
        "}",
    ]
    return "\n".join(lines) + "\n"
