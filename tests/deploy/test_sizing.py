from __future__ import annotations

import subprocess
import sys

import pytest

from deploy import sizing
from deploy.sizing import MIB, OTHERS, Machine, most_clients, sizes
from tests.support.installed import SERVERS
from tests.support.paths import PROJECT

LARGE = Machine(cores=8, memory=32 * 1024 * MIB)
SMALL = Machine(cores=1, memory=1024 * MIB)


@pytest.mark.parametrize("server", [*SERVERS, "run"])
@pytest.mark.parametrize("machine", [SMALL, LARGE])
@pytest.mark.parametrize("clients", [None, 1, 240])
def test_everybody_finds_a_place(server: str, machine: Machine, clients: int | None) -> None:
    found = sizes(machine, server, clients)
    wanted = found["SIZE_CLIENTS"] + OTHERS
    assert found["SIZE_WORKERS"] >= wanted
    assert found["SIZE_WORKERS"] >= found["SIZE_SPARE_THREADS"]
    assert found["SIZE_WORKERS"] == found["SIZE_SERVERS"] * found["SIZE_THREADS_PER_SERVER"]
    # However unevenly they are shared out among nginx's processes, and with one to gunicorn each.
    assert found["SIZE_CONNECTIONS"] >= 2 * wanted
    assert found["SIZE_DESCRIPTORS"] >= 2 * found["SIZE_CONNECTIONS"]
    assert found["SIZE_BACKLOG"] >= wanted
    # Whoever has got to Apache gets to the application.
    assert found["SIZE_UPLOAD_THREADS"] >= found["SIZE_WORKERS"]
    assert found["SIZE_PROCESSES"] >= max(2, machine.cores)


def test_a_small_machine_expects_fewer_unless_told() -> None:
    tiny = Machine(cores=1, memory=960 * MIB)
    usual = sizes(tiny, "apache-site")["SIZE_CLIENTS"]
    assert usual == most_clients(tiny, "apache-site") < 1000
    with pytest.raises(ValueError, match=f"960 MiB of memory are enough for {usual} slow"):
        sizes(tiny, "apache-site", usual + 1)


def test_too_little_memory_is_told() -> None:
    with pytest.raises(ValueError, match="enough for 0 slow clients at once with nginx"):
        sizes(Machine(cores=2, memory=128 * MIB), "nginx")


@pytest.mark.parametrize("clients", ["0", "-5"])
def test_nobody_is_not_expected(clients: str) -> None:
    command = [sys.executable, str(PROJECT / "deploy/sizing.py"), "nginx"]
    done = subprocess.run([*command, f"--clients={clients}"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"'{clients}' is not a number of clients. Give --clients one such" in done.stderr


def test_tls_in_apache_costs_most() -> None:
    most = {server: most_clients(LARGE, server) for server in SERVERS}
    assert most["nginx"] > most["apache-site"] == most["apache-express"] == most["xsendfile"]


def test_it_prints_what_the_scripts_read() -> None:
    command = [sys.executable, "-I", str(PROJECT / "deploy/sizing.py"), "nginx"]
    done = subprocess.run([*command, "--clients", "300"], capture_output=True, text=True)
    assert "SIZE_CLIENTS=300\n" in done.stdout
    assert dict(line.split("=") for line in done.stdout.splitlines()) == {
        name: str(value) for name, value in sizes(Machine.this(), "nginx", 300).items()
    }
    refused = subprocess.run([*command, "--clients", "9" * 9], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "Expect fewer with --clients" in refused.stderr


def test_without_tls_a_slow_download_holds_no_thread() -> None:
    found = sizes(LARGE, "run", 40_000)
    connections = found["SIZE_WORKERS"] * (found["SIZE_ASYNC_FACTOR"] + 1)
    assert connections >= 40_000 + OTHERS > 10 * found["SIZE_WORKERS"]
    assert sizes(LARGE, "apache-site", 10_000)["SIZE_WORKERS"] >= 10_000 + OTHERS


def test_the_page_has_the_figures_of_the_rule() -> None:
    page = (PROJECT / "docs/portal/sizing.md").read_text()
    workers = sizes(LARGE, "run", 1000)["SIZE_WORKERS"]
    spare = sizes(LARGE, "apache-site", 10_000)["SIZE_SPARE_THREADS"]
    uploads = sizes(LARGE, "apache-site", 10_000)["SIZE_UPLOAD_THREADS"]
    assert f"the same, at most {workers // 100 * 100} |" in page
    assert f"half of all, at most {spare} |" in page
    assert f"as many as Apache has, at most {uploads} |" in page
    assert f"Without `--clients` it is {sizing.EXPECTED}" in page
    assert f"slow clients and {OTHERS} for everybody else" in page
    kibibytes = [f"{size // 1024} KiB" for size in sizing._PER_CLIENT.values()]
    for figure in [*kibibytes, "130 MiB", "320 MiB", "64 MiB for thumbnails"]:
        assert figure in page
