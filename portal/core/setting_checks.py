"""What settings may be: a setting that would be stumbled over later is refused at the start.

Each check raises :exc:`SettingError` with the setting's name, its value and the cure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import click

from .datafolder import KEY_LENGTH

LARGEST = 2**63 - 1
"""The largest number in the database."""
LONGEST_DAYS = 36_500
"""Dates that far from today can still be computed."""
_LONGEST = 4096
"""Characters of a text: what a path can have."""
_SHOWN = 100
"""Characters of a value in a message."""

_HOST = re.compile(r"(\w(?:[\w.-]*\w)?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = (r"/[!-:<-~]*", "a path, such as /portal/, of ASCII without blanks and semicolons")
_TEXTS = {
    "APPLICATION_ROOT": _PATH,
    "PREFERRED_URL_SCHEME": (r"https?", "http or https"),
    # A token, as RFC 6265 says.
    "SESSION_COOKIE_NAME": (
        r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}",
        "a cookie's name: 1 to 64 letters, digits or other characters such as - and _",
    ),
    "SESSION_COOKIE_PATH": _PATH,
    "SESSION_COOKIE_SAMESITE": (r"Lax|Strict", "Lax or Strict"),
}
"""The pattern for all of a text, and what that is."""

_NUMBERS = {
    "MAX_COOKIE_SIZE": LARGEST,
    "MAX_FORM_MEMORY_SIZE": LARGEST,
    "SEND_FILE_MAX_AGE_DEFAULT": LONGEST_DAYS * 86_400,
}
"""Flask's numbers, which may be missing, and their largest values."""

_SWITCHES = {"DEBUG", "PROPAGATE_EXCEPTIONS", "TEMPLATES_AUTO_RELOAD", "TRAP_BAD_REQUEST_ERRORS"}
"""Flask's settings that are true, false or missing."""

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
    for key, (pattern, meaning) in _TEXTS.items():
        value = config[key]
        if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            raise SettingError(f"PORTAL_{key} must be {meaning}, not {shown(value)}.")
    for key in ("SERVER_NAME", "SESSION_COOKIE_DOMAIN"):
        if config[key] is not None and not _is_host(
            config[key], may_be_suffix=key != "SERVER_NAME"
        ):
            raise SettingError(
                f"PORTAL_{key} must be a host, such as files.example.org, not {shown(config[key])}."
            )
    _check_cookie(config)


def check_kinds(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check what Flask and others read later: they would take the text ``no`` for true."""
    for key, value in config.items():
        default = defaults.get(key)
        is_switch = isinstance(default, bool) or (key in _SWITCHES and value is not None)
        if is_switch and not isinstance(value, bool):
            raise SettingError(f"PORTAL_{key} must be true or false, not {shown(value)}.")
        if isinstance(default, str) and not isinstance(value, str):
            raise SettingError(f"PORTAL_{key} must be text, not {shown(value)}.")
    for key, most in _NUMBERS.items():
        if config[key] is not None:
            check_number(key, config[key], 0, most)
    _check_list(config, "TRUSTED_HOSTS", _is_host, 'hosts, such as ["files.example.org"]')
    keys = f"earlier secret keys, each of {KEY_LENGTH} characters or more"
    _check_list(config, "SECRET_KEY_FALLBACKS", lambda key: len(key) >= KEY_LENGTH, keys)


def check_base_url(value: object) -> None:
    """Check the address that links begin with."""
    if value is None:
        return
    parts = None
    if isinstance(value, str) and not _UNUSABLE_IN_ADDRESSES.search(value):
        try:
            parts = urlsplit(value)
            parts = parts if parts.port != 0 else None
        except ValueError:  # brackets, or a port
            parts = None
    if not parts or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(
            "PORTAL_BASE_URL must be the portal's address, such as https://files.example.org/,"
            f" not {shown(value)}."
        )
    if "@" in parts.netloc or set("?#") & set(str(value)):
        raise SettingError(
            "PORTAL_BASE_URL must be an address without a user, a password, '?' and '#', because"
            f" links continue it. Use {parts.scheme}://{parts.netloc.rpartition('@')[2]}/."
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


def _is_host(value: object, *, may_be_suffix: bool = True) -> bool:
    """Return whether it is a host, with a port if it has one, or ``.`` and the end of one."""
    if not isinstance(value, str):
        return False
    found = _HOST.fullmatch(value.removeprefix(".") if may_be_suffix else value)
    try:
        return found is not None and bool(found[1].encode("idna"))
    except UnicodeError:  # a label is empty, or longer than 63 characters
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


def _check_cookie(config: Mapping[str, Any]) -> None:
    """Check what browsers ask of a cookie with such a name, which they would not keep."""
    name = config["SESSION_COOKIE_NAME"]
    if name.startswith(("__Secure-", "__Host-")) and not config["SESSION_COOKIE_SECURE"]:
        raise SettingError(
            f"PORTAL_SESSION_COOKIE_NAME is {name}, and browsers keep such a cookie only with"
            " PORTAL_SESSION_COOKIE_SECURE. Set that to true, or choose another name."
        )
    path = config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"]
    if name.startswith("__Host-") and (config["SESSION_COOKIE_DOMAIN"] or path != "/"):
        raise SettingError(
            f"PORTAL_SESSION_COOKIE_NAME is {name}, and browsers keep such a cookie only without"
            " PORTAL_SESSION_COOKIE_DOMAIN and with the path /. Choose another name."
        )
