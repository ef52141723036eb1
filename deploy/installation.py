"""deploy/install: make this machine serve the portal, or bring what it serves up to date."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy import cluster as cluster_file
from deploy import cluster_network, prerequisites, site
from deploy.backups import KEPT
from deploy.certificate import Certbot
from deploy.cluster import Cluster, ClusterError
from deploy.servers import SERVERS
from deploy.steps import Installation
from scripts.lib import machine
from scripts.lib.jobs import Jobs
from scripts.lib.messages import Parser, refuse, say

HELP = """\
Install the portal on this machine, to be served as https://HOST/, or update it: accounts, files,
settings and certificate stay. Only root may do that. SERVER is one of

  nginx            nginx in front of gunicorn: if unsure, this one
  apache-site      Debian's Apache with mod_wsgi
  apache-express   mod_wsgi-express, under systemd
  xsendfile        Debian's Apache with mod_xsendfile in front of gunicorn"""
MORE = """\
Exit status: 0 when the portal answers and its doctor finds no failure; 1 when something failed; 2
when it cannot work as called. Until 'switching' is printed, what ran before runs on unchanged; from
then on the database may be the new portal's: mend what failed, and run this again."""
_CLIENTS = """how many slow clients to expect at once from then on; docs/portal/sizing.md says
    what follows (default: 1000, or what memory allows)"""
_CLUSTER = """make this one host of a cluster, as the TOML file says, from then on;
    docs/portal/cluster.md has what stands in it (an empty name: one machine alone again)"""
_CERTBOT = """have certbot obtain a certificate for HOST, and renew it, from then on. EMAIL is
    that of your account there, or no-email; you agree to the authority's terms (an empty value: you
    care for the certificate yourself again)"""
_ACME = """the authority's directory, if it is not Let's Encrypt's. This machine has to trust the
    authority already (an empty value: Let's Encrypt again)"""
_BACKUPS = """how many daily backups to keep in /var/backups/portal, from then on; 0 for none
    (default: 7)"""
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def main(words: Sequence[str]) -> None:
    """Install or update the portal."""
    parser = Parser(HELP, MORE)
    parser.add_argument("words", nargs="*", metavar="SERVER HOST")
    parser.add_argument("--clients", metavar="N", help=_CLIENTS)
    parser.add_argument("--cluster", metavar="FILE", help=_CLUSTER)
    parser.add_argument("--certbot", metavar="EMAIL", help=_CERTBOT)
    parser.add_argument("--acme-directory", metavar="URL", help=_ACME)
    parser.add_argument("--backups", metavar="N", help=_BACKUPS)
    given = parser.parse_args(words)
    if len(given.words) != 2:
        refuse("it takes two words, SERVER and HOST. See --help.")
    name, host = given.words[0], given.words[1].lower()
    if name not in SERVERS:
        refuse(f"there is no SERVER '{name}'. See --help.")
    if not re.fullmatch(rf"({_LABEL}\.)+{_LABEL}", host) or len(host) > 253:
        refuse(
            f"'{given.words[1]}' is not the name of a machine. Use the whole name in letters,"
            " digits, - and dots, such as files.example.org."
        )
    if os.geteuid() != 0:
        refuse("only root may install the portal.")
    if not machine.SYSTEM:
        refuse(f"this system is not supported. The portal is installed on {machine.SUPPORTED}.")
    if not Path("/run/systemd/system").is_dir():
        refuse("systemd does not run here, and it starts the portal.")
    before = site.installed()
    clients = before.get("CLIENTS", "") if given.clients is None else given.clients
    file = before.get("CLUSTER", "") if given.cluster is None else given.cluster
    try:
        cluster, networks = _read_cluster(file, name)
    except ClusterError as error:
        if given.cluster is None:
            refuse(
                f"an earlier run with --cluster {file} made this host one of a cluster. {error}"
                " Mend that, or name another FILE."
            )
        refuse(str(error))
    certbot = _certbot(given, before, in_cluster=cluster is not None)
    sizes = machine.choose_sizes(name, clients)  # before anything is installed
    kept = _backups(given, before, in_cluster=cluster is not None)
    _check_machine(host, before, obtains=certbot is not None)
    with site.Changes() as changes, Jobs() as jobs:
        place = (jobs, changes, name, host, sizes, cluster, networks)
        Installation(*place, kept, clients, certbot).run()


def _check_machine(host: str, before: Mapping[str, str], *, obtains: bool) -> None:
    """Refuse a machine that lacks something, before anything is changed on it."""
    found = list(prerequisites.problems(host, is_new=not before, obtains=obtains))
    if found:
        refuse("this machine is not ready:" + "".join(f"\n  - {one}" for one in found))
    if before.get("HOST") != host and (said := prerequisites.advice(host)):
        say(said)


def _backups(given: Namespace, before: Mapping[str, str], *, in_cluster: bool) -> int:
    """Return how many daily backups to keep; 0: make none."""
    asked = before.get("BACKUPS", "") if given.backups is None else given.backups
    if not re.fullmatch("[0-9]{0,3}", asked):
        refuse(f"'{asked}' is not a number of backups. Use one from 0 to 999.")
    if in_cluster and given.backups not in (None, "", "0"):
        refuse(
            "--backups is for one machine alone. The hosts of a cluster keep nothing of their own:"
            " back up the database and the store, as docs/portal/cluster.md says."
        )
    return 0 if in_cluster else int(asked or KEPT)


def _certbot(given: Namespace, before: Mapping[str, str], *, in_cluster: bool) -> Certbot | None:
    """Return what is said about certbot, now or earlier."""
    email = before.get("CERTBOT", "") if given.certbot is None else given.certbot
    directory = given.acme_directory
    if directory is None:
        directory = before.get("ACME_DIRECTORY", "") if email else ""
    if not email:
        if directory:
            refuse("--acme-directory goes with --certbot. Name that, too.")
        return None
    if in_cluster:
        refuse(
            "--certbot is for one machine alone: a balancer may ask another host for what the"
            " authority wants to see on this one. Obtain the certificate where the balancer is."
        )
    certbot = Certbot(email, directory)
    if certbot.problem:
        refuse(certbot.problem)
    return certbot


def _read_cluster(file: str, server: str) -> tuple[Cluster | None, Sequence[str]]:
    """Read and try what --cluster names, before anything is installed.

    :raises ClusterError: if it cannot be used.
    """
    if not file:
        return None, ()
    cluster = cluster_file.read(Path(file).absolute())
    if not SERVERS[server].has_stores:
        raise ClusterError(f"{server} cannot send files from a store. Choose nginx.")
    if cluster.connections and server == "nginx":
        raise ClusterError(f"connections in [store] of {file} is for Apache. Leave it out.")
    if cluster.resolver and server != "nginx":
        raise ClusterError(f"resolver in [store] of {file} is for nginx. Leave it out.")
    networks = cluster_network.allowed(cluster)
    cluster_network.check_firewall()
    return cluster, networks
