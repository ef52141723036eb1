"""What the configuration may say of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_delegate.stores.sigv4 import StoreKeys
from tests.support.extension import SECRET, Factory, refused

ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
STORE = {"endpoint": "http://10.0.0.5:8333", "bucket": "files"}
KEYS = {"media": ("key-id", "the-s3cret")}


@pytest.fixture(autouse=True)
def no_keys_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def settings(store: Any = STORE, keys: Any = KEYS, **area: Any) -> dict[str, Any]:
    areas = {"media": {"store": store, "url": "/inside/media/", **area}}
    return {"SECRET_KEY": SECRET, "DELEGATE_AREAS": areas, "DELEGATE_STORE_KEYS": keys}


def parsed(make_app: Factory, **given: Any) -> Any:
    return make_app(**settings(**given)).extensions["delegate"].settings.areas["media"]


def test_an_area_may_lie_in_a_store(make_app: Factory) -> None:
    area = parsed(make_app)
    store = area.store
    assert (area.root, area.backend) == ("http://10.0.0.5:8333/files/", "auto")
    assert (store.endpoint, store.host) == ("http://10.0.0.5:8333", "10.0.0.5:8333")
    assert (store.bucket, store.prefix, store.region) == ("files", "", "us-east-1")
    assert store.keys == StoreKeys("key-id", "the-s3cret")
    assert (store.path, store.address, store.ca_file) == ("/files/", ("10.0.0.5", 8333), "")


def test_all_that_can_be_said_of_a_store(make_app: Factory, tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.touch()
    said = {"host": "files.example:444", "prefix": "a/b.c/", "region": "eu-west-3"}
    said |= {"endpoint": "HTTPS://[2001:DB8::1]/", "ca_file": str(authorities)}
    store = parsed(make_app, store={**STORE, **said}, backend="nginx").store
    assert (store.endpoint, store.address) == ("https://[2001:db8::1]", ("2001:db8::1", 443))
    assert (store.host, store.region) == ("files.example:444", "eu-west-3")
    assert (store.url, store.path) == ("https://[2001:db8::1]/files/a/b.c/", "/files/a/b.c/")
    assert (store.is_encrypted, store.ca_file) == (True, str(authorities))
    path, query = store.target("GET", "ä b/c", now=0)
    assert path == "/files/a/b.c/%C3%A4%20b/c"
    assert "%2Feu-west-3%2Fs3%2F" in query


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [("http://store:80", "store"), ("https://store:443/", "store"), ("http://s:443", "s:443")],
)
def test_the_usual_port_is_not_part_of_what_is_signed(
    make_app: Factory, tmp_path: Path, endpoint: str, host: str
) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.touch()
    said = {**STORE, "endpoint": endpoint, "ca_file": str(authorities)}
    assert parsed(make_app, store=said).store.host == host


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"endpoint": value}, "endpoint")
        for value in (
            *("", "store", "ftp://s", "http://", "http://a b", "http://s/path", "http://u:p@s"),
            *("http://s:0", "http://s:65536", "http://s:x", "http://s\n", "http://s;", "http://$x"),
            *("http://s?x", 'http://s"', "http://-s", None, 5),
        )
    ]
    + [({"bucket": value}, "bucket") for value in ("", "ab", "a/b", "a" * 64, "-ab", "a b", 5)]
    + [({"prefix": value}, "prefix") for value in ("a", "/a/", "a//", "../", "a b/", "a%2F/", 5)]
    + [({"host": value}, "host") for value in ("a b", "a\r\nb", 'a"', "a:b")]
    + [({"region": value}, "region") for value in ("a b", "a/b", 5)],
)
def test_what_cannot_stand_in_a_servers_configuration_is_refused(
    said: dict[str, Any], name: str
) -> None:
    error = refused(**settings({**STORE, **said}))
    assert error.key == f"DELEGATE_AREAS['media'] store {name}"
    assert error.cure.endswith(".")


@pytest.mark.parametrize("ca_file", ["/no/such/file", "relative", "/etc/\n", 5])
def test_authorities_that_nobody_can_read_are_refused(ca_file: Any) -> None:
    said = {**STORE, "endpoint": "https://store", "ca_file": ca_file}
    error = refused(**settings(said))
    assert error.key == "DELEGATE_AREAS['media'] store ca_file"
    assert repr(ca_file) in error.problem


@pytest.mark.parametrize(
    "store",
    [None, "http://s/b", {}, {"endpoint": "http://s"}, {**STORE, "secret_key": "the-s3cret"}],
)
def test_a_store_that_is_no_description_is_refused_without_repeating_it(store: Any) -> None:
    error = refused(**settings(store))
    assert error.key == "DELEGATE_AREAS['media'] store"
    assert "DELEGATE_STORE_KEYS" in error.cure
    assert "s3cret" not in str(error)
    assert "'secret'" in error.problem or not isinstance(store, dict) or "secret" not in store


def test_an_area_lies_in_a_folder_or_in_a_store(tmp_path: Path) -> None:
    for wrong in ({"root": str(tmp_path)}, {"secret": "the-s3cret"}):
        error = refused(**settings(**wrong))
        assert error.key == "DELEGATE_AREAS['media']"
        assert "s3cret" not in str(error)
        assert str(next(iter(wrong))) in error.problem


@pytest.mark.parametrize("backend", ["auto", "mod_wsgi", "nginx", "stream"])
def test_backends_that_can_ask_a_store(make_app: Factory, backend: str) -> None:
    assert parsed(make_app, backend=backend).backend == backend


@pytest.mark.parametrize("backend", ["caddy", "lighttpd", "xsendfile"])
def test_what_no_server_can_do_with_a_store_is_refused(backend: str) -> None:
    error = refused(**settings(backend=backend))
    assert error.key == "DELEGATE_AREAS['media'] backend"
    assert "auto, mod_wsgi, scgi, nginx, stream" in error.cure
    other = {**STORE, "endpoint": "https://store", "host": "other", "ca_file": __file__}
    error = refused(**settings(other))
    assert error.key == "DELEGATE_AREAS['media'] backend"
    assert error.cure == "Use one of nginx, stream."
    error = refused(**settings(signed_url="/signed/"))
    assert error.key == "DELEGATE_AREAS['media'] signed_url"


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        ({"bucket": "files"}, True),
        ({"bucket": "files", "prefix": "a/"}, True),
        ({"bucket": "files-2"}, False),
        ({"bucket": "files", "endpoint": "http://10.0.0.6:8333"}, False),
    ],
)
def test_areas_do_not_share_objects(
    make_app: Factory, other: dict[str, str], overlaps: bool
) -> None:
    given = settings()
    given["DELEGATE_AREAS"]["more"] = {"store": {**STORE, **other}, "url": "/inside/more/"}
    given["DELEGATE_STORE_KEYS"] = {**KEYS, "more": KEYS["media"]}
    if overlaps:
        assert "the files of 'media' (http://10.0.0.5:8333/files/)" in refused(**given).problem
    else:
        make_app(**given)


def test_keys_come_from_the_environment_where_none_are_set(
    make_app: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(**settings(keys={}))
    assert error.key == "DELEGATE_STORE_KEYS['media']"
    assert "AWS_ACCESS_KEY_ID" in error.cure
    for name, value in zip(ENVIRONMENT, ("env-id", "env-secret", "env-token"), strict=True):
        monkeypatch.setenv(name, value)
        if name == "AWS_ACCESS_KEY_ID":
            assert refused(**settings(keys={})).problem == "is not set."
    found = parsed(make_app, keys={}).store.keys
    assert found == StoreKeys("env-id", "env-secret", "env-token")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    assert parsed(make_app, keys={}).store.keys == StoreKeys("env-id", "env-secret")
    assert parsed(make_app).store.keys == StoreKeys("key-id", "the-s3cret")


@pytest.mark.parametrize(
    "keys",
    [
        {"media": value}
        for value in (
            *("the-s3cret", ["the-s3cret"], ["id", "the-s3cret\n"], ["id", ""], [1, "the-s3cret"]),
            *(["id", "the-s3cret", ""], ["id", "the-s3cret", "x", "y"], {"id": "the-s3cret"}),
        )
    ]
    + [{**KEYS, "other": ("id", "the-s3cret")}, "the-s3cret", ["the-s3cret"]],
)
def test_keys_that_are_none_are_refused_without_repeating_them(keys: Any) -> None:
    error = refused(**settings(keys=keys))
    assert error.key.startswith("DELEGATE_STORE_KEYS")
    assert "s3cret" not in f"{error} {error.args}"


def test_keys_show_nowhere(make_app: Factory) -> None:
    app = make_app(**settings(keys={"media": ["key-id", "the-s3cret", "the-t0ken"]}))
    state = app.extensions["delegate"]
    shown = f"{app.config} {state} {state.settings.areas} {state.settings.areas['media']!r}"
    assert "key-id" in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    # An application may be created from another one's configuration.
    again = make_app(**{name: app.config[name] for name in settings()})
    assert again.extensions["delegate"].settings == state.settings
