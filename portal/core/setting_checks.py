"""What settings may be: a setting that would be stumbled over later is refused at the start.

Each check raises :exc:`SettingError` with the setting's name, its value and the cure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click

from flask_delegate.servers import AUTO, SERVERS, signing

from .datafolder import KEY_LENGTH
from .text import can_be_seen, has_invisible

LARGEST = 2**63 - 1
"""The largest number in the database."""
LONGEST_DAYS = 36_500
"""Dates that far from today can still be computed."""
_LONGEST = 4096
"""Characters of a text: what a path can have."""
_LONGEST_NAME = 40
"""Characters of the portal's name, which stands in the bar of each page."""
_SHOWN = 100
"""Characters of a value in a message."""

_HOST = re.compile(r"(\w(?:[\w.-]*\w)?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
# A token, as RFC 6265 says.
_COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
OTHER_COOKIES = ("zone", signing.COOKIE)
"""Cookies that the portal and Flask-Delegate set beside that of the session."""

_COLOUR = re.compile("#[0-9A-Fa-f]{6}")
_POSTGRESQL = re.compile(r"postgres(ql)?://[!-~]{1,4000}")
_SECRET = re.compile(r"(?i)[?&](ssl|oauth_client_)?(password|secret)=")
_SHARED_STORE = re.compile(r"rediss?(\+[a-z]+)?://\S+")
_UNUSABLE_IN_ADDRESSES = re.compile(r"[^!-~\u00a1-\U0010ffff]|[\"<>\\^`{|}]")


class SettingError(click.ClickException):
    """A setting is missing or out of its range. A command prints the message alone."""


def shown(value: object) -> str:
    """Return a value for a message, cut to what somebody would read."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def check_number(key: str, value: object, least: int, most: int | None) -> None:
    """Check that a setting is a whole number in its range."""
    if type(value) is not int or not least <= value <= (most or LARGEST):
        is_too_large = isinstance(value, int) and value > LARGEST
        end = f"to {most or LARGEST}" if most or is_too_large else "up"
        raise SettingError(
            f"PORTAL_{key} must be a whole number from {least} {end}, not {shown(value)}."
        )


def check_texts(config: Mapping[str, Any]) -> None:
    """Check each text: that it can stand in a log, and that its own rule takes it."""
    for key, value in config.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and (len(text) > _LONGEST or not text.isprintable()):
                raise SettingError(
                    f"PORTAL_{key} must be at most {_LONGEST} characters that can be printed, not"
                    f" {shown(text)}."
                )
    backend = config["DELEGATE_BACKEND"]
    if backend not in (AUTO, *SERVERS):
        raise SettingError(
            f"PORTAL_DELEGATE_BACKEND must be one of {', '.join((AUTO, *SERVERS))}, not"
            f" {shown(backend)}."
        )
    _check_cookie(config["SESSION_COOKIE_NAME"], is_secure=config["SESSION_COOKIE_SECURE"])


def check_names(given: Iterable[str], known: Sequence[str]) -> None:
    """Check that all are settings: one that is misspelt would have no effect."""
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            cure = f"Did you mean PORTAL_{near[0]}?" if near else "Remove it."
            raise SettingError(f"PORTAL_{shown(key)[1:-1]} is no setting of the portal. {cure}")


def check_switch(key: str, value: object) -> None:
    """Check that a setting is true or false: the text ``no`` would be taken for true."""
    if not isinstance(value, bool):
        raise SettingError(f"PORTAL_{key} must be true or false, not {shown(value)}.")


def check_lists(config: Mapping[str, Any]) -> None:
    """Check the settings that are lists, or missing."""
    _check_list(config, "TRUSTED_HOSTS", _is_host, 'hosts, such as ["files.example.org"]')
    keys = f"earlier secret keys, each of {KEY_LENGTH} characters or more"
    _check_list(config, "SECRET_KEY_FALLBACKS", lambda key: len(key) >= KEY_LENGTH, keys)


def check_base_url(value: object) -> None:
    """Check the address that links begin with."""
    if value is None:
        return
    parts = _read_address(value)
    if parts is None:
        raise SettingError(
            "PORTAL_BASE_URL must be the portal's address, such as https://files.example.org/,"
            f" not {shown(value)}."
        )
    if "@" in parts.netloc or set("?#") & set(str(value)):
        raise SettingError(
            "PORTAL_BASE_URL must be an address without a user, a password, '?' and '#', because"
            f" links continue it. Use {parts.scheme}://{parts.netloc.rpartition('@')[2]}/."
        )


def check_page_url(key: str, value: object) -> None:
    """Check the address of a page that all pages link to; it may be a path."""
    is_path = isinstance(value, str) and re.match("/(?!/)", value)
    if value is None or (is_path and not _UNUSABLE_IN_ADDRESSES.search(str(value))):
        return
    parts = _read_address(value)
    if parts is None:
        raise SettingError(
            f"PORTAL_{key} must be the address of a page, such as https://example.org/page, or a"
            f" path at the portal's own host, such as /page.html, not {shown(value)}."
        )
    if "@" in parts.netloc:
        raise SettingError(
            f"PORTAL_{key} must be an address without a user and a password, as everybody sees it."
        )


def check_name(value: object) -> None:
    """Check what the portal is called, which is one line that people can see."""
    text = value if isinstance(value, str) else ""
    is_plain = text == text.strip() and text.isprintable() and not has_invisible(text)
    if not (is_plain and can_be_seen(text) and len(text) <= _LONGEST_NAME):
        raise SettingError(
            f"PORTAL_NAME must be a text of 1 to {_LONGEST_NAME} characters that can be seen, such"
            f" as Files of Example Ltd, not {shown(value)}."
        )


def check_colour(value: object) -> None:
    """Check the organisation's colour: any can be read, in one of its shades."""
    if value is not None and not (isinstance(value, str) and _COLOUR.fullmatch(value)):
        raise SettingError(
            "PORTAL_COLOUR must be a colour of # and six hexadecimal digits, such as #1f5f6b, not"
            f" {shown(value)}."
        )


def check_database(value: object) -> None:
    """Check the address of the database, which may hold no password: so nothing can show one."""
    if value is None:
        return
    if not (isinstance(value, str) and _POSTGRESQL.fullmatch(value)):
        kind = shown(value.partition(":")[0] + ":…" if isinstance(value, str) else value)
        raise SettingError(
            "PORTAL_DATABASE must be the address of a PostgreSQL database, such as"
            f" postgresql://portal@localhost/portal, not {kind}. Leave it out to use SQLite in the"
            " data folder."
        )
    user = value.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if ":" in user or _SECRET.search(value):
        raise SettingError(
            "PORTAL_DATABASE has a password, which others could read. Take it out, and name a file"
            " that has it: postgresql://portal@localhost/portal?passfile=/etc/portal/pgpass"
        )


def check_path(key: str, kind: str, value: object) -> None:
    """Check the path of a file or folder."""
    if value is not None and not (isinstance(value, str) and value.startswith("/")):
        raise SettingError(
            f"PORTAL_{key} must be the absolute path of a {kind}, not {shown(value)}."
        )


def check_throttle_store(value: object) -> None:
    """Check that attempts are counted where all processes count them; it may hold a password."""
    if value is not None and not (isinstance(value, str) and _SHARED_STORE.fullmatch(value)):
        kind = shown(value.partition(":")[0] + ":…" if isinstance(value, str) else value)
        raise SettingError(
            "PORTAL_THROTTLE_STORE must be the address of a Redis server, such as"
            f" redis://localhost:6379, not {kind}. Other stores count for each process apart, or"
            " forget. Leave it out to count in the data folder."
        )


def _read_address(value: object) -> SplitResult | None:
    """Return the parts of an address of the web, or None for anything else."""
    if not isinstance(value, str) or _UNUSABLE_IN_ADDRESSES.search(value):
        return None
    try:
        parts = urlsplit(value)
        host = parts.netloc.rpartition("@")[2]
        is_usable = _is_host(host, may_be_suffix=False) and parts.hostname
    except ValueError:  # brackets, or a port
        return None
    return parts if is_usable and parts.scheme in {"http", "https"} else None


def _is_host(value: str, *, may_be_suffix: bool = True) -> bool:
    """Return whether it is a host, with a port if it has one, or ``.`` and the end of one."""
    found = _HOST.fullmatch(value.removeprefix(".") if may_be_suffix else value)
    if found is None or not 0 < int(found[2] or 1) < 2**16:
        return False
    host = found[1]
    try:
        if host[0] == "[":
            return bool(IPv6Address(host[1:-1]))
        if host.rpartition(".")[2].isdecimal():  # for browsers, it is an address
            return bool(IPv4Address(host))
        return bool(host.encode("idna"))
    except ValueError:  # a label is empty, or longer than 63 characters
        return False


def _check_list(
    config: Mapping[str, Any], key: str, is_usable: Callable[[str], bool], meaning: str
) -> None:
    value = config[key]
    if value is None:
        return
    listed = value if isinstance(value, list | tuple) else []
    if not listed or not all(isinstance(one, str) and is_usable(one) for one in listed):
        raise SettingError(f"PORTAL_{key} must be a list of {meaning}.")


def _check_cookie(name: object, *, is_secure: bool) -> None:
    """Check what browsers ask of a cookie, and that it is the only one of its name."""
    if not (isinstance(name, str) and _COOKIE.fullmatch(name)):
        raise SettingError(
            "PORTAL_SESSION_COOKIE_NAME must be a cookie's name: 1 to 64 letters, digits or other"
            f" characters such as - and _, not {shown(name)}."
        )
    if name in OTHER_COOKIES:
        raise SettingError(
            f"PORTAL_SESSION_COOKIE_NAME must be another name than {' and '.join(OTHER_COOKIES)},"
            " which are other cookies of the portal."
        )
    if name.startswith(("__Secure-", "__Host-")) and not is_secure:
        raise SettingError(
            f"PORTAL_SESSION_COOKIE_NAME is {name}, and browsers keep such a cookie only with"
            " PORTAL_SESSION_COOKIE_SECURE. Set that to true, or choose another name."
        )
