"""Every ``DELEGATE_*`` key, parsed once into a frozen :class:`Settings` and checked at start-up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flask import Flask

from . import areas
from .areas import DEFAULT_AREA, Area, overlap, setting
from .exceptions import ConfigurationError, UnknownArea
from .servers import AUTO, SERVERS, STREAM, server_of
from .servers.mod_wsgi import ModWsgi
from .stores.sigv4 import StoreKeys
from .stores.store import Store, checked_keys, checked_store

DEFAULTS: Mapping[str, Any] = {
    "DELEGATE_ROOT": None,
    "DELEGATE_URL": "/private/",
    "DELEGATE_SIGNED_URL": None,
    "DELEGATE_AREAS": {},
    "DELEGATE_STORE_KEYS": {},
    "DELEGATE_BACKEND": AUTO,
    "DELEGATE_HEADERS": {},
    "DELEGATE_SEND_FILE": False,
    "DELEGATE_GENERATED_LIMIT": 10 * 1024**3,
    "DELEGATE_GENERATED_FREE": 1024**3,
}

_PLACES = ({"root", "url"}, {"store", "url"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
# Printable ASCII; Apache and nginx would expand '$', and Apache reads 'expr=' as an expression.
_HEADER_VALUE = re.compile(r"(?!expr=)(?:[\x21-\x7e]|(?<=[^ ]) (?=[^ ]))+")
_OWN_HEADERS = re.compile(
    "accept-ranges|cache-control|connection|content-(disposition|encoding|length|range)"
    "|content-security-policy|content-type|date|etag|expires|keep-alive|last-modified|location"
    "|server|set-cookie|status|trailer|transfer-encoding|vary"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says."""

    areas: Mapping[str, Area]  # by name
    # What tokens and fingerprints are derived from: the key in use, then those that it has
    # replaced. None where nothing is handed off.
    secrets: tuple[bytes, ...] = field(repr=False)
    send_file: bool = False  # hand off what Flask's own send_file sends
    generated_limit: int = 0  # bytes that an area's generated files may have
    generated_free: int = 0  # bytes that they leave free on the disk

    def area(self, name: str | None) -> Area:
        """Return an area; ``None`` is the default one, or the only one.

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
    _check_text(app.config)
    entries = dict(_entries(app.config))
    headers = _headers(app.config["DELEGATE_HEADERS"])
    keys = _store_keys(app.config, entries)
    found = {name: _area(name, entry, headers, keys.get(name)) for name, entry in entries.items()}
    areas.check_disjoint(tuple(found.values()))
    for area in found.values():
        _check_not_static(app, area)
    only_streams = all(area.backend == STREAM for area in found.values())
    secrets = (app.secret_key, *_fallbacks(app.config))
    return Settings(
        MappingProxyType(found),
        () if only_streams else tuple(map(_secret, secrets)),
        _send_file(app.config),
        _bytes(app.config, "DELEGATE_GENERATED_LIMIT"),
        _bytes(app.config, "DELEGATE_GENERATED_FREE"),
    )


def _bytes(config: Mapping[str, Any], key: str) -> int:
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(key, f"{value!r} is not a number of bytes.", "Write one, or 0.")
    return value


def _send_file(config: Mapping[str, Any]) -> bool:
    wanted, key = config["DELEGATE_SEND_FILE"], "DELEGATE_SEND_FILE"
    if not isinstance(wanted, bool):
        raise ConfigurationError(key, f"{wanted!r} is not True or False.", "Write True or False.")
    if wanted and config.get("USE_X_SENDFILE"):
        problem = "contradicts Flask's USE_X_SENDFILE, by which Flask names the file to the server."
        raise ConfigurationError(key, problem, "Remove USE_X_SENDFILE.")
    return wanted


def _check_text(config: Mapping[str, Any]) -> None:
    """Explain what looks like text where it was written, and is none here."""
    for key in ("SECRET_KEY", *(key for key in DEFAULTS if isinstance(DEFAULTS[key], str | None))):
        if isinstance(config[key], int | float):
            kind = type(config[key]).__name__
            raise ConfigurationError(
                key,
                f"is of type {kind}, not text.",
                "Flask reads digits, true and false in the environment as JSON. Quote them twice:"
                f" FLASK_{key}='\"…\"'.",
            )


def _fallbacks(config: Mapping[str, Any]) -> tuple[object, ...]:
    found = config.get("SECRET_KEY_FALLBACKS") or ()
    problem = ""
    if isinstance(found, str | bytes):
        problem = "is one text, each character of which would be a key."
    elif not isinstance(found, list | tuple) or not all(
        key and isinstance(key, str | bytes) for key in found
    ):
        problem = "is not a list of keys."
    if problem:
        raise ConfigurationError("SECRET_KEY_FALLBACKS", problem, 'Write a list: ["the old key"].')
    return tuple(found)


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each area's name and settings, the default area's first."""
    backend = _backend(config["DELEGATE_BACKEND"], "DELEGATE_BACKEND")
    if config["DELEGATE_ROOT"] is not None or not config["DELEGATE_AREAS"]:
        names = ("root", "url", "signed_url", "backend")
        yield DEFAULT_AREA, {name: config[setting(DEFAULT_AREA, name)] for name in names}
    named = config["DELEGATE_AREAS"]
    if not isinstance(named, Mapping):
        cure = 'Write {"reports": {"root": "/srv/reports", "url": "/private/reports/"}}.'
        raise ConfigurationError("DELEGATE_AREAS", f"{named!r} is not a mapping.", cure)
    for name, entry in named.items():
        _check_entry(name, entry)
        yield name, {"backend": backend, "signed_url": None, **entry}


def _check_entry(name: object, entry: Any) -> None:
    key = f"DELEGATE_AREAS[{name!r}]"
    if not isinstance(name, str) or name == DEFAULT_AREA or not name.isidentifier():
        cure = f"Use letters, digits and '_'; {DEFAULT_AREA!r} is the area of DELEGATE_ROOT."
        raise ConfigurationError(key, "is not a usable name.", cure)
    if not isinstance(entry, Mapping) or set(entry) - {"backend", "signed_url"} not in _PLACES:
        # Somebody may have written keys there: repeat names only.
        names = ", ".join(map(repr, entry)) if isinstance(entry, Mapping) else ""
        cure = "Set 'url', either 'root' or 'store', and, if needed, 'backend' and 'signed_url'."
        raise ConfigurationError(key, f"does not fit: it has {names or 'no settings'}.", cure)


def _store_keys(
    config: MutableMapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, StoreKeys]:
    """Return the keys of each area's store, and hide them in the configuration."""
    given = config["DELEGATE_STORE_KEYS"]
    if not isinstance(given, Mapping):
        cure = 'Write {"media": (key id, secret)}.'
        raise ConfigurationError("DELEGATE_STORE_KEYS", "is not a mapping.", cure)
    stored = [name for name, entry in entries.items() if "store" in entry]
    if unknown := sorted(map(str, set(given) - set(stored))):
        problem = f"has keys for {', '.join(unknown)}, of which none lies in a store."
        cure = "Name areas of DELEGATE_AREAS that have a 'store'."
        raise ConfigurationError("DELEGATE_STORE_KEYS", problem, cure)
    found = {name: checked_keys(given.get(name), name) for name in stored}
    config["DELEGATE_STORE_KEYS"] = {name: found[name] for name in given}
    return found


def _area(
    name: str, entry: Mapping[str, Any], headers: Mapping[str, str], keys: StoreKeys | None
) -> Area:
    store = checked_store(entry["store"], setting(name, "store"), keys) if keys else None
    area = Area(
        name,
        store.url if store else areas.checked_root(entry["root"], setting(name, "root")),
        areas.checked_url(entry["url"], setting(name, "url")),
        _backend(entry["backend"], setting(name, "backend")),
        entry["signed_url"],
        headers,
        store,
    )
    if store is not None:
        _check_store(area, store)
    if area.signed_url is not None:
        _check_signed_url(area, setting(name, "signed_url"))
    return area


def _check_store(area: Area, store: Store) -> None:
    if problem := server_of(area).why_unable(store):
        able = [one.name for one in SERVERS.values() if not one.why_unable(store)]
        cure = f"Use one of {', '.join([AUTO] * (ModWsgi.name in able) + able)}."
        raise ConfigurationError(setting(area.name, "backend"), problem, cure)
    if area.signed_url is not None:
        problem = "of an area in a store: the store's own signature would have to be in the URL."
        cure = "Leave it out, and hand the objects off."
        raise ConfigurationError(setting(area.name, "signed_url"), problem, cure)


def _check_signed_url(area: Area, key: str) -> None:
    if not server_of(area).verifies:
        verifying = [AUTO, *(server.name for server in SERVERS.values() if server.verifies)]
        problem = f"the backend {area.backend!r} cannot verify signed URLs."
        cure = f"Leave it out, or use one of the backends {', '.join(verifying)}."
        raise ConfigurationError(key, problem, cure)
    areas.checked_url(area.signed_url, key)


def _check_not_static(app: Flask, area: Area) -> None:
    """Flask serves its static folder to everybody."""
    if app.static_folder is None:
        return
    static = os.path.realpath(app.static_folder)
    if area.store is None and overlap(area.root, static):
        problem = f"{area.root!r} overlaps the static folder {static!r}, which is public."
        cure = "Keep private files elsewhere."
        raise ConfigurationError(setting(area.name, "root"), problem, cure)
    static_url = f"{app.static_url_path}/"
    for url in area.urls:
        if overlap(url, static_url):
            key = setting(area.name, "url" if url == area.url else "signed_url")
            problem = f"{url!r} overlaps the static files' URL {static_url!r}."
            raise ConfigurationError(key, problem, "Choose a URL that nothing else uses.")


def _backend(value: Any, key: str) -> str:
    if value not in (AUTO, *SERVERS):
        cure = f"Use one of {', '.join((AUTO, *SERVERS))}."
        raise ConfigurationError(key, f"{value!r} is not a backend.", cure)
    return str(value)


def _secret(value: object) -> bytes:
    if not value or not isinstance(value, str | bytes):
        raise ConfigurationError(
            "SECRET_KEY",
            "is not set to text or bytes, and the hand-off's token is derived from it.",
            "Set it before Delegate(app), for example to the output of"
            " python -c 'import secrets; print(secrets.token_hex())'.",
        )
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _headers(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        cure = 'Write {"Referrer-Policy": "…"}.'
        raise ConfigurationError("DELEGATE_HEADERS", f"{value!r} is not a mapping.", cure)
    for name, content in value.items():
        _check_header(name, content)
    if len({name.lower() for name in value}) < len(value):
        cure = "Upper and lower case are the same."
        raise ConfigurationError("DELEGATE_HEADERS", "names a header twice.", cure)
    return MappingProxyType(dict(value))


def _check_header(name: Any, content: Any) -> None:
    key = f"DELEGATE_HEADERS[{name!r}]"
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        problem, cure = "is not a header's name.", "Use letters, digits and '-'."
    elif _OWN_HEADERS.fullmatch(name.lower()):
        problem, cure = "is set by the extension or the server.", "Remove it from the mapping."
    elif name.lower() == "x-content-type-options" and content != "nosniff":
        problem, cure = "is always sent as nosniff.", "Remove it from the mapping."
    elif not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content) or "$" in content:
        problem = f"{content!r} cannot stand in a server's configuration."
        cure = "Use one line of printable ASCII without '$' and without doubled blanks."
    else:
        return
    raise ConfigurationError(key, problem, cure)
