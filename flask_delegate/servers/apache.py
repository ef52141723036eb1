"""What the servers based on Apache share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from wsgiref.types import WSGIEnvironment

from flask import Response
from werkzeug.datastructures import Headers

from ..delivery import Delivery
from ..receipts import APACHE_FORMAT, APACHE_SHRUNK
from . import codec

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


# What another part of the server's configuration sets 'always' is kept apart from what is set on
# success. It is removed before ours is set, or the client would see the header twice.
_OWN_HEADERS = ("Content-Disposition", "Cache-Control", "X-Content-Type-Options", "Expires")

# What the guard of every area is made of, in sections that are merged last.
GRANTED = """\
        Require all granted
        <IfModule access_compat_module>
            Satisfy All
        </IfModule>
"""
DENIED = """\
        Require all denied
        <IfModule access_compat_module>
            Satisfy All
        </IfModule>
"""
# Bytes leave as they are, whatever the server's configuration says for all files.
UNTOUCHED = """\
        SetEnv no-gzip 1
        SetEnv no-brotli 1
        <IfModule rewrite_module>
            RewriteEngine Off
        </IfModule>
        SetOutputFilter RATE_LIMIT
        <IfModule filter_module>
            FilterChain !
        </IfModule>
"""

METHOD_RULE = """\
# A view sees HEAD as what it is, so that it does not count what is not sent.
<IfModule wsgi_module>
    WSGIMapHEADToGET Off
</IfModule>
"""
LOGGED_METHOD = 'SetEnvIfExpr "%{THE_REQUEST} =~ m#^([A-Z]+) #" DELEGATE_METHOD=$1'
LOGGED_RULES = (
    "# For the log: the request's own method, which mod_wsgi has made GET by now; the file, and its"
    " size before it is sent.",
    LOGGED_METHOD,
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


def handed_off(delivery: Delivery, location: str) -> Response:
    """Return the response whose ``Location`` mod_wsgi follows."""
    # Where Apache knows no type it keeps this one, which must not be Flask's text/html.
    headers = [
        ("Location", location),
        ("Content-Type", delivery.content_type),
        ("Content-Length", "0"),
    ]
    response = HandedOff(headers=headers)
    response.autocorrect_location_header = False  # for an application's own response class
    return response


class HandedOff(Response):
    """A response whose ``Location`` is for Apache: Werkzeug need not parse and quote it again."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002
        """Return the headers themselves, which nobody changes on their way out."""
        return self.headers


def metadata(headers: Mapping[str, str], captures: Iterable[tuple[str, str]]) -> list[str]:
    """Return the rules that turn a hand-off's query into headers.

    :param headers: what every file of the area carries.
    :param captures: expressions on the query, and the variables that they set.
    """
    return [
        "# The query's values, and what every file carries.",
        *(f'SetEnvIfExpr "{pattern}" {names}' for pattern, names in captures),
        *(f"Header always unset {name}" for name in (*_OWN_HEADERS, *headers)),
        f"Header always unset Content-Security-Policy env={codec.POLICY.variable}",
        f'Header set Content-Type "{_unescaped(codec.CONTENT_TYPE)}"',
        f'Header set Content-Disposition "{_unescaped(codec.DISPOSITION)}"',
        'Header set Cache-Control "private, no-cache"',
        f'Header set Cache-Control "expr=private, max-age=%{{reqenv:{codec.MAX_AGE.variable}}}"'
        f" env={codec.MAX_AGE.variable}",
        "Header unset Expires",
        f'Header set Content-Security-Policy "{_unescaped(codec.POLICY)}"'
        f" env={codec.POLICY.variable}",
        f"Header always unset Repr-Digest env={codec.DIGEST.variable}",
        f'Header set Repr-Digest "{_unescaped(codec.DIGEST)}" env={codec.DIGEST.variable}',
        "# It would be about the page of the error.",
        'Header unset Repr-Digest "expr=%{REQUEST_STATUS} -ge 400"',
        'Header set X-Content-Type-Options "nosniff"',
        "Header merge Vary Cookie",
        *(f'Header set {name} "{_quoted(value)}"' for name, value in headers.items()),
    ]


def _unescaped(field: codec.Field) -> str:
    return f"expr=%{{unescape:%{{reqenv:{field.variable}}}}}"


def _quoted(value: str) -> str:
    """Quote for the configuration's parser, and for mod_headers, which expands '%'."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
