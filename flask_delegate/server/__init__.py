"""What the web server must be told, generated from the application's settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..areas import Area
from ..exceptions import ConfigurationError
from ..servers.handshake import Mark
from . import apache, nginx, xsendfile

Marked = Iterable[tuple[Area, Sequence[Mark]]]
"""Areas, each with its mark, and those from keys that were replaced."""


def rules(area: Area, token: str, headers: Mapping[str, str], signing_key: str) -> str:
    """Write the rules that a server has for an area, with the default options.

    :param token: the area's token.
    :param headers: constant headers for every file.
    :param signing_key: the key of its signed URLs, if it has them.
    """
    match area.backend:
        case "nginx":
            return nginx.area_rules(area, token, headers)
        case "xsendfile":
            return xsendfile.area_rules(area)
        case "stream":
            return ""
        case _:
            return apache.area_rules(area, token, headers, [signing_key])


def apache_document(
    areas: Marked,
    headers: Mapping[str, str],
    *,
    load_modules: bool,
    process_group: str | None,
    sendfile: bool,
    receipts: str | None,
) -> str:
    """Write Apache's configuration for the areas that it sends the files of.

    :param load_modules: load what is missing, as fits mod_wsgi-express; otherwise stop, in words.
    :param receipts: the path of a log of hand-offs.
    :raises ConfigurationError: if there is no such area, or a wrong process group.
    """
    modules: dict[str, None] = {}
    parts = []
    redirected = []
    for area, (mark, *old) in areas:
        if area.backend == "xsendfile":
            modules |= dict.fromkeys(xsendfile.MODULES)
            parts.append(xsendfile.handshake_rules(area, mark.fingerprint))
            parts.append(xsendfile.area_rules(area))
        elif area.backend in ("auto", "mod_wsgi"):
            redirected.append(area)
            modules |= dict.fromkeys(apache.MODULES)
            parts.append(apache.handshake_rule(area, mark.fingerprint, process_group))
            if not load_modules:
                parts.append(apache.rewrite_rules(area))
            parts.append(
                apache.area_rules(
                    area,
                    mark.token,
                    headers,
                    [one.signing_key for one in (mark, *old)],
                    process_group=process_group,
                    sendfile=sendfile,
                )
            )
    if any(area.signed_url for area in redirected):
        parts.insert(0, apache.TIME_RULE)
    if receipts and redirected:
        modules |= dict.fromkeys(apache.RECEIPT_MODULES)
        parts.append(apache.receipts_rule(redirected, receipts))
    _check_any(parts, "Apache", "auto, mod_wsgi or xsendfile")
    return "\n".join([apache.module_rules(sorted(modules), load=load_modules), *parts])


def nginx_document(
    areas: Marked, headers: Mapping[str, str], *, sendfile: bool, receipts: str | None
) -> str:
    """Write nginx's configuration, to be included in a ``server`` block.

    :param receipts: the path of a log of hand-offs.
    :raises ConfigurationError: if nginx sends the files of no area.
    """
    chosen = [(area, mark) for area, (mark, *_) in areas if area.backend == "nginx"]
    parts = [
        nginx.area_rules(area, mark.token, headers, sendfile=sendfile, receipts=receipts)
        for area, mark in chosen
    ]
    _check_any(parts, "nginx", "nginx")
    return "\n".join([nginx.handshake_rule(mark.fingerprint for _, mark in chosen), *parts])


def _check_any(parts: list[str], server: str, backends: str) -> None:
    if not parts:
        raise ConfigurationError(
            "DELEGATE_BACKEND", f"{server} sends the files of no area.", f"Set it to {backends}."
        )
