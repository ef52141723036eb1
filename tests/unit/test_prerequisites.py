"""What an installation says of a machine that lacks something, before it changes anything."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence

import pytest

from deploy import prerequisites
from deploy.sizing import MIB, Machine

HOST = "files.example.org"


@pytest.fixture(autouse=True)
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a machine that lacks nothing."""
    resolve_to(monkeypatch, ["127.0.0.1"])
    monkeypatch.setattr(prerequisites, "listener", lambda _port: "")
    have(monkeypatch, memory=4096, free=4096)


def resolve_to(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str]) -> None:
    def look_up(*_words: object, **_options: object) -> list[tuple[object, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def have(monkeypatch: pytest.MonkeyPatch, *, memory: int, free: int) -> None:
    monkeypatch.setattr(Machine, "this", lambda: Machine(2, memory * MIB))
    usage = shutil.disk_usage("/")._replace(free=free * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)


def problems(*, is_new: bool = True, obtains: bool = True) -> list[str]:
    return list(prerequisites.problems(HOST, is_new=is_new, obtains=obtains))


def test_machine_that_lacks_nothing_is_taken() -> None:
    assert problems() == []
    assert prerequisites.advice(HOST) == ""


def test_small_machine_is_told_what_it_lacks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, memory=480, free=300)
    memory, *disks = problems()
    assert memory == "this machine has 480 MiB of memory. The portal needs 1 GiB."
    assert "300 MiB free. The installation needs 1 GiB there. Free some space." in disks[0]
    assert len(disks) == len({one.partition(" of ")[2].partition(" has ")[0] for one in disks})
    assert problems(is_new=False) == []  # what is installed has found room


def test_machine_of_a_gibibyte_is_taken_though_the_kernel_keeps_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have(monkeypatch, memory=955, free=1024)
    assert problems() == []


def test_taken_port_is_told_with_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {443: "caddy (process 7, caddy.service)"}
    monkeypatch.setattr(prerequisites, "listener", lambda port: taken.get(port, ""))
    (one,) = problems()
    assert one.startswith("caddy (process 7, caddy.service) listens on port 443")


def test_name_without_an_address_is_refused_only_for_a_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, [])
    (one,) = problems()
    assert "files.example.org has no address in DNS, so no authority would give" in one
    assert problems(obtains=False) == []
    assert "nobody finds the portal" in prerequisites.advice(HOST)


def test_name_of_another_machine_may_be_right_behind_a_router(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, ["203.0.113.7", "203.0.113.7"])
    assert problems() == []
    said = prerequisites.advice(HOST)
    assert said.startswith("files.example.org is 203.0.113.7 in DNS, which is no address of this")


def test_who_listens_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "(process " in prerequisites.listener(port)
    assert prerequisites.listener(port) == ""
