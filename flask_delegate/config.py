"""Every ``DELEGATE_*`` key, parsed once into a frozen :class:`Settings` and checked at start-up."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flask import Flask

from .areas import Area, check_disjoint, lies_within, make_area
from .exceptions import ConfigurationError, UnknownArea

AUTO = "auto"
STREAM = "stream"
BACKENDS = (AUTO, "mod_wsgi", "nginx", "xsendfile", STREAM)

DEFAULT_AREA = "default"
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "DELEGATE_ROOT": None,
        "DELEGATE_URL": "/private/",
        "DELEGATE_SIGNED_URL": None,
        "DELEGATE_AREAS": {},
        "DELEGATE_BACKEND": AUTO,
        "DELEGATE_HEADERS": {},
    }
)

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
# Printable ASCII; Apache and nginx would expand '$', and Apache reads 'expr=' as an expression.
_HEADER_VALUE = re.compile(r"(?!expr=)(?:[\x21-\x7e]|(?<=[^ ]) (?=[^ ]))+")
_OWN_HEADERS = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "date",
        "etag",
        "expires",
        "keep-alive",
        "last-modified",
        "location",
        "server",
        "set-cookie",
        "status",
        "trailer",
        "transfer-encoding",
        "vary",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says.

    :param areas: by name.
    :param headers: constant headers that every delivered file carries.
    :param secrets: what tokens and fingerprints are derived from: the key in use, then those that
        it has replaced. None where nothing is handed off.
    """

    areas: Mapping[str, Area]
    headers: Mapping[str, str]
    secrets: tuple[bytes, ...] = field(repr=False)

    def area(self, name: str | None) -> Area:
        """Find an area; ``None`` is the default one, or the only one.

        :raises UnknownArea: if there is no such area.
        """
        if name is None and DEFAULT_AREA not in self.areas and len(self.areas) == 1:
            return next(iter(self.areas.values()))
        try:
            return self.areas[DEFAULT_AREA if name is None else name]
        except KeyError:
            raise UnknownArea(name, tuple(self.areas)) from None


def parse(app: Flask) -> Settings:
    """Read and check an application's settings.

    :raises ConfigurationError: naming the key and the cure.
    """
    areas = _areas(app.config)
    for area in areas:
        _check_not_static(app, area)
    only_streams = all(area.backend == STREAM for area in areas)
    return Settings(
        areas=MappingProxyType({area.name: area for area in areas}),
        headers=MappingProxyType(_headers(app.config["DELEGATE_HEADERS"])),
        secrets=() if only_streams else _secrets(app),
    )


def _areas(config: Mapping[str, Any]) -> list[Area]:
    backend = _backend(config["DELEGATE_BACKEND"], "DELEGATE_BACKEND")
    areas = []
    if config["DELEGATE_ROOT"] is not None or not config["DELEGATE_AREAS"]:
        areas.append(
            make_area(
                DEFAULT_AREA,
                config["DELEGATE_ROOT"],
                config["DELEGATE_URL"],
                backend,
                config["DELEGATE_SIGNED_URL"],
                root_key="DELEGATE_ROOT",
                url_key="DELEGATE_URL",
                signed_url_key="DELEGATE_SIGNED_URL",
            )
        )
    for name, entry in _named(config["DELEGATE_AREAS"]).items():
        key = f"DELEGATE_AREAS[{name!r}]"
        _check_entry(name, entry, key)
        areas.append(
            make_area(
                name,
                entry["root"],
                entry["url"],
                _backend(entry.get("backend", backend), f"{key} backend"),
                entry.get("signed_url"),
                root_key=f"{key} root",
                url_key=f"{key} url",
                signed_url_key=f"{key} signed_url",
            )
        )
    check_disjoint(areas)
    return areas


def _named(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            "DELEGATE_AREAS",
            f"{value!r} is not a mapping.",
            'Write {"reports": {"root": "/srv/reports", "url": "/private/reports/"}}.',
        )
    return value


def _check_entry(name: object, entry: Any, key: str) -> None:
    if not isinstance(name, str) or name == DEFAULT_AREA or not name.isidentifier():
        raise ConfigurationError(
            key,
            "is not a usable name.",
            f"Use letters, digits and '_'; {DEFAULT_AREA!r} is the area of DELEGATE_ROOT.",
        )
    if not isinstance(entry, Mapping) or set(entry) - {"backend", "signed_url"} != {
        *("root", "url")
    }:
        raise ConfigurationError(
            key,
            f"{entry!r} does not fit.",
            "Give it 'root', 'url' and, if need be, 'backend' and 'signed_url'.",
        )


def _check_not_static(app: Flask, area: Area) -> None:
    """Flask serves its static folder to everybody."""
    if app.static_folder is None:
        return
    default = area.name == DEFAULT_AREA
    static = os.path.realpath(app.static_folder)
    if lies_within(area.root, static) or lies_within(static, area.root):
        raise ConfigurationError(
            "DELEGATE_ROOT" if default else f"DELEGATE_AREAS[{area.name!r}] root",
            f"{area.root!r} overlaps the static folder {static!r}, which is public.",
            "Keep private files elsewhere.",
        )
    static_url = f"{app.static_url_path}/"
    for url in area.urls:
        if static_url.startswith(url) or url.startswith(static_url):
            kind = "url" if url == area.url else "signed_url"
            raise ConfigurationError(
                f"DELEGATE_{kind.upper()}" if default else f"DELEGATE_AREAS[{area.name!r}] {kind}",
                f"{url!r} overlaps the static files' URL {static_url!r}.",
                "Choose a URL that nothing else has.",
            )


def _backend(value: Any, key: str) -> str:
    if value not in BACKENDS:
        raise ConfigurationError(
            key, f"{value!r} is not a backend.", f"Use one of {', '.join(BACKENDS)}."
        )
    return str(value)


def _secrets(app: Flask) -> tuple[bytes, ...]:
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
    return tuple(_secret(value) for value in (app.secret_key, *fallbacks))


def _secret(value: object) -> bytes:
    if not value or not isinstance(value, str | bytes):
        raise ConfigurationError(
            "SECRET_KEY",
            "is not set to text or bytes, and the hand-off's token is derived from it.",
            "Set it before Delegate(app), for example to the output of"
            " python -c 'import secrets; print(secrets.token_hex())'.",
        )
    return value.encode() if isinstance(value, str) else value


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            "DELEGATE_HEADERS", f"{value!r} is not a mapping.", 'Write {"Referrer-Policy": "…"}.'
        )
    for name, content in value.items():
        _check_header(name, content)
    if len({name.lower() for name in value}) < len(value):
        raise ConfigurationError(
            "DELEGATE_HEADERS", "names a header twice.", "Upper and lower case are the same."
        )
    return dict(value)


def _check_header(name: Any, content: Any) -> None:
    key = f"DELEGATE_HEADERS[{name!r}]"
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError(key, "is not a header's name.", "Use letters, digits and '-'.")
    if name.lower() in _OWN_HEADERS:
        raise ConfigurationError(
            key, "is the extension's or the server's to set.", "Take it out of the mapping."
        )
    if name.lower() == "x-content-type-options" and content != "nosniff":
        raise ConfigurationError(key, "is always sent as nosniff.", "Take it out of the mapping.")
    if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content) or "$" in content:
        raise ConfigurationError(
            key,
            f"{content!r} cannot stand in a server's configuration.",
            "Use one line of printable ASCII without '$' and without doubled blanks.",
        )
