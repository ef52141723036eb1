"""SeaweedFS as one process: master, volume server, filer and S3 gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from scripts.commands.cluster.seaweedfs import delete_sockets

from .store import RunningStore, environment_of, free_ports, running

WEED = Path(sys.prefix, "bin", "weed")
_ACCESS_KEY = "tests-access-key"
_SERVICES = ("s3", "master", "volume", "filer", "admin")
# A service that is told another one's HTTP port expects its gRPC port this far above it.
_GRPC = 10_000
_OPTIONS = (
    "-master.telemetry=false",
    # Each bucket takes volumes of its own, and those that are empty take no space.
    *("-master.volumeSizeLimitMB=64", "-volume.max=100"),
    *("-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    *("-webdav=false", "-admin.ui=false"),
)
_ENVIRONMENT = {"GOMEMLIMIT": "96MiB", "GOGC": "50"}


@contextmanager
def seaweedfs(
    folder: Path,
    *,
    bucket: str = "files",
    certificate: Path | None = None,
    address: str = "127.0.0.1",
) -> Iterator[RunningStore]:
    """Run SeaweedFS until the end of the block; it refuses what is not signed.

    :param folder: an empty folder for its data and its output.
    :param certificate: a folder with ``server.key`` and ``server.crt``, to speak TLS as well.
    :param address: of this machine, to listen on.
    """
    (folder / "data").mkdir()
    secret = token_hex(16)
    (folder / "s3.json").write_text(json.dumps(_identities(secret)))
    ports = dict(zip(_SERVICES, free_ports(len(_SERVICES), also=_GRPC), strict=True))
    listeners = [f"-{name}.port={port}" for name, port in ports.items()]
    listeners += [f"-{name}.port.grpc={port + _GRPC}" for name, port in ports.items()]
    files = [f"-dir={folder}/data", f"-s3.config={folder}/s3.json"]
    (tls_port,) = free_ports(1) if certificate else [0]
    if certificate:
        pair = (f"-s3.{kind}.file={certificate}/server" for kind in ("cert", "key"))
        files += [f"{one}.{end}" for one, end in zip(pair, ("crt", "key"), strict=True)]
        files.append(f"-s3.port.https={tls_port}")
    listeners += [f"-ip={address}", f"-ip.bind={address}"]
    command = [str(WEED), "mini", *files, *listeners, *_OPTIONS]
    environment = environment_of(folder, **_ENVIRONMENT)
    try:
        with running(
            command,
            folder,
            port=ports["s3"],
            bucket=bucket,
            keys=(_ACCESS_KEY, secret),
            environment=environment,
            address=address,
        ) as store:
            yield replace(store, tls_port=tls_port)
    finally:
        delete_sockets(port + more for port in ports.values() for more in (0, _GRPC))


def _identities(secret: str) -> dict[str, list[dict[str, object]]]:
    credentials = [{"accessKey": _ACCESS_KEY, "secretKey": secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}
