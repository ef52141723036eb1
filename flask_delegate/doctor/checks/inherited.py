"""What the server's other configuration does to a file: here, to one that much of it is for.

It is a page of HTML with a name outside ASCII, beside compressed files of other content. See the
context of each directive in nginx's documentation, and how Apache merges sections.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

from ...resolve import UTF_8_CURE
from ..finding import Finding, failure, ok, skipped, warning
from ..places import place_of
from ..probe import Visit, probe_file
from ..requests.client import Reply
from ..route import FILE, PAGE
from .delivery import differences
from .refusals import HANDED_OFF, described, reason

_CODINGS = "gzip, br, zstd"
_OTHER = b"another file, which lies beside the page"
_BESIDE = {".gz": gzip.compress(_OTHER, mtime=0), ".br": _OTHER, ".zst": _OTHER}
_SUBSTITUTION = "substitution or insertion (sub_filter, SUBSTITUTE, mod_pagespeed)"
# The page's lines, and what would change each.
_LINES = {
    "<html><head>": _SUBSTITUTION,
    '<!--#echo var="DATE_GMT" -->': "server-side includes (ssi, INCLUDES)",
    "{{now}}": "templates (Caddy)",
    "</head><body>": _SUBSTITUTION,
    "größe: 1 €, 日本": "a conversion of characters (charset, mod_charset_lite)",
    "http://localhost/": "a substitution of addresses (sub_filter, SUBSTITUTE, mod_proxy_html)",
    "</body></html>": _SUBSTITUTION,
}
_PAGE = "\n".join(["", *_LINES, ""]).encode()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A page, and how it arrived.

    :param plain: for a client that accepts no coding.
    :param coded: for one that accepts every coding.
    :param later: at the same URL, after another file had been put into its place.
    """

    visit: Visit
    plain: Reply
    coded: Reply
    later: Reply


def _altered(seen: _Seen) -> str:
    if seen.plain.body == seen.visit.probe.content or _other_file(seen):
        return ""
    lines = seen.plain.body.split(b"\n")
    lost = [_LINES[line] for line in _LINES if line.encode() not in lines]
    return f"changed by {' and '.join(dict.fromkeys(lost)) or 'an addition (add_after_body)'}"


def _other_file(seen: _Seen) -> str:
    for reply in (seen.plain, seen.coded):
        body = reply.body
        with suppress(zlib.error):
            body += zlib.decompressobj(wbits=31).decompress(body, len(_PAGE))
        if _OTHER in body:
            return "the content of another file was sent, one with .gz, .br or .zst behind its name"
    return ""


def _coding(seen: _Seen) -> str:
    coding = "" if _other_file(seen) else seen.coded.header("Content-Encoding")
    return coding and f"compressed on its way, with {coding}"


def _headers(seen: _Seen) -> str:
    return "; ".join(differences(seen.visit, seen.plain))


def _length(seen: _Seen) -> str:
    length = seen.plain.header("Content-Length")
    return "" if length == str(len(seen.plain.body)) else f"Content-Length is {length!r}"


def _age(seen: _Seen) -> str:
    old = seen.later.body == seen.plain.body
    return "sent as it was before another file was put into its place" if old else ""


@dataclass(frozen=True, slots=True)
class _Family:
    """What a part of a server's configuration may do.

    :param fault: returns what it did, or nothing.
    """

    check: str
    fault: Callable[[_Seen], str]
    good: str
    why: str
    fix: str
    tell: Callable[..., Finding] = failure


def inherited(visit: Visit, encoding: str) -> Iterator[Finding]:
    """Ask for the page.

    :param encoding: of names of files, in the server's Python.
    """
    try:
        with probe_file(visit.area, _PAGE, ending=PAGE, beside=_BESIDE) as page:
            yield from _examine(replace(visit, probe=page), encoding)
    except UnicodeEncodeError:
        seen = f"the doctor's own encoding of names, {sys.getfilesystemencoding()}, is too small"
        yield skipped("names", seen, fix="Run it with LANG=C.UTF-8.")


def _examine(visit: Visit, encoding: str) -> Iterator[Finding]:
    url = visit.path(FILE)
    plain = visit.fetch(url)
    if plain.status != HTTPStatus.OK:
        why, fix = reason(plain, HANDED_OFF)
        if encoding.lower() not in ("utf-8", "utf8"):
            why, fix = f"Python on the server writes names of files in {encoding}.", UTF_8_CURE
        yield failure("names", f"{described(plain)}, for a name with {PAGE!r} in it.", why, fix)
        return
    yield ok("names", "a file whose name is not ASCII arrives")
    coded = visit.fetch(url, Accept_Encoding=_CODINGS)
    place = place_of(visit.area)
    place.delete(visit.probe.name)
    place.put(visit.probe.name, _PAGE + visit.probe.marker)
    seen = _Seen(visit, plain, coded, visit.fetch(url))
    for family in _FAMILIES:
        fault = family.fault(seen)
        if fault:
            yield family.tell(family.check, f"{plain.url}: {fault}.", family.why, family.fix)
        else:
            yield ok(family.check, family.good)


_AGAIN = (
    "Write the server's configuration again, where the server runs, and see that no rule that is"
    " merged later applies to the area: "
)
_FAMILIES = (
    _Family(
        "filters",
        _altered,
        "a page of HTML arrives byte for byte",
        "Whoever may store a file may run what a filter obeys, such as includes of other files;"
        " and downloads are not what was stored.",
        f"{_AGAIN}ssi, sub_filter, addition, charset; SetOutputFilter, AddOutputFilter,"
        " AddOutputFilterByType, FilterChain. In front of the server, except the area. In Caddy no"
        " generated rule can undo templates: keep them from what the application answers.",
    ),
    _Family(
        "siblings",
        _other_file,
        "no compressed file beside it is sent in its place",
        "Nobody authorised that other file, and it need not have the same content.",
        f"{_AGAIN}gzip_static, brotli_static, zstd_static; MultiViews, rewriting to .gz files.",
    ),
    _Family(
        "codings",
        _coding,
        "it arrives uncompressed",
        "What is compressed on its way has neither ranges nor a strong ETag, so that no download"
        " can be resumed; the kernel cannot send it; and its length may reveal its content.",
        f"{_AGAIN}gzip, brotli, zstd; mod_deflate, mod_brotli. Flask-Compress and proxies in front"
        " do it as well, and to files that Python streams the server does it rightly.",
        warning,
    ),
    _Family(
        "policies",
        _headers,
        "its type and policies arrive, once each",
        "Public or doubled policies let caches keep private files; a wrong type, or no sandbox,"
        " lets a stored page run in the site's name.",
        f"{_AGAIN}expires, add_header, more_set_headers, charset; Header, ExpiresActive,"
        " ForceType, AddDefaultCharset; in Caddy, a deferred header (>); in lighttpd,"
        " setenv.add-response-header.",
    ),
    _Family(
        "length",
        _length,
        "its length is announced",
        "Without it there is no progress, and a download that is cut off looks complete.",
        "Remove add_trailer, which no generated rule can undo, and filters from the area.",
    ),
    _Family(
        "fresh",
        _age,
        "a file that replaces it is sent at once",
        "Old content is sent, even of a file that was deleted; a cache may send it to others.",
        f"{_AGAIN}open_file_cache; proxy_cache, CacheEnable, and caches in front that ignore"
        " 'Cache-Control: private'; in lighttpd, server.stat-cache-engine outside of any block.",
    ),
)
