"""The bucket in which the portal keeps files, where its tests are run with one.

``python -m tests.support.bucket COMMAND…`` starts a store, and runs a command that finds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from .stores import seaweedfs
from .stores.store import CLIENT, REGION, RunningStore

_VARIABLE = "TESTS_STORE"


@cache
def found() -> dict[str, str] | None:
    """Return the store's endpoint, bucket and keys; none where files are kept on disk."""
    told = os.environ.get(_VARIABLE)
    return json.loads(told) if told else None


def settings(data: Path) -> dict[str, Any]:
    """Return the portal's settings for the store, if there is one: a data folder's own place."""
    store = found()
    if store is None:
        return {}
    keys = data.parent / "store-keys.toml"
    if not keys.exists():
        keys.touch(0o600)
        keys.write_text(f'key_id = "{store["key_id"]}"\nsecret = "{store["secret"]}"\n')
    prefix = hashlib.sha256(bytes(data)).hexdigest()[:16]
    place = {"endpoint": store["endpoint"], "bucket": store["bucket"], "prefix": f"{prefix}/"}
    return {"STORE": place, "STORE_KEYS_FILE": str(keys)}


def fetched(data: Path) -> Path:
    """Return a folder with all objects of a data folder's place, as they are now."""
    folder = Path(tempfile.mkdtemp(dir=data.parent, prefix="fetched-"))
    place = settings(data)["STORE"]
    listed = _client().list_objects_v2(Bucket=place["bucket"], Prefix=place["prefix"])
    for found_object in listed.get("Contents", ()):
        name = found_object["Key"].removeprefix(place["prefix"])
        if name.startswith("parts/"):  # of unfinished uploads
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _client().download_file(place["bucket"], found_object["Key"], str(path))
    return folder


@cache
def _client() -> Any:
    store = found() or {}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=store["endpoint"],
        region_name=REGION,
        aws_access_key_id=store["key_id"],
        aws_secret_access_key=store["secret"],
        config=CLIENT,
    )


def _told(store: RunningStore) -> str:
    names = {"endpoint": store.endpoint, "bucket": store.bucket}
    return json.dumps({**names, "key_id": store.access_key, "secret": store.secret_key})


def main() -> None:
    """Run a command with a store."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as folder, seaweedfs(Path(folder)) as store:
        variables = {**os.environ, _VARIABLE: _told(store)}
        sys.exit(subprocess.run(sys.argv[1:], env=variables, check=False).returncode)


if __name__ == "__main__":
    main()
