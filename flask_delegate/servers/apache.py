"""What the servers based on Apache share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..receipts import APACHE_FORMAT, APACHE_SHRUNK

PRODUCT = "Apache"
COMMAND = "apache-config"

LONGEST_PATH = 3840
"""Bytes of a file's path. APR's ``apr_filepath_merge`` has 4,092 bytes for it and for Apache's
``ServerRoot`` (with mod_xsendfile, the area's folder): 252 are left for that."""

_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


def has_module(name: str) -> bool:
    """Return whether a module is installed, by its name without ``mod_``."""
    return any(Path(folder, f"mod_{name}.so").exists() for folder in _FOLDERS)


def module_rules(names: Iterable[str], *, load: bool) -> str:
    """Return what happens where Apache lacks a module that the rules use.

    :param load: load it, as mod_wsgi-express needs it; otherwise stop with a message.
    """
    action = 'Error "Flask-Delegate needs mod_{0}. On Debian and Ubuntu: a2enmod {0}"'
    if load:
        action = 'LoadModule {0}_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{0}.so"'
    rule = f"<IfModule !{{0}}_module>\n    {action}\n</IfModule>\n"
    return "".join(rule.format(name) for name in sorted(names))


METHOD_RULE = """\
# A view sees HEAD as what it is, so that it does not count what is not sent.
<IfModule wsgi_module>
    WSGIMapHEADToGET Off
</IfModule>
"""
LOGGED_RULES = (
    "# For the log: the request's own method, which mod_wsgi has made GET by now; the file, and its"
    " size before it is sent.",
    'SetEnvIfExpr "%{THE_REQUEST} =~ m#^([A-Z]+) #" DELEGATE_METHOD=$1',
    'RequestHeader set Flask-Delegate-File "expr=%{REQUEST_FILENAME}"',
    'RequestHeader set Flask-Delegate-Size "expr=%{filesize:%{REQUEST_FILENAME}}"',
)


def receipt_rules(log: str, urls: Iterable[str]) -> str:
    """Return what logs how each hand-off to one of these URLs ended.

    Apache counts what it means to send, and does not notice a file that becomes shorter meanwhile,
    over TLS or HTTP/2. A file that was deleted is sent to its end.

    :param urls: patterns of what a ``Location`` begins with.
    """
    # An expression sees the request as it came and the application's answer; the headers of the
    # request are those of the hand-off, too.
    is_handoff = f"%{{resp:Location}} =~ m#^(?:{'|'.join(urls)})#"
    file, size = (f"req_novary('Flask-Delegate-{name}')" for name in ("File", "Size"))
    is_shrunk = f"(-f {file} && filesize({file}) -lt {size})"
    return (
        f'LogFormat "{APACHE_FORMAT}" flask_delegate\n'
        f'LogFormat "{APACHE_FORMAT}{APACHE_SHRUNK}" flask_delegate_shrunk\n'
        f'CustomLog "{log}" flask_delegate "expr={is_handoff} && !{is_shrunk}"\n'
        f'CustomLog "{log}" flask_delegate_shrunk "expr={is_handoff} && {is_shrunk}"\n'
    )
