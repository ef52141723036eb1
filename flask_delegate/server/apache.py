"""The Apache configuration that goes with an application's settings.

For each area: the alias that makes its files addressable, the guard that lets nobody but a hand-off
of this application have them, and the rules that turn the hand-off's query into headers. Sources:
Apache 2.4's manual on sections (``<If>`` is merged last), ``Header``, ``SetEnvIfExpr`` and
expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import indent

from ..areas import Area
from ..exceptions import ConfigurationError
from ..receipts import APACHE_FORMAT
from ..servers import codec, signing
from ..servers.handshake import environ_key

TIME_RULE = (
    "# The time of a request, which signed URLs are held to, and which no client can send.\n"
    f'RequestHeader set {signing.TIME_HEADER} "%t" early\n'
)
RECEIPT_MODULES = ("log_config", "logio")
MODULES = ("alias", "authz_core", "env", "headers", "ratelimit", "setenvif")
# Extensions that a server may map to a Content-Encoding, which no rule on headers could take away.
_CODED = ".Z .br .bz2 .deflate .gz .lz .lzma .svgz .taz .tbz .tbz2 .tgz .txz .tz .xz .zst"
_PROCESS_GROUP = re.compile(r"[A-Za-z0-9._:@/-]+")

# What another part of the server's configuration sets 'always' is kept apart from what is set on
# success. It goes before ours is set, or the client would see the header twice.
_OWN_HEADERS = ("Content-Disposition", "Cache-Control", "X-Content-Type-Options", "Expires")


def area_rules(
    area: Area,
    token: str,
    headers: Mapping[str, str],
    signing_keys: Sequence[str] = (),
    *,
    process_group: str | None = None,
    sendfile: bool = True,
) -> str:
    """Write the rules for one area.

    :param token: what a hand-off's query must carry.
    :param headers: constant headers for every file.
    :param signing_keys: of its signed URLs, if it has them: the one in use, then replaced ones.
    :param process_group: the one daemon process group that may hand off; none: any of the server.
    :param sendfile: let the kernel send the file. Without it each slow download holds a thread;
        network file systems may need it off.
    :raises ConfigurationError: if ``process_group`` could not be a group's name.
    """
    handoff = _condition(token, process_group)
    opened_by, ways = {area.url: handoff}, [handoff]
    if area.signed_url:
        opened_by[area.signed_url] = signing.condition(signing_keys)
        # The signature is looked at once, by the URL's own guard below.
        ways.append(f"%{{REQUEST_URI}} =~ m#^{re.escape(area.signed_url)}#")
    condition = " || ".join(f"({one})" for one in ways)
    lines = [
        *(f'Alias "{url}" "{area.root}/"' for url in opened_by),
        f'<Directory "{area.root}/">',
        *_indented(_closed_folder(sendfile=sendfile)),
        f'    <If "{condition}">',
        *_indented(_granted(), 2),
        *_indented(_plain_bytes(), 2),
        *_indented(_metadata(headers), 2),
        "    </If>",
        "    <Else>",
        *_indented(_denied(), 2),
        "    </Else>",
        "</Directory>",
        *(line for url, one in opened_by.items() for line in _guarded_url(url, one)),
    ]
    return "\n".join(lines) + "\n"


def _guarded_url(url: str, condition: str) -> list[str]:
    return [
        # The folder's guard covers the files through any alias. Sections for a URL are merged after
        # those for a folder, so this one also outlives an .htaccess file that somebody switched on.
        f'<Location "{url}">',
        *_indented(_if_module("proxy", ['ProxyPass "!"'])),
        f'    <If "!({condition})">',
        *_indented(_denied(), 2),
        "    </If>",
        "</Location>",
    ]


def handshake_rule(area: Area, fingerprint: str, process_group: str | None) -> str:
    """Write the line that shows the application that an area's rules are loaded."""
    shown = area.url if process_group is None else f"{area.url} {process_group}"
    return f'SetEnv {environ_key(fingerprint)} "{shown}"\n'


def receipts_rule(areas: Iterable[Area], log: str) -> str:
    """Have a line written for each hand-off, for :mod:`flask_delegate.receipts` to read.

    The condition looks at the application's answer, as ``env=`` would at the client's request.

    :param log: the log's path.
    """
    urls = "|".join(re.escape(area.url) for area in areas)
    return (
        f'LogFormat "{APACHE_FORMAT}" flask_delegate\n'
        f'CustomLog "{log}" flask_delegate "expr=%{{resp:Location}} =~ m#^(?:{urls})#"\n'
    )


def rewrite_rules(area: Area) -> str:
    """Keep the rewrite rules that follow from redirecting a hand-off, token and all, elsewhere."""
    rules = [f'RewriteRule "^{re.escape(url)}" - [END]' for url in area.urls]
    return "\n".join(_if_module("rewrite", ["RewriteEngine On", *rules])) + "\n"


def module_rules(names: Iterable[str], *, load: bool) -> str:
    """Write what happens where Apache lacks a module that the rules use.

    :param names: without ``mod_``.
    :param load: load it, as fits mod_wsgi-express; otherwise stop with a message.
    """
    return "".join(_module_rule(name, load=load) for name in names)


def _module_rule(name: str, *, load: bool) -> str:
    if load:
        action = f'LoadModule {name}_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so"'
    else:
        action = f'Error "Flask-Delegate needs mod_{name}. On Debian and Ubuntu: a2enmod {name}"'
    return f"<IfModule !{name}_module>\n    {action}\n</IfModule>\n"


def _condition(token: str, process_group: str | None) -> str:
    group = "reqenv('REDIRECT_mod_wsgi.process_group')"
    if process_group is None:
        origin = f"-n {group}"
    elif _PROCESS_GROUP.fullmatch(process_group):
        origin = f"{group} == '{process_group}'"
    else:
        raise ConfigurationError(
            "--process-group",
            f"{process_group!r} is not a process group's name.",
            "Give the name that WSGIDaemonProcess has.",
        )
    return f"{origin} && %{{QUERY_STRING}} =~ m#{codec.query_pattern(token)}#"


def _closed_folder(*, sendfile: bool) -> list[str]:
    return [
        "# No listings, no symbolic links, no .htaccess, no redirects that show this URL.",
        "Options None",
        "AllowOverride None",
        *_if_module("dir", ["DirectorySlash Off", "DirectoryIndex disabled"]),
        *_if_module("speling", ["CheckSpelling Off"]),
        f"EnableSendfile {'On' if sendfile else 'Off'}",
        "FileETag MTime Size",
    ]


def _granted() -> list[str]:
    return [
        "# A hand-off by a daemon process of this server, with the token.",
        "Require all granted",
        *_if_module("access_compat", ["Satisfy All"]),
    ]


def _denied() -> list[str]:
    return ["Require all denied", *_if_module("access_compat", ["Satisfy All"])]


def _plain_bytes() -> list[str]:
    return [
        "# Whatever the name, the file is bytes: no scripts, type maps, codings or compression.",
        "SetHandler default-handler",
        "ForceType application/octet-stream",
        *_if_module("mime", [f"RemoveEncoding {_CODED}"]),
        "SetEnv no-gzip 1",
        "SetEnv no-brotli 1",
        *_if_module("rewrite", ["RewriteEngine Off"]),
        "SetOutputFilter RATE_LIMIT",
    ]


def _metadata(headers: Mapping[str, str]) -> list[str]:
    return [
        "# The query's values, and what every file carries.",
        *_captures(),
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
        'Header set X-Content-Type-Options "nosniff"',
        "Header merge Vary Cookie",
        *(f'Header set {name} "{_quoted(value)}"' for name, value in headers.items()),
    ]


def _captures() -> Iterable[str]:
    # mod_wsgi has made the method a GET by now; the request line still tells.
    yield 'SetEnvIfExpr "%{THE_REQUEST} =~ m#^([A-Z]+) #" DELEGATE_METHOD=$1'
    # What each query has is found at once. A signed URL has no id.
    named, *described = (field for field in codec.FIELDS if field.required)
    always = f"(?:{_capture(named)}&)?" + "&".join(map(_capture, described))
    names = (f"{field.variable}=${n}" for n, field in enumerate((named, *described), 1))
    yield f'SetEnvIfExpr "{_in_query(always)}" {" ".join(names)}'
    for field in codec.FIELDS:
        if not field.required:
            yield f'SetEnvIfExpr "{_in_query(_capture(field))}" {field.variable}=$1'


def _capture(field: codec.Field) -> str:
    return f"{field.key}=({field.pattern})"


def _in_query(pattern: str) -> str:
    return f"%{{QUERY_STRING}} =~ m#&{pattern}(?:&|$)#"


def _unescaped(field: codec.Field) -> str:
    return f"expr=%{{unescape:%{{reqenv:{field.variable}}}}}"


def _quoted(value: str) -> str:
    """Quote for the configuration's parser, and for mod_headers, which expands '%'."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _if_module(name: str, lines: list[str]) -> list[str]:
    return [f"<IfModule {name}_module>", *_indented(lines), "</IfModule>"]


def _indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return [indent(line, "    " * depth) for line in lines]
