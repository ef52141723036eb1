"""OpenStack Swift: a process each for proxy, account, container and object server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from .store import REGION, RunningStore, environment_of, free_ports, running

PYTHON = Path(sys.prefix, "bin", "python")
_PROGRAM = Path(__file__).with_name("swift_servers.py")
_ACCOUNT, _USER = "tests", "tester"
_SERVERS = ("proxy", "account", "container", "object")
_HASH = """
[swift-hash]
swift_hash_path_suffix = tests

[storage-policy:0]
name = only
default = yes
"""
_COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_level = WARNING
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# After errors, such as those of a store that was frozen, the only device is still to be asked.
error_suppression_limit = 1000000

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:s3api]
use = egg:swift#s3api
location = {region}

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin

[filter:slo]
use = egg:swift#slo
"""
_SERVER = """
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""


@contextmanager
def swift(folder: Path, *, bucket: str = "files", python: Path = PYTHON) -> Iterator[RunningStore]:
    """Run Swift with its S3 API until the end of the block; it refuses what is not signed.

    :param folder: an empty folder for its data and its output, on a file system with extended
        attributes.
    :param python: the interpreter of an environment with Swift.
    """
    (folder / "devices/disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(_HASH)
    secret = token_hex(16)
    ports = dict(zip(_SERVERS, free_ports(len(_SERVERS)), strict=True))
    for name, port in ports.items():
        text = _COMMON.format(port=port, folder=folder) + _section(name, secret)
        (folder / f"{name}.conf").write_text(text)
    words = [f"{name}={port}" for name, port in ports.items()]
    with running(
        # Without -P this module would stand in the way of the package of the same name.
        [str(python), "-P", str(_PROGRAM), str(folder), *words],
        folder,
        port=ports["proxy"],
        bucket=bucket,
        keys=(f"{_ACCOUNT}:{_USER}", secret),
        environment=environment_of(folder),
    ) as store:
        yield store


def _section(name: str, secret: str) -> str:
    if name != "proxy":
        return _SERVER.format(name=name)
    return _PROXY.format(region=REGION, account=_ACCOUNT, user=_USER, secret=secret)
