"""A bucket in SeaweedFS for the cluster: two volume servers, with a copy of everything in each."""

from __future__ import annotations

import http.client
import json
import secrets
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ...lib import machine
from ...lib.jobs import Jobs, as_user
from ...lib.messages import fail
from .files import give, write_private
from .services import Service, Services

BUCKET = "portal"
_SERVERS = ("master", "volume1", "volume2", "filer", "s3")
"""Their ports follow the cluster's in this order."""
_GRPC = 10_000
"""Where SeaweedFS has ports of its own: so far above each of these."""
PORTS = [ground + number for ground in (0, _GRPC) for number in range(1, len(_SERVERS) + 1)]
"""How far all of the ports are above the cluster's."""
_OF_MASTER = ("-defaultReplication=010", "-volumeSizeLimitMB=64", "-telemetry=false")
_OF_VOLUMES = ("-max=50", "-dataCenter=here", "-preStopSeconds=1")
_OF_S3 = ("-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
# It has as many processes as a store of several machines, on one.
_LITTLE_MEMORY = {"GOMEMLIMIT": "96MiB", "GOGC": "50"}


class Store:
    """The store: a master, two volume servers, and a filer that answers S3's requests.

    :param weed: the program.
    :param data: where it keeps what it has.
    :param port: the cluster's.
    """

    def __init__(self, jobs: Jobs, services: Services, weed: Path, data: Path, port: int) -> None:
        self._jobs, self._services = jobs, services
        self._weed, self._data, self._port = weed, data / "store", port
        self.keys = self._data / "keys.toml"

    @property
    def endpoint(self) -> str:
        """Where it answers S3's requests."""
        return f"http://{self._at('s3')}"

    def start(self) -> None:
        """Start it, with an empty bucket where there is none."""
        give(self._data)
        if not self.keys.exists():
            self._write_keys()
        master = f"-master={self._at('master')}"
        self._start("master", "-mdir={}", *_OF_MASTER)
        for name in ("volume1", "volume2"):
            self._start(name, "-dir={}", f"-rack={name}", master, *_OF_VOLUMES)
        s3 = (f"-s3.port={self._port_of('s3')}", f"-s3.config={self._data}/s3.json", *_OF_S3)
        self._start("filer", "-defaultStoreDir={}", master, *s3)
        self._create_bucket()

    def delete_sockets(self) -> None:
        """Delete what it leaves in /tmp."""
        delete_sockets(self._port_of(name) for name in _SERVERS)

    def _port_of(self, name: str) -> int:
        return self._port + 1 + _SERVERS.index(name)

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self._port_of(name)}"

    def _start(self, name: str, *words: str) -> None:
        """Start one of its servers, whose folder stands for ``{}`` in the words."""
        folder = give(self._data / name)
        place = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-port={self._port_of(name)}")
        own = [word.format(folder) for word in words]
        # Beside its sockets, it looks for its configuration here.
        environment = {**_LITTLE_MEMORY, "HOME": str(self._data)}
        command = (self._weed, name.rstrip("12"), *place, *own)
        # In order it would not end once the others are gone.
        server = Service(f"store-{name}", command, environment, dies_by=signal.SIGKILL)
        self._services.run(server)
        asked = "s3" if name == "filer" else name
        self._services.wait_until(lambda: _answers(self._port_of(asked)), server, 60)

    def _write_keys(self) -> None:
        key_id, secret = f"portal-{secrets.token_hex(4)}", secrets.token_hex(20)
        credentials = [{"accessKey": key_id, "secretKey": secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        known = {"identities": [{"name": "portal", "credentials": credentials, "actions": actions}]}
        write_private(self._data / "s3.json", json.dumps(known))
        write_private(self.keys, f'key_id = "{key_id}"\nsecret = "{secret}"\n')

    def _create_bucket(self) -> None:
        said = subprocess.run(
            [self._weed, "shell", f"-master={self._at('master')}", f"-filer={self._at('filer')}"],
            input=f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\n".encode(),
            capture_output=True,
            check=False,
            env={"HOME": str(self._data), "PATH": "/usr/bin:/bin"},
            **{**as_user(machine.daemon()), "stdin": None},
        )
        if f" {BUCKET}\t".encode() not in said.stdout:
            fail(f"cannot create the bucket: {(said.stdout + said.stderr).decode()[-500:]}")


def delete_sockets(ports: Iterable[int]) -> None:
    """Delete what servers at these ports leave in /tmp, whatever TMPDIR says."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 -- not chosen here
            left.unlink(missing_ok=True)


def _answers(port: int) -> bool:
    """Return whether a server answers; it may well refuse us."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    return True
