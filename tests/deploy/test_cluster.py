"""``deploy/install --cluster``: a host that shares its database and its bucket with others."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support import cluster_services as shared
from tests.support.containers import CLONE, HOST, booted
from tests.support.installed import CONTENT, NAME, Installed, ask, installed_with

pytestmark = pytest.mark.timeout(600)

SERVICES = ("portal-gunicorn", "portal-uploads", "portal-receipts")
# Prints what a process reaches: a datagram that may not leave is an error at once.
REACH = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (address, 9))
        print(address)
    except PermissionError:
        pass
"""


@pytest.fixture(scope="module")
def member() -> Iterator[Installed]:
    with booted(filters=True) as container:
        shared.start(container)
        yield installed_with(container, "nginx", "--cluster", str(shared.FILE))


def downloaded(member: Installed) -> str:
    return hashlib.sha256(member.ask(member.url).body.encode()).hexdigest()


def healthy(member: Installed) -> bool:
    url = f"https://{HOST}/healthz"
    command = ("curl", "--silent", "--insecure", "--fail", "--max-time", "2", url)
    return member.container.run(*command).returncode == 0


def wait_until_healthy(member: Installed) -> None:
    deadline = time.monotonic() + 60
    while not healthy(member):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_file_is_in_the_database_and_in_the_bucket(member: Installed) -> None:
    assert " 0 warning, 0 failure" in member.messages
    sha256 = hashlib.sha256(CONTENT.encode()).hexdigest()
    assert downloaded(member) == sha256
    beyond = member.ask(member.url, "--range", "99999999999-")
    assert (beyond.status, beyond.body) == (416, "The file has no such part.\n")
    statement = "SELECT name, size, sha256, storage_key FROM entry WHERE is_file"
    *row, key = shared.query(member.container, statement).strip().split("|")
    assert row == [NAME, str(len(CONTENT)), sha256]
    assert [
        (one.rpartition("/")[2], found) for one, found in shared.objects(member.container).items()
    ] == [(key, sha256)]
    assert member.container.must("find", "/srv/portal/files", "-type", "f") == ""
    assert member.container.run("test", "-e", "/srv/portal/portal.db").returncode == 1


def test_nobody_but_the_portal_reads_the_secrets(member: Installed) -> None:
    stat = ("stat", "-c", "%U %a", "/etc/portal/cluster/secret_key")
    assert member.container.must(*stat) == "portal 400\n"
    for name in ("secret_key", "store-keys.toml", "pgpass"):
        path = f"/etc/portal/cluster/{name}"
        for user in ("www-data", "nobody"):
            assert member.container.run("cat", path, user=user).returncode == 1
    readable = member.container.must("cat", "/etc/portal/environment", user="portal")
    assert shared.PASSWORD not in readable


def test_the_services_reach_the_database_and_the_store_and_nothing_else(member: Installed) -> None:
    addresses = (shared.DATABASE, shared.STORE, shared.BALANCER, shared.OTHER, "127.0.0.1", "::1")
    program = [sys.executable, "-I", "-c", REACH.replace("sys.argv[1:]", repr(addresses[:-1]))]
    assert member.container.must(*program).split() == list(addresses[:-1])
    join = 'echo $$ >"/sys/fs/cgroup/system.slice/$0.service/cgroup.procs"; exec "$@"'
    for service in SERVICES:
        reached = member.container.must("sh", "-c", join, service, *program).split()
        assert reached == [shared.DATABASE, shared.STORE], service
    show = ("systemctl", "show", "--value", "-p", "IPAddressAllow", "-p", "IPAddressDeny")
    for service in (*SERVICES, "portal-cleanup"):
        allowed = f"{shared.DATABASE}/32 {shared.STORE}/32\n\n::/0 0.0.0.0/0\n"
        assert sorted(member.container.must(*show, service).split()) == sorted(allowed.split())
        verified = member.container.run("systemd-analyze", "verify", f"{service}.service")
        assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    member.container.must("systemctl", "start", "portal-cleanup.service")


def test_only_a_balancer_is_believed_what_it_says_of_a_client(member: Installed) -> None:
    lie = ("--data", "username=mallory", "--header", "X-Forwarded-For: 192.0.2.1, 192.0.2.7")
    ask(member.container, "/sign-in", *lie)
    resolve = ("--resolve", f"{HOST}:443:{shared.OTHER}", "--interface", shared.BALANCER)
    ask(member.container, "/sign-in", *lie, *resolve)
    logged = member.container.must("cut", "-d ", "-f1", "/var/log/nginx/portal_access.log")
    assert logged.split()[-2:] == ["127.0.0.1", "192.0.2.7"]


def test_it_comes_back_after_a_restart(member: Installed) -> None:
    member.restart()
    wait_until_healthy(member)
    assert downloaded(member) == hashlib.sha256(CONTENT.encode()).hexdigest()


def test_a_service_that_starts_before_the_database_says_so_meanwhile(member: Installed) -> None:
    must = member.container.must
    drop_in = "/etc/systemd/system/portal-gunicorn.service.d/cluster.conf"
    must("sed", "-i", "s/^RestartSec=5/RestartSec=1/", drop_in)  # a test need not wait as long
    must("systemctl", "daemon-reload")
    must("systemctl", "stop", "database")
    must("systemctl", "kill", "--signal=KILL", "portal-gunicorn")
    answer = ask(member.container, "/")
    assert (answer.status, answer.header("Retry-After")) == (503, "60")
    assert "The portal is busy with something else." in answer.body
    restarts = "systemctl show --value -p NRestarts portal-gunicorn"
    assert must("sh", "-c", restarts).strip() == "1"
    must("systemctl", "start", "database")
    wait_until_healthy(member)
    assert downloaded(member) == hashlib.sha256(CONTENT.encode()).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("sed -i 's/^bucket/buckett/' cluster.toml", "has the key 'buckett', which means nothing"),
        ("rm secret_key", "secret_key cannot be read: No such file"),
        ("chmod 0640 password", "password is open to other users (mode 0640)"),
        ("sed -i 's#^endpoint.*#endpoint = \"http://10.77.0.2:1\"#' cluster.toml", "the store of"),
        ("sed -i 's#@10.77.0.1/#@10.77.0.4/#' cluster.toml", "the database of"),
        ("openssl rand -hex 32 >secret_key", "secret key is not that of the other hosts"),
        ("echo wrong >password", "password authentication failed"),
        (
            "sed -i 's/^bucket.*/bucket = \"other\"/' cluster.toml",
            "on the other hosts with the same",
        ),
        ("rm cluster.toml", "made this host one of a cluster"),
    ],
)
def test_a_wrong_file_changes_nothing(member: Installed, spoil: str, said: str) -> None:
    must, before = member.container.must, state(member)
    must("cp", "-a", str(shared.FOLDER), "/root/kept")
    must("sh", "-c", f"cd {shared.FOLDER}; {spoil}")
    done = member.container.install("nginx")  # which knows the file from the first time
    must("rm", "-r", str(shared.FOLDER))
    must("mv", "/root/kept", str(shared.FOLDER))
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert state(member) == before
    assert healthy(member)


def state(member: Installed) -> str:
    """Sum up what an installation writes, and what runs."""
    folders = "/etc/portal /etc/nginx /etc/systemd/system /opt/portal/app"
    files = f"find -L {folders} -type f ! -name '*.pyc' -exec sha256sum {{}} + | sort"
    running = f"systemctl show -p MainPID {' '.join(SERVICES)}"
    return member.container.must("sh", "-c", f"{files}; {running}")


def test_a_machine_that_cannot_filter_is_refused() -> None:
    program = f"import sys; sys.path.insert(0, '{CLONE}')\nfrom deploy import cluster_network\n"
    program += "cluster_network.check_firewall()"
    with booted() as container:
        done = container.run("/usr/bin/python3", "-B", "-c", program)
    assert "systemd cannot restrict the network of services here" in done.stderr
