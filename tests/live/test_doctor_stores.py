"""The doctor and an area in a real store."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flask_delegate.doctor.checks import stores
from tests.support.doctor import findings
from tests.support.sites import Site, new_site
from tests.support.store_area import SERVE, settings_for
from tests.support.stores import RunningStore, misbehaving, seaweedfs

STORE = ("reach", "keys", "clock", "public", "outside", "versioning")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with seaweedfs(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def stored_site(store: RunningStore) -> Iterator[Site]:
    with new_site(**settings_for(store)) as site:
        yield site


def examined(site: Site, *arguments: str, **settings: Any) -> dict[str, dict[str, Any]]:
    return findings(site.configure(**settings), "--area", "media", *arguments)


def levels(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: found[f"store-{name}"]["level"] for name in STORE}


def change(site: Site, **store: str) -> dict[str, Any]:
    """Return settings with other ones of the store."""
    areas = site.settings["DELEGATE_AREAS"]
    return {"media": {**areas["media"], "store": {**areas["media"]["store"], **store}}}


@pytest.mark.parametrize("server", ["apache", "nginx", "stream"])
def test_all_is_well(store: RunningStore, stored_site: Site, server: str) -> None:
    store.put("kept", b"content")
    if server == "nginx":
        stored_site.settings["DELEGATE_AREAS"]["media"]["backend"] = "nginx"
    with SERVE[server](stored_site) as running:
        found = examined(stored_site, f"http://127.0.0.1:{running.port}/")
    wrong = {name: item for name, item in found.items() if item["level"] in ("failure", "warning")}
    usual = {"store-versioning"} | ({"daemon-mode"} if server == "stream" else set())
    assert set(wrong) == usual, wrong
    for check in ("handoff", "head", "range", "conditional", "longest-path", "names", "filters"):
        assert found[check]["level"] == "ok"
    assert sum(name.startswith("attack-") for name in found) > 10
    # It takes away what it puts there.
    left = store.client.list_objects_v2(Bucket=store.bucket)["Contents"]
    assert [one["Key"] for one in left] == ["kept"]


def test_folders_are_not_looked_for(stored_site: Site) -> None:
    found = examined(stored_site)
    assert not {"root", "root-link", "permissions", "files", "network", "sendfile"} & set(found)
    assert found["backend"]["level"] == "ok"


def test_wrong_keys(store: RunningStore, stored_site: Site) -> None:
    for keys, said in (
        ((store.access_key, "wrong-secret"), "SignatureDoesNotMatch"),
        (("nobody", "wrong-secret"), "InvalidAccessKeyId"),
    ):
        found = examined(stored_site, DELEGATE_STORE_KEYS={"media": keys})
        assert found["store-keys"]["level"] == "failure"
        assert said in found["store-keys"]["seen"]
        assert "wrong-secret" not in json.dumps(found)
        assert levels(found)["reach"] == "ok"


def test_another_bucket_name_or_region(store: RunningStore, stored_site: Site) -> None:
    found = examined(stored_site, DELEGATE_AREAS=change(stored_site, bucket="missing-bucket"))
    assert found["store-keys"]["level"] == "failure"
    assert "no such bucket" in found["store-keys"]["seen"]
    # Some stores would create it for a probe.
    with SERVE["stream"](stored_site) as running:
        url = f"http://127.0.0.1:{running.port}/"
        found = examined(
            stored_site, url, DELEGATE_AREAS=change(stored_site, bucket="missing-bucket")
        )
    assert found["probe-file"]["level"] == "failure"
    buckets = store.client.list_buckets()["Buckets"]
    assert "missing-bucket" not in {bucket["Name"] for bucket in buckets}
    found = examined(stored_site, DELEGATE_AREAS=change(stored_site, host="elsewhere.invalid"))
    assert levels(found)["keys"] == "ok"  # this store signs with whatever name it is asked by


@pytest.mark.parametrize("how", ["refuses", "silent", "garbage"])
def test_a_store_that_does_not_answer(
    how: str, stored_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_delegate.stores.client.IDLE", 1)
    with misbehaving(how) as store:
        areas = change(stored_site, endpoint=store.endpoint)
        found = examined(stored_site, DELEGATE_AREAS=areas)
    assert levels(found)["reach"] == "failure"
    assert {level for name, level in levels(found).items() if name not in ("reach", "outside")} == {
        "skipped"
    }


def test_a_slow_store(stored_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_SLOW", 0)
    found = examined(stored_site)
    assert levels(found)["reach"] == "warning"


def test_a_clock_that_differs(stored_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("flask_delegate.doctor.checks.stores.time.time", lambda: now() + 300)
    found = examined(stored_site)
    assert found["store-clock"]["level"] == "failure"
    assert re.search(r"by (299|300|301) s", found["store-clock"]["seen"])


def test_a_bucket_that_everybody_reads(store: RunningStore, stored_site: Site) -> None:
    bucket = "everybodys"
    store.client.create_bucket(Bucket=bucket)
    areas = change(stored_site, bucket=bucket)
    assert levels(examined(stored_site, DELEGATE_AREAS=areas))["public"] == "ok"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    statement["Resource"] = f"arn:aws:s3:::{bucket}/*"
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    store.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    found = examined(stored_site, DELEGATE_AREAS=areas)
    assert found["store-public"]["level"] == "failure"
    assert "an object" in found["store-public"]["seen"]


def test_a_bucket_that_keeps_versions(store: RunningStore, stored_site: Site) -> None:
    bucket = "versions"
    store.client.create_bucket(Bucket=bucket)
    status = {"Status": "Enabled"}
    store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    found = examined(stored_site, DELEGATE_AREAS=change(stored_site, bucket=bucket))
    assert levels(found)["versioning"] == "ok"
    assert levels(examined(stored_site))["versioning"] == "warning"


def test_a_store_that_listens_elsewhere_too(
    stored_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels(examined(stored_site))["outside"] == "ok"
    monkeypatch.setattr(stores, "_own_addresses", lambda: iter(["127.0.0.1"]))
    found = examined(stored_site)
    assert found["store-outside"]["level"] == "warning"
    assert "127.0.0.1" in found["store-outside"]["seen"]
    for endpoint, level in (
        ("http://10.0.0.5:1", "skipped"),
        ("http://192.0.2.1.invalid:1", "skipped"),
        ("http://9.9.9.9:1", "failure"),
        ("https://9.9.9.9:1", "ok"),
    ):
        area = (
            stored_site.configure(DELEGATE_AREAS=change(stored_site, endpoint=endpoint))
            .extensions["delegate"]
            .settings.areas["media"]
        )
        assert stores.outside(None, area).level == level  # type: ignore[arg-type]


def test_keys_that_may_only_read() -> None:
    """The doctor cannot put its probe there, and says so."""
    with (
        misbehaving("403") as store,
        new_site(**settings_for(store)) as site,
        SERVE["stream"](site) as running,
    ):
        found = examined(site, f"http://127.0.0.1:{running.port}/")
    assert found["probe-file"]["level"] == "failure"
    assert "answers with 403" in found["probe-file"]["seen"]
    assert found["store-keys"]["level"] == "failure"
    assert "AccessDenied" in found["store-keys"]["seen"]
