"""An Apache that serves the file at a local ``Location`` in the place of an empty 200.

mod_wsgi in daemon mode does so, and mod_proxy_scgi: RFC 3875, 6.2.2. The rules for an area are the
alias that makes its files addressable, the guard that grants them to a hand-off of this application
only, and what turns the hand-off's query into headers. Sources: Apache 2.4's manual on sections
(``<If>`` is merged last), ``Header``, ``SetEnvIfExpr`` and expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import ClassVar
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import HandoffUnavailable
from ..stores.objects import StoredObject
from ..stores.store import Store
from . import apache, codec, signing
from .base import Choices, Keyed, Server
from .handshake import Keys, environ_key, is_claimed_by_others
from .stored import apache as stored

_TIME_RULE = (
    "# The time of a request, which limits signed URLs, and which no client can send.\n"
    f'RequestHeader set {signing.TIME_HEADER} "%t" early\n'
)
# Extensions that a server may map to a Content-Encoding, which no rule on headers could remove.
_CODED = ".Z .br .bz2 .deflate .gz .lz .lzma .svgz .taz .tbz .tbz2 .tgz .txz .tz .xz .zst"
# And those that a server may filter by: no rule switches off AddOutputFilter for all.
_TEXT = ".css .csv .htm .html .js .json .md .shtml .stm .svg .txt .xht .xhtml .xml"
# The folder's guard covers the files through any alias. Sections for a URL are merged after those
# for a folder, so the URL's guard also outlives an .htaccess file that somebody switched on.
_FOLDER = (
    """\
<Directory "{root}/">
    # No listings, no symbolic links, no .htaccess, no redirects that show this URL.
    Options None
    AllowOverride None
    <IfModule dir_module>
        DirectorySlash Off
        DirectoryIndex disabled
    </IfModule>
    <IfModule speling_module>
        CheckSpelling Off
    </IfModule>
    EnableSendfile {sendfile}
    # A file that becomes shorter would end the process, and with it every download there.
    EnableMMAP Off
    <If "{condition}">
        # A hand-off by {by}, with the token.
"""
    + apache.GRANTED
    + """\
        # Whatever the name, the file is bytes: no scripts, type maps, codings or compression.
        # And whatever the server's configuration says for all files or types: it is merged first.
        Options None
        FileETag MTime Size
        MaxRanges default
        ContentDigest Off
        # Not the site's page: sent with 200, it would end up in a download that is resumed.
        ErrorDocument 416 default
        SetHandler default-handler
        ForceType application/octet-stream
        <IfModule mime_module>
            RemoveEncoding {coded}
            RemoveOutputFilter {text}
        </IfModule>
"""
    + apache.UNTOUCHED
    + """\
{metadata}
    </If>
    <Else>
"""
    + apache.DENIED
    + """\
    </Else>
</Directory>
"""
)
# A cache of this server answers before the guard does.
_URL = (
    """\
<IfModule cache_module>
    CacheDisable "{url}"
</IfModule>
<Location "{url}">
    <IfModule proxy_module>
        ProxyPass "!"
    </IfModule>
{types}\
    <If "!({condition})">
"""
    + apache.DENIED
    + """\
    </If>
</Location>
"""
)


Obstacle = tuple[str, str, str]
"""Why something cannot be handed off, the cure, and the reason in a word."""


class ApacheRedirect(Server):
    """What its ways to follow a ``Location`` have in common."""

    header: ClassVar[str] = "Location"
    verifies = True
    longest_path = apache.LONGEST_PATH
    product = apache.PRODUCT
    command: ClassVar[str] = apache.COMMAND
    sendfile_lines: ClassVar[tuple[str, str]] = ("EnableSendfile On", "EnableSendfile Off")
    longest_header: ClassVar[int] = codec.LONGEST
    """Bytes of a ``Location`` that it reads."""
    _by: ClassVar[str]
    """Who hands off, in words."""
    _arriving: ClassVar[tuple[str, ...]] = ()
    """Headers of the application's response that arrive, and would not be true of the file."""

    def check(self, environ: Mapping[str, object], area: Area, keys: Keys) -> None:
        """Check that this Apache follows a ``Location``, and that the area's guard is loaded.

        :raises HandoffUnavailable: saying what was seen and what to do.
        """
        if obstacle := self._stranger(environ) or self._other_rules(environ, area, keys):
            raise HandoffUnavailable(area.name, *obstacle)

    def _other_rules(
        self, environ: Mapping[str, object], area: Area, keys: Keys
    ) -> Obstacle | None:
        """Return what is wrong with the rules that are loaded, and the cure."""
        shown = str(environ.get(environ_key(keys.fingerprint), ""))
        url, _, group = shown.partition(" ")
        is_claimed = is_claimed_by_others(environ, area, keys)
        if url != area.url:
            reason = f"Apache did not load the configuration that guards {area.url}."
            kind = "not-loaded"
            if is_claimed:
                reason = f"the configuration loaded for {area.url} was made for other settings."
                kind = "other-settings"
            return reason, self._regenerate(), kind
        # Two guards on one URL would each refuse what the other one's token opens.
        if is_claimed:
            cure = "Remove the old one, or choose another DELEGATE_URL for the other application."
            seen = f"two configurations on this server claim {area.url}."
            return seen, cure, "two-configurations"
        return self._other_group(environ, group) if group else None

    def _other_group(self, environ: Mapping[str, object], group: str) -> Obstacle | None:
        """Return why the rules admit others only, and the cure."""
        del environ, group
        return None

    def _stranger(self, environ: Mapping[str, object]) -> Obstacle | None:
        """Return why what is in front of this request follows no ``Location``, and the cure."""
        raise NotImplementedError

    def _regenerate(self) -> str:
        """Return how to load the right configuration."""
        raise NotImplementedError

    def _origin(self, choices: Choices) -> str:
        """Return the condition for a hand-off by an application behind this server.

        :raises ConfigurationError: for choices that cannot be.
        """
        raise NotImplementedError

    def why_unable(self, store: Store | None) -> str:
        """See :class:`.Server`."""
        return stored.why_unable(store) if store else ""

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the hand-off.

        :raises HandoffUnavailable: if path and metadata do not fit in a header.
        """
        file = delivery.file
        if isinstance(file, StoredObject):
            return stored.respond(file, delivery, keys, environ, self.longest_header)
        query = codec.encode(delivery, keys.token)
        location = codec.internal_url(delivery, query, self.longest_header)
        return apache.handed_off(delivery, location)

    def mac(self, key: str, message: bytes) -> str:
        """See :class:`.Server`."""
        return signing.nested_sha1(key, message)

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return the rules for one area.

        :raises ConfigurationError: for choices that cannot be.
        """
        origin = self._origin(choices)
        if area.store is not None:
            return stored.rules(area, area.store, keys[0], (self._by, origin), choices)
        pattern = codec.query_pattern(keys[0].token)
        handoff = f"{origin} && %{{QUERY_STRING}} =~ m#{pattern}#"
        opened_by, ways, types = {area.url: handoff}, [handoff], {area.url: ""}
        if area.signed_url:
            from .signed import apache as signed  # most applications do without

            signing_keys = [one.signing_key for one in keys]
            by_cookie = signed.condition(area.signed_url, signing_keys)
            opened_by[area.signed_url] = f"{signing.condition(signing_keys)} || {by_cookie}"
            types[area.signed_url] = signed.type_rules()
            # The signature is checked once, by the URL's own guard below.
            ways.append(f"%{{REQUEST_URI}} =~ m#^{re.escape(area.signed_url)}#")
        condition = " || ".join(f"({one})" for one in ways)
        aliases = "".join(f'Alias "{url}" "{area.root}/"\n' for url in opened_by)
        metadata = [
            *apache.metadata(area.headers, codec.captures()),
            *(f"Header always unset {name}" for name in self._arriving),
            *(apache.LOGGED_RULES if choices.receipts else ()),
        ]
        folder = _FOLDER.format(
            root=area.root,
            by=self._by,
            sendfile="On" if choices.sendfile else "Off",
            condition=condition,
            coded=_CODED,
            text=_TEXT,
            metadata=indent("\n".join(metadata), " " * 8),
        )
        urls = (
            _URL.format(url=url, condition=one, types=types[url]) for url, one in opened_by.items()
        )
        return "".join([aliases, folder, *urls])

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """See :class:`.Server`."""
        needed = {name for area, _ in areas for name in self.modules_for(area)}
        needed |= {"log_config", "logio"} if choices.receipts else set()
        parts = [self._modules(needed, choices), self._preamble()]
        if any(area.signed_url for area, _ in areas):
            parts.append(_TIME_RULE)
        for area, keys in areas:
            value = self._value(area, choices)
            parts.append(f'SetEnv {environ_key(keys[0].fingerprint)} "{value}"\n')
            parts += [_rewrite_rules(area)] if self._is_site(choices) else []
            parts.append(self.rules(area, keys, choices))
        if choices.receipts:
            urls = (re.escape(area.url) for area, _ in areas)
            parts.append(apache.receipt_rules(choices.receipts, urls))
        return "\n".join(parts)

    def _is_site(self, choices: Choices) -> bool:
        """Return whether Apache loads its modules elsewhere."""
        return choices.site

    def _modules(self, needed: set[str], choices: Choices) -> str:
        """Return what happens where a module is missing."""
        return apache.module_rules(needed, load=not self._is_site(choices))

    def _preamble(self) -> str:
        """Return the rules for all areas."""
        return ""

    def _value(self, area: Area, choices: Choices) -> str:
        """Return what stands in the environ beside the fingerprint."""
        del choices
        return area.url

    def modules_for(self, area: Area) -> tuple[str, ...]:
        """See :class:`.Server`."""
        return self.modules + (stored.modules(area.store) if area.store else ())

    def fault(self, text: str, area: Area, keys: Keys) -> str:
        """Return what is wrong with a configuration file, or nothing."""
        if problem := super().fault(text, area, keys):
            return problem
        return "" if _has_guard(text, area) else "shows the right fingerprint, but altered rules"


def _has_guard(text: str, area: Area) -> bool:
    """Look for the parts without which the files lie open, outside of comments."""
    lines = [line.strip() for line in text.splitlines()]
    places = [("Directory", f"{area.root}/"), ("Location", area.url)]
    if area.store is not None:
        places = [("Location", stored.place(area))]
    found = [list(_section(lines, kind, place)) for kind, place in places]
    grants = sum(one.count("Require all granted") for one in found)
    return grants == 1 and all("Require all denied" in one for one in found)


def _section(lines: Sequence[str], kind: str, place: str) -> Iterator[str]:
    """Yield what the first section for a place has, unless it has no end."""
    opening, closing = f'<{kind} "{place}">', f"</{kind}>"
    if opening in lines:
        rest = lines[lines.index(opening) :]
        yield from rest[: rest.index(closing)] if closing in rest else ()


def _rewrite_rules(area: Area) -> str:
    """Keep later rewrite rules from redirecting a hand-off, with its token, elsewhere."""
    rules = "".join(f'    RewriteRule "^{re.escape(url)}" - [END]\n' for url in area.urls)
    return f"<IfModule rewrite_module>\n    RewriteEngine On\n{rules}</IfModule>\n"
