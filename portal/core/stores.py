"""The object store that the settings name, if any."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask_delegate import ConfigurationError
from flask_delegate.stores.sigv4 import StoreKeys
from flask_delegate.stores.store import Store, checked_keys, checked_store

from .setting_checks import SettingError, shown

TO_STORE, FROM_STORE = "to-store", "from-store"
"""The ways in which files are moved."""
_NAMES = ("key_id", "secret", "session_token")


def configured(config: Mapping[str, Any]) -> Store | None:
    """Return the store for the files' content, or none where they lie in the data folder.

    :raises SettingError: if the settings do not describe one.
    """
    if config["STORE_MOVING"] not in (None, TO_STORE, FROM_STORE):
        raise SettingError(
            f"PORTAL_STORE_MOVING must be {TO_STORE} or {FROM_STORE}, not"
            f" {shown(config['STORE_MOVING'])}. Leave it out where no files are being moved."
        )
    if config["STORE"] is None:
        if config["STORE_MOVING"] is not None:
            raise SettingError(
                f"PORTAL_STORE_MOVING is {config['STORE_MOVING']}, and needs PORTAL_STORE, the"
                " store that files are moved to or from."
            )
        if config["STORE_KEYS_FILE"] is not None:
            raise SettingError(
                "PORTAL_STORE_KEYS_FILE must be left out where PORTAL_STORE is: no store is used."
            )
        return None
    if config["STORE_KEYS_FILE"] is None:
        raise SettingError(
            "PORTAL_STORE needs PORTAL_STORE_KEYS_FILE, the absolute path of a file with its keys."
        )
    try:
        return checked_store(config["STORE"], "PORTAL_STORE", _keys(config["STORE_KEYS_FILE"]))
    except ConfigurationError as error:
        cure = error.cure.replace("DELEGATE_STORE_KEYS", "the file of PORTAL_STORE_KEYS_FILE")
        raise SettingError(f"{error.key}: {error.problem} {cure}") from None


def _keys(path: object) -> StoreKeys:
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise SettingError(
            "PORTAL_STORE_KEYS_FILE must be the absolute path of a file with the store's keys, not"
            f" {shown(path)}."
        )
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            found = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # What is no TOML may be a key.
        why = error.strerror if isinstance(error, OSError) else "it is not TOML"
        raise SettingError(f"PORTAL_STORE_KEYS_FILE: {path} cannot be read: {why}.") from None
    if mode & 0o077:
        raise SettingError(
            f"PORTAL_STORE_KEYS_FILE: other users may read {path} (mode {mode:04o}). Take that"
            f" permission away: chmod go= {path}"
        )
    if not {"key_id", "secret"} <= set(found) <= set(_NAMES):
        raise SettingError(
            f"PORTAL_STORE_KEYS_FILE: {path} must set key_id and secret, and nothing else but"
            " session_token."
        )
    try:
        return checked_keys([found[name] for name in _NAMES if name in found], "files")
    except ConfigurationError:
        raise SettingError(f"PORTAL_STORE_KEYS_FILE: {path} does not hold keys.") from None
