"""What an installation does on a host of a cluster, and undoes on one that is none any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pwd import struct_passwd

from deploy import cluster_network, site
from deploy.cluster import SECRETS, Cluster, quoted
from deploy.site import ACCOUNT, SETTINGS

UNITS = Path("/etc/systemd/system")
_BALANCERS = SETTINGS / "balancers.conf"  # each site includes it, where it is


@dataclass
class Member(site.Site):
    """A site of one of the hosts of a cluster, or of a machine alone.

    :param networks: what the services may reach of what the hosts share.
    """

    cluster: Cluster | None
    networks: Sequence[str]

    def write_secrets(self, user: struct_passwd) -> None:
        """Copy what root's files hold to where the portal's user reads it, and nobody else."""
        secrets = self.cluster.secrets if self.cluster else {}
        if secrets:
            own = ("--owner=root", f"--group={ACCOUNT}")
            self.install_files("--directory", "--mode=0750", *own, SECRETS)
        for path in sorted(SECRETS.iterdir()) if SECRETS.exists() else ():
            if path.name not in secrets:
                self.changes.remove(path)
        for name, text in secrets.items():
            self.changes.put(SECRETS / name, text, 0o400, uid=user.pw_uid, gid=user.pw_gid)

    def shared_variables(self) -> str:
        """Return the lines of the environment that say what the hosts share."""
        shared = self.cluster.variables if self.cluster else {}
        return "".join(f"{line}\n" for line in quoted(shared))

    def guard_options(self) -> list[str]:
        """Return the options that the command for the web server's rules takes for the store."""
        options: list[str] = []
        if self.cluster and self.cluster.resolver:
            options += ["--resolver", self.cluster.resolver]
        if self.cluster and self.cluster.connections:
            options += ["--store-connections", str(self.cluster.connections)]
        return options

    def write_site(self) -> None:
        """See :class:`.Site`; and write whose word about a client's address is believed."""
        if self.cluster:
            self.more_modules = ("proxy", "proxy_http")  # by which Apache asks the store
        balancers = self.cluster.balancers if self.cluster else ()
        if not balancers:
            self.changes.remove(_BALANCERS)
        elif self.server.front == "nginx":
            lines = [f"set_real_ip_from {one};" for one in balancers]
            lines += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;", ""]
            self.changes.put(_BALANCERS, "\n".join(lines))
        else:
            self.more_modules += ("remoteip",)
            lines = [f"RemoteIPInternalProxy {one}" for one in balancers]
            self.changes.put(_BALANCERS, "\n".join(["RemoteIPHeader X-Forwarded-For", *lines, ""]))
        super().write_site()

    def write_networks(self, units: Sequence[str]) -> None:
        """Let the services of a host reach what the hosts share; else they have no network."""
        for unit in cluster_network.UNITS:
            path = UNITS / f"{unit}.d" / "cluster.conf"
            if self.cluster and unit in units:
                path.parent.mkdir(exist_ok=True)
                template = (self.app / "deploy/systemd/cluster.conf").read_text()
                path.write_text(template.replace("@NETWORKS@", " ".join(self.networks)))
            else:
                path.unlink(missing_ok=True)

    def install_files(self, *words: str | Path) -> None:
        """Copy files or create folders, of root's where no option says otherwise, by install(1)."""
        self.jobs.quietly("install", *words, failure=f"cannot write to {words[-1]}.")
