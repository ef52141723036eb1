"""The file of ``deploy/install --cluster``: what it takes, and what it refuses in words."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy import cluster, cluster_network, member, site
from deploy.cluster import Cluster, ClusterError
from flask_delegate import ConfigurationError
from flask_delegate.stores import store
from scripts.lib.environment import locked
from tests.support.paths import PROJECT

EXAMPLE = """\
secret_key_file = "secret_key"
balancers = ["10.0.0.2", "10.9.0.0/24"]
[database]
url = "postgresql://portal@db1.example.org,db2.example.org:5433/portal?sslmode=verify-full"
password_file = "password"
[store]
endpoint = "https://store.example.org"
bucket = "portal"
keys_file = "store-keys.toml"
"""
SECRETS = {
    "secret_key": "0123456789abcdef0123456789abcdef\n",
    "password": "a:b\\c\n",
    "store-keys.toml": 'key_id = "k"\nsecret = "s"\n',
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name, text in {**SECRETS, "cluster.toml": EXAMPLE}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "cluster.toml"


def refusal(file: Path) -> str:
    with pytest.raises(ClusterError) as refused:
        cluster.read(file)
    return str(refused.value)


def test_what_the_file_says_reaches_the_portal_without_a_secret(file: Path) -> None:
    found = cluster.read(file)
    assert found.balancers == ("10.0.0.2/32", "10.9.0.0/24")
    assert found.services == {
        "database": [("db1.example.org", 5432), ("db2.example.org", 5433)],
        "store": [("store.example.org", 443)],
    }
    assert found.secrets["pgpass"] == "*:*:*:*:a\\:b\\\\c\n"
    lines = "\n".join(cluster.quoted(found.variables))
    variables = dict(word.split("=", 1) for word in shlex.split(lines))
    assert variables == {
        "CLUSTER": str(file),
        "PORTAL_DATABASE": "postgresql://portal@db1.example.org,db2.example.org:5433/portal"
        "?sslmode=verify-full&passfile=/etc/portal/cluster/pgpass",
        "PORTAL_STORE": '{"endpoint": "https://store.example.org", "bucket": "portal"}',
        "PORTAL_STORE_KEYS_FILE": "/etc/portal/cluster/store-keys.toml",
        "PORTAL_SECRET_KEY_FILE": "/etc/portal/cluster/secret_key",
    }
    shell = subprocess.run(
        ["bash", "-c", f'{lines}\nprintf %s "$PORTAL_STORE"'], capture_output=True, check=True
    )
    assert shell.stdout.decode() == variables["PORTAL_STORE"]
    assert not any(secret.strip() in f"{lines}{found!r}" for secret in SECRETS.values())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[store]", "[stor]", "has the key 'stor', which means nothing. It takes balancers,"),
        ("[store]\n", "[store", "is not TOML"),
        ('bucket = "portal"', "", "[store] of FILE lacks bucket"),
        ('bucket = "portal"', "bucket = 3", "bucket in [store] of FILE must be a text"),
        ('bucket = "portal"', 'bucket = "it\'s"', "must be a text without ' and \\"),
        ("[database]", "database = 1\n[other]", "FILE has"),
        ("portal@db1", "portal:secret@db1", "has a password or names its file"),
        ("?sslmode", "?passfile=/x&sslmode", "has a password or names its file"),
        ("postgresql:", "mysql:", "must be an address such as postgresql://"),
        ("db1.example.org,db2.example.org:5433", "", "names no host"),
        ("db1.example.org,db2.example.org:5433", "%2Frun", "names no host"),
        ("10.0.0.2", "balancer", "balancers in FILE must be IP addresses or networks"),
        ('"10.0.0.2", ', "7, ", "balancers in FILE must be a list"),
        ("[database]", '[database]\nnetworks = ["10.0.0.1/8"]', "networks of [database] in FILE"),
        ("[store]", '[store]\nresolver = "dns"', "resolver in [store] of FILE must be the IP"),
        ("[store]", "[store]\nconnections = 0", "connections in [store] of FILE must be a whole"),
        ('"secret_key"', '"/no/key"', "/no/key cannot be read: No such file or directory"),
        ('"secret_key"', '"."', "cannot be read: Is a directory"),
    ],
)
def test_a_wrong_file_is_refused_in_words(file: Path, before: str, after: str, said: str) -> None:
    assert before in EXAMPLE
    file.write_text(EXAMPLE.replace(before, after, 1))
    assert said.replace("FILE", str(file)) in refusal(file)


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "s.example", "//s.example", "ftp://s.example", "https:s.example", "https://"),
        *("https://s.example:99999", "https://s.example:0", "https://s.example:abc"),
        *("https://s.example:", "https://[::1", "https://::1", "https://[fe80::1%25eth0]"),
        *("https://u:p@s.example", "https://u@s.example", "https://s.example?a=b"),
        *("https://s.example/path", "https://s.example#f", "https://s example"),
        *("https://s.example ", " https://s.example", "https://$(id)", "https://s.example;"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(file: Path, endpoint: str) -> None:
    """As the portal has it, which would not start with another one."""
    file.write_text(EXAMPLE.replace("https://store.example.org", endpoint))
    with pytest.raises(ConfigurationError) as refused:
        store._endpoint(endpoint, "endpoint")
    said = f"endpoint in [store] of {file} {refused.value.problem} {refused.value.cure}"
    assert refusal(file) == said


@pytest.mark.parametrize("endpoint", ["https://[::::]", "https://[10.0.0.1]"])
def test_an_endpoint_has_an_address_in_brackets(file: Path, endpoint: str) -> None:
    file.write_text(EXAMPLE.replace("https://store.example.org", endpoint))
    assert "is not the address of a store" in refusal(file)


@pytest.mark.parametrize(
    ("endpoint", "server"),
    [
        ("HTTP://S.example/", ("s.example", 80)),
        ("https://s.example:8333", ("s.example", 8333)),
        ("http://[fd00::1]", ("fd00::1", 80)),
        ("https://[fd00::1]:65535", ("fd00::1", 65535)),
    ],
)
def test_an_endpoint_is_where_the_portal_has_it(
    file: Path, endpoint: str, server: tuple[str, int]
) -> None:
    file.write_text(EXAMPLE.replace("https://store.example.org", endpoint))
    assert cluster.read(file).services["store"] == [server]
    assert store._endpoint(endpoint, "") == endpoint.lower().rstrip("/")


def test_what_is_written_as_the_extension_has_it_is_the_same() -> None:
    assert (cluster._HOST, cluster._KEY) == (store._HOST, store._KEY)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        *(
            (f"postgresql://{rest}", "must be an address such as postgresql://")
            for rest in (
                *("a@[h]x/p", "a@[h/p", "a@h:99999/p", "a@h:0/p", "a@h:abc/p", "a@h/p?port=99999"),
                *("a@h/p?port=-1", "a@h/p?port=%D9%A3", f"a@h/p?port={'1' * 10_000}"),
                *("a@h,i/p?port=1,2,3", "a@h/p#?password=x", "a#:x@h/p", "a:x?@h/p"),
                *("h?x=a:x@i/p", "a@b@h/p", "@a@h/p"),
            )
        ),
        *(
            (f"postgresql://{rest}", "has a password or names its file")
            for rest in (
                *("a:x@h/p", "a%3Apw@h/p", "a%3apw@h/p", ":@h/p", "a@h/p?pass%77ord=x"),
                *("a@h/p?%70assfile=/x", "a@h/p?PASSWORD=x", "a@h/p?sslp%61ssword=x"),
                *("a@h/p?password%3Dx", "a@h/p?sslmode=require&%70%61%73%73word=x"),
            )
        ),
        *(
            (f"postgresql://{rest}", "names no host")
            for rest in ("a@/p", "a@h/p?host=", "a@h%00/p", "a@h%0Ai/p", "a@%40h/p", "a@h,/p")
        ),
    ],
)
def test_a_url_has_hosts_and_no_password_as_libpq_reads_it(file: Path, url: str, said: str) -> None:
    file.write_text(re.sub('postgresql:[^"]*', lambda _: url, EXAMPLE))
    assert f"url in [database] of {file} {said}" in refusal(file)
    assert url not in refusal(file)


def test_brackets_in_a_url_are_refused_or_read(file: Path) -> None:
    """As Python's version has it: some take only an address there."""
    file.write_text(re.sub('postgresql:[^"]*', "postgresql://a@[h]/p", EXAMPLE))
    try:
        found = cluster.read(file).services["database"]
    except ClusterError as error:
        assert "must be an address such as postgresql://" in str(error)  # noqa: PT017
    else:
        assert found == [("h", 5432)]


@pytest.mark.parametrize("zone", ["eth0", "a\\nb", "; allow all", "'x", "a/64"])
@pytest.mark.parametrize(
    "line", ['balancers = ["{}"]', '[database]\nnetworks = ["{}"]', '[store]\nresolver = "{}"']
)
def test_an_address_has_no_zone(file: Path, line: str, zone: str) -> None:
    table, _, key = line.rpartition("\n")
    text = EXAMPLE if table else EXAMPLE.replace("balancers", "#")
    written = key.format(f"fe80::1%{zone}")
    file.write_text(
        text.replace(table, f"{table}\n{written}", 1) if table else f"{written}\n{text}"
    )
    said = refusal(file)
    assert re.search(r"(balancers|networks|resolver) .*must be ", said)
    assert "\n" not in said


@pytest.mark.parametrize(
    "networks",
    [
        *(["0.0.0.0/0"], ["::/0"], ["10.0.0.5", "::/0"], ["0.0.0.0/0.0.0.0"]),
        *(["0.0.0.0/1", "128.0.0.0/1"], ["2000::/3"], ["2000::/4", "3000::/4"]),
        *(["::ffff:0:0/96"], ["::/1"]),
    ],
)
def test_not_everybody_is_a_balancer(file: Path, networks: list[str]) -> None:
    file.write_text(re.sub("balancers = .*", f"balancers = {networks}", EXAMPLE))
    assert f"balancers in {file} include every address" in refusal(file)


def test_balancers_are_written_in_one_form(file: Path) -> None:
    given = ["10.0.0.0/255.255.255.0", "FD00:0::1", "fd00:1::/64"]
    file.write_text(re.sub("balancers = .*", f"balancers = {given}", EXAMPLE))
    assert cluster.read(file).balancers == ("10.0.0.0/24", "fd00::1/128", "fd00:1::/64")


@pytest.mark.parametrize("value", ["1" * 10_000, "[" * 20_000, "{a=" * 20_000])
def test_a_file_that_is_too_much_for_the_parser_is_refused(file: Path, value: str) -> None:
    file.write_text(f"key = {value}\n{EXAMPLE}")
    assert refusal(file).startswith(f"{file} ")
    assert len(refusal(file)) < 300


@pytest.mark.parametrize("name", [*SECRETS, "cluster.toml"])
@pytest.mark.parametrize("written", [False, True])
def test_a_pipe_is_refused_at_once(file: Path, name: str, written: bool) -> None:
    path = file.with_name(name)
    path.unlink()
    os.mkfifo(path, 0o600)
    writer = os.open(path, os.O_RDWR) if written else -1
    assert refusal(file) == f"{path} has to be a file."
    if written:
        os.close(writer)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_in_which_others_write_is_refused(file: Path, mode: int) -> None:
    """And one above it, and one in which a link lies or ends."""
    inner, other = file.parent / "inner", file.parent / "other"
    for folder in (inner, other):
        folder.mkdir(0o700)
    file.rename(inner / file.name)
    for name in SECRETS:
        file.with_name(name).rename(other / name)
        (inner / name).symlink_to(other / name)
    moved = inner / file.name
    for folder in (file.parent, inner, other):
        folder.chmod(mode)
        assert f"(mode {mode:04o}). Run: chmod go-w {folder}" in refusal(moved)
        folder.chmod(mode | 0o1000)  # in which others replace only their own
        cluster.read(moved)
        folder.chmod(0o755)
    cluster.read(moved)


def of_another(found: os.stat_result) -> os.stat_result:
    """Return what would be seen of something that another user has."""
    return os.stat_result((*found[:4], os.geteuid() + 65534, *found[5:]))


def test_a_folder_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = os.stat

    def told(path: Any, **options: Any) -> os.stat_result:
        found = seen(path, **options)
        return of_another(found) if Path(path) == file.parent else found

    monkeypatch.setattr(os, "stat", told)
    assert f"replaced by the user to whom {file.parent} belongs. Move it" in refusal(file)


def test_the_example_of_the_documentation_is_taken(tmp_path: Path) -> None:
    page = (
        (PROJECT / "docs/portal/cluster.md").read_text().replace("/root/cluster", f"{tmp_path}/c")
    )
    commands, text = re.findall(r"\n\n((?:       .*\n|\n)+)", page)[:2]
    subprocess.run(["bash", "-ec", textwrap.dedent(commands)], check=True)
    path = tmp_path / "c" / "cluster.toml"
    path.write_text(textwrap.dedent(text))
    path.chmod(0o600)
    found = cluster.read(path)
    assert found.secrets["pgpass"] == "*:*:*:*:PASSWORD\n"
    assert found.balancers == ("10.0.0.2/32",)
    documented = set(re.findall(r"`([a-z_]+)`", page))
    assert documented >= {key for keys in cluster._TABLES.values() for key in keys} - {
        "database",
        "store",
    }


def test_a_path_that_the_environment_cannot_hold_is_refused(tmp_path: Path) -> None:
    assert "cannot be remembered" in refusal(tmp_path / "it's.toml")
    assert "cannot be remembered" in refusal(tmp_path / os.fsdecode(b"no-\xff.toml"))


@pytest.mark.parametrize("name", [*SECRETS, "cluster.toml"])
def test_a_file_that_is_open_to_others_is_refused(file: Path, name: str) -> None:
    path = file.with_name(name)
    path.chmod(0o622)
    cure = "go-w" if path == file else "go="
    assert f"{path} is open to other users (mode 0622). Run: chmod {cure} {path}" == refusal(file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("secret_key", "short\n", "secret_key holds fewer than 32 characters"),
        ("password", "", "password must hold one line"),
        ("password", "two\nlines\n", "password must hold one line"),
        ("password", "with\0nothing\n", "password must hold one line"),
        ("password", "returned\r\n", "password must hold one line"),
        ("password", "\ufeffmarked\n", "password begins with a byte order mark"),
        (
            "secret_key",
            "\ufeff" + SECRETS["secret_key"],
            "secret_key begins with a byte order mark",
        ),
        ("secret_key", "k" * (1024**2 + 1), "secret_key is longer than 1048576 bytes"),
        ("password", "k" * (1024**2 + 1), "password is longer than 1048576 bytes"),
        *(
            ("store-keys.toml", text, "store-keys.toml does not hold the store's keys. Write TOML")
            for text in (
                "",
                "no-TOML-but-a-key",
                'key_id = "no-secret"',
                'key_id = "k"\nsecret = "s"\nregion = "r"\n',
                'key_id = "k"\nsecret = 7\n',
                'key_id = "k"\nsecret = ""\n',
                'key_id = "k"\nsecret = "s s"\n',
                f'key_id = "k"\nsecret = {"1" * 10_000}\n',
                "key_id = " + "[" * 20_000,
            )
        ),
    ],
)
def test_a_secret_of_another_form_is_refused(file: Path, name: str, text: str, said: str) -> None:
    file.with_name(name).write_text(text)
    assert said in refusal(file)
    assert text.strip() == "" or text.strip() not in refusal(file)
    assert len(refusal(file)) < 400


def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = os.fstat
    monkeypatch.setattr(os, "fstat", lambda opened: of_another(seen(opened)))
    assert "belongs to another user than root" in refusal(file)


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://p@10.0.0.1/d", [("10.0.0.1", 5432)]),
        ("postgresql://p@[fd00::1]:5433/d", [("fd00::1", 5433)]),
        ("postgresql://p@a,b/d?port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql:///d?host=a,b&port=7&user=p", [("a", 7), ("b", 7)]),
        ("postgresql://p@a/d?hostaddr=10.0.0.9", [("10.0.0.9", 5432)]),
    ],
)
def test_the_servers_are_those_that_libpq_tries(
    file: Path, url: str, servers: list[tuple[str, int]]
) -> None:
    conninfo = conninfo_to_dict(url)
    assert str(conninfo.get("hostaddr", conninfo["host"])).split(",") == [one for one, _ in servers]
    file.write_text(
        EXAMPLE.replace(
            "postgresql://portal@db1.example.org,db2.example.org:5433/portal?sslmode=verify-full",
            url,
        )
    )
    assert cluster.read(file).services["database"] == servers


Reached = Callable[..., Cluster]


@pytest.fixture
def reached(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reached:
    """Read the file for names with the addresses that are given, of which some answer."""

    def read(text: str, names: dict[str, str], *away: str) -> Cluster:
        def find(host: str, port: int, **_: Any) -> list[Any]:
            if address := names.get(host, host if host[0].isdigit() else ""):
                return [(0, 0, 0, "", (address, port))]
            raise socket.gaierror(-2, "Name or service not known")

        def connect(server: tuple[str, int], timeout: float) -> Any:
            assert timeout
            if server[0] in away:
                raise ConnectionRefusedError(111, "Connection refused")
            return SimpleNamespace(close=lambda: None)

        monkeypatch.setattr(socket, "getaddrinfo", find)
        monkeypatch.setattr(socket, "create_connection", connect)
        (tmp_path / "resolv.conf").write_text("search example.org\nnameserver 10.0.0.53\n")
        monkeypatch.setattr(cluster_network, "_RESOLVERS", tmp_path / "resolv.conf")
        file.write_text(text)
        return cluster.read(file)

    return read


NAMES = {
    "db1.example.org": "10.0.0.1",
    "db2.example.org": "10.0.0.4",
    "store.example.org": "10.0.0.5",
}


def test_names_are_allowed_with_their_addresses_and_name_servers(reached: Reached) -> None:
    """And a database that stands by need not answer."""
    found = reached(EXAMPLE, NAMES, "10.0.0.1")
    wanted = ("10.0.0.1/32", "10.0.0.4/31", "10.0.0.53/32")
    assert cluster_network.allowed(found) == wanted


def test_addresses_are_allowed_and_nothing_else(reached: Reached) -> None:
    text = EXAMPLE
    for name, address in NAMES.items():
        text = text.replace(name, address)
    found = reached(text, {})
    assert cluster_network.allowed(found) == ("10.0.0.1/32", "10.0.0.4/31")


def test_networks_that_are_named_are_allowed_in_their_place(reached: Reached) -> None:
    text = EXAMPLE.replace("[store]", '[store]\nnetworks = ["10.0.0.0/28", "fd00::/64"]')
    found = reached(text, NAMES)
    assert cluster_network.allowed(found) == ("10.0.0.0/28", "10.0.0.53/32", "fd00::/64")
    beyond = {**NAMES, "store.example.org": "192.0.2.1"}
    with pytest.raises(ClusterError, match=r"lack 192\.0\.2\.1, which is store"):
        cluster_network.allowed(reached(text, beyond))


def test_what_does_not_answer_is_refused(reached: Reached) -> None:
    with pytest.raises(ClusterError, match=r"the store of .* \(10.0.0.5\): Connection refused"):
        cluster_network.allowed(reached(EXAMPLE, NAMES, "10.0.0.5"))
    with pytest.raises(ClusterError, match=r"the database of .* does not answer: db1.* db2"):
        cluster_network.allowed(reached(EXAMPLE, NAMES, "10.0.0.1", "10.0.0.4"))
    with pytest.raises(ClusterError, match="which has no address: Name or"):
        cluster_network.allowed(reached(EXAMPLE, {}))


@pytest.mark.parametrize("status", [0, 1, 203])
def test_nothing_but_a_filtered_packet_shows_that_packets_are_filtered(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess[bytes]((), status)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ClusterError, match="systemd cannot restrict the network"):
        cluster_network.check_firewall()


def test_a_machine_alone_has_neither_networks_nor_secrets_left(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    units, secrets = tmp_path / "units", tmp_path / "secrets"
    monkeypatch.setattr(member, "UNITS", units)
    monkeypatch.setattr(member, "SECRETS", secrets)
    monkeypatch.setattr(member, "_BALANCERS", tmp_path / "balancers.conf")
    monkeypatch.setattr(member.Member, "install_files", lambda *_: secrets.mkdir(exist_ok=True))
    monkeypatch.setattr(site.Site, "write_site", lambda _: None)
    units.mkdir()
    own: Any = SimpleNamespace(pw_uid=os.geteuid(), pw_gid=os.getegid())
    jobs: Any = None
    file.write_text(EXAMPLE.replace("[store]", '[store]\nresolver = "fd00::53"'))
    for found in (cluster.read(file), None):
        with site.Changes() as changes:
            host = member.Member(jobs, changes, "nginx", "h.example.org", {}, found, ["10.0.0.1"])
            host.app = Path(__file__).parents[2]
            host.write_secrets(own)
            host.write_site()
            host.write_networks(["portal-gunicorn.service", "portal-cleanup.service"])
            changes.keep()
        written = sorted(path.name for path in secrets.iterdir())
        allowed = [path.read_text() for path in units.glob("*/cluster.conf")]
        assert written == (["pgpass", "secret_key", "store-keys.toml"] if found else [])
        assert len(allowed) == (2 if found else 0)
        assert all("\nIPAddressAllow=10.0.0.1\n" in one for one in allowed)
        assert (tmp_path / "balancers.conf").exists() == bool(found)
        assert bool(host.shared_variables()) == bool(found)
        assert host.guard_options() == (["--resolver", "[fd00::53]"] if found else [])


def test_only_a_cluster_installs_what_asks_its_services() -> None:
    extra = {"boto3", "psycopg", "psycopg-binary"}
    assert not extra & set(locked("gunicorn"))
    assert extra <= set(locked("gunicorn", "postgresql", "store"))
