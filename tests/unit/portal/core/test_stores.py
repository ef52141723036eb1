"""What the settings may say of an object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_delegate.stores.sigv4 import StoreKeys
from portal.core import stores
from portal.core.setting_checks import SettingError
from tests.support import bucket
from tests.support.portal import prepare, signed_in, upload

PLACE = {"endpoint": "http://10.0.0.5:8333", "bucket": "portal", "prefix": "a/"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.touch(0o600)
    path.write_text('key_id = "id"\nsecret = "the-s3cret"\n')
    return path


def configured(place: Any, keys: Any) -> Any:
    return stores.configured({"STORE": place, "STORE_KEYS_FILE": keys, "STORE_MOVING": None})


def test_there_is_none_by_default() -> None:
    assert configured(None, None) is None


def test_a_store_has_its_keys_from_a_file(keys: Path) -> None:
    store = configured(PLACE, str(keys))
    assert store.url == "http://10.0.0.5:8333/portal/a/"
    assert store.keys == StoreKeys("id", "the-s3cret")
    keys.write_text('key_id = "id"\nsecret = "the-s3cret"\nsession_token = "t0ken"\n')
    assert configured(PLACE, str(keys)).keys.session_token == "t0ken"


@pytest.mark.parametrize(
    "place",
    ["http://10.0.0.5", {"endpoint": "http://10.0.0.5"}, {**PLACE, "secret": "the-s3cret"}, 5],
)
def test_what_describes_no_store_is_refused(place: Any, keys: Path) -> None:
    with pytest.raises(SettingError, match="PORTAL_STORE: does not fit") as refused:
        configured(place, str(keys))
    assert "PORTAL_STORE_KEYS_FILE" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("path", [None, 5, "keys.toml", "/no/such/file", "/"])
def test_a_file_that_cannot_be_read_is_refused(path: Any) -> None:
    with pytest.raises(SettingError, match="PORTAL_STORE_KEYS_FILE"):
        configured(PLACE, path)


@pytest.mark.parametrize(
    "text",
    [
        *("the-s3cret", "secret = 'the-s3cret'", "key_id = 'id'\nsecret = 5", "\\xff"),
        "key_id = 'id'\nsecret = 'the-s3cret'\nregion = 'x'",
        "key_id = 'id'\nsecret = 'the s3cret'",
    ],
)
def test_a_file_without_keys_is_refused_and_not_repeated(text: str, keys: Path) -> None:
    keys.write_text(text)
    with pytest.raises(SettingError, match="PORTAL_STORE_KEYS_FILE") as refused:
        configured(PLACE, str(keys))
    assert "s3cret" not in str(refused.value)


def test_keys_that_others_may_read_are_refused(keys: Path) -> None:
    keys.chmod(0o640)
    with pytest.raises(SettingError, match=r"other users may read .* chmod go= "):
        configured(PLACE, str(keys))


def test_keys_without_a_store_are_refused(keys: Path) -> None:
    with pytest.raises(SettingError, match="no store is used"):
        configured(None, str(keys))


def test_files_that_are_still_on_disk_are_not_forgotten(
    keys: Path, data: Path, make_app: Callable[..., Flask]
) -> None:
    app = make_app()
    prepare(app)
    alice = signed_in(app, "alice")
    with_store = {"STORE": PLACE, "STORE_KEYS_FILE": str(keys)}
    if not bucket.found():
        upload(alice, "a.txt", b"a")
        with pytest.raises(SettingError, match="still has the content of files"):
            make_app(**with_store)
        (data / "files").rename(data / "files.old")
    assert make_app(**with_store).extensions["portal.storage"].incoming == data / "incoming"


@pytest.mark.postgresql("several hosts share it")
def test_hosts_with_one_database_have_one_bucket(
    keys: Path, make_app: Callable[..., Flask]
) -> None:
    prepare(make_app())
    with_store = {"STORE": PLACE, "STORE_KEYS_FILE": str(keys)}
    for endpoint in ("http://10.0.0.5:8333", "http://10.0.0.6:8333"):  # the same, by another way
        make_app(**{**with_store, "STORE": {**PLACE, "endpoint": endpoint}})
    with pytest.raises(SettingError, match="/portal/b/ here, and /portal/a/ on the other hosts"):
        make_app(**{**with_store, "STORE": {**PLACE, "prefix": "b/"}})
