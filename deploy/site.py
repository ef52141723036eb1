"""What the web server is told: certificate, site and sizes, put back unless all goes well."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from deploy.servers import SERVERS
from scripts.lib.jobs import Jobs
from scripts.lib.messages import fail, say

ACCOUNT = "portal"
PREFIX, SETTINGS = Path("/opt/portal"), Path("/etc/portal")
APACHE, NGINX = Path("/etc/apache2"), Path("/etc/nginx")
APACHE_SIZES = APACHE / "conf-available" / "portal.conf"
NGINX_SIZES = NGINX / "modules-enabled" / "90-portal.conf"
UNCHANGED = "What ran before runs on unchanged."
CERTIFICATE, KEY = SETTINGS / "tls.crt", SETTINGS / "tls.key"


def installed() -> dict[str, str]:
    """Return what the last installation wrote for the server."""
    file = SETTINGS / "environment"
    words = shlex.split(file.read_text(), comments=True) if file.exists() else []
    return dict(word.split("=", 1) for word in words if "=" in word)


def make_certificate(jobs: Jobs, host: str) -> None:
    """Create a self-signed certificate where there is none."""
    if CERTIFICATE.exists() or KEY.exists():
        return
    for path in (CERTIFICATE, KEY):
        path.unlink(missing_ok=True)  # a link to what somebody took away
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
    words += ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    files = ("-keyout", KEY, "-out", CERTIFICATE)
    jobs.quietly(*words, *files, umask=0o077, failure="cannot create a certificate.")
    say("created a certificate that no browser trusts; docs/portal/install.md says how to get one.")


def check_certificate(host: str) -> None:
    """Look into what Apache looks into when it starts, but not when it checks."""
    public = _openssl("x509", "-noout", "-pubkey", "-in", CERTIFICATE)
    if not public:
        fail(f"{CERTIFICATE} is not a certificate. {UNCHANGED}")
    if public != _openssl("pkey", "-pubout", "-in", KEY):
        fail(f"{KEY} is not the key of tls.crt. {UNCHANGED}")
    names = _openssl("x509", "-noout", "-in", CERTIFICATE, "-checkhost", host)
    if b"does match" not in names:
        say(f"the certificate in {CERTIFICATE} is not for {host}; browsers will warn.")


def _openssl(*words: str | Path) -> bytes:
    return subprocess.run(["openssl", *words], capture_output=True, check=False).stdout


class Changes:
    """What is written in this block is put back at its end, unless :meth:`keep` was called."""

    def __enter__(self) -> Self:
        self._changed: list[Path] = []
        self._folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *exception: object) -> None:
        for path in self._changed:
            path.unlink(missing_ok=True)
            if os.path.lexists(kept := Path(self._folder.name, path.relative_to("/"))):
                subprocess.run(["cp", "--archive", "--", kept, path], check=True)
        self._folder.cleanup()

    def keep(self) -> None:
        """Keep all changes."""
        self._changed.clear()

    def remember(self, path: Path) -> None:
        """Keep what a file is before it is changed; the first time, where it changes twice."""
        if path not in self._changed:
            if os.path.lexists(path):
                copy = ["cp", "--archive", "--parents", "--", str(path), self._folder.name]
                # cp of Debian 12 looks for the folders above in the current one.
                subprocess.run(copy, check=True, cwd="/")
            self._changed.append(path)

    def put(self, path: Path, text: str, mode: int = 0o644, gid: int = 0, uid: int = 0) -> None:
        """Write a file, whole or not at all."""
        self.remember(path)
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        new.write_text(text)
        os.chown(new, uid, gid)
        new.chmod(mode)
        new.replace(path)

    def remove(self, path: Path) -> None:
        """Remove a file, where there is one."""
        self.remember(path)
        path.unlink(missing_ok=True)


@dataclass
class Site:
    """The portal's site on one of the servers, from the code in ``app``."""

    jobs: Jobs
    changes: Changes
    name: str
    host: str
    sizes: Mapping[str, str]

    def __post_init__(self) -> None:
        self.server, self.app = SERVERS[self.name], PREFIX / "app.new"
        self.more_modules: tuple[str, ...] = ()  # of Apache

    def write_site(self) -> None:
        """Write the web server's configuration, and enable it."""
        if self.server.front == "apache2":
            sizes = "".join(f"Define {name} {value}\n" for name, value in self.sizes.items())
            self.changes.put(APACHE_SIZES, sizes + self._filled("apache/server.conf"))
            for name in ("overload.conf", "headers.conf", "compression.conf"):
                self.changes.put(SETTINGS / name, self._filled(f"apache/{name}"))
            self._put(APACHE)
            self.changes.remember(APACHE / "conf-enabled/portal.conf")
            self.changes.remember(APACHE / "sites-enabled/portal.conf")
            enable = partial(self.jobs.quietly, failure="cannot enable Apache's configuration.")
            usual = ("ssl", "headers", "http2", "filter", "deflate")
            enable("a2enmod", *usual, *self.server.modules, *self.more_modules)
            enable("a2enconf", "portal")
            enable("a2ensite", "portal")
        elif self.server.front == "nginx":
            self.changes.put(SETTINGS / "headers.conf", self._filled("nginx/headers.conf"))
            self._put(NGINX)
            self._write_nginx_sizes()
            enabled = NGINX / "sites-enabled/portal.conf"
            self.changes.remove(enabled)
            enabled.symlink_to("../sites-available/portal.conf")

    def _put(self, folder: Path) -> None:
        self.changes.put(
            folder / "sites-available/portal.conf", self._filled(f"{self.name}/portal.conf")
        )

    def _filled(self, name: str) -> str:
        """Return the text of a file of deploy/ with the values in their places."""
        values = {**self.sizes, "HOST": self.host, "BODY_LIMIT": installed()["BODY_LIMIT"]}
        text = (self.app / "deploy" / name).read_text()
        return re.sub("@([A-Z0-9_]+)@", lambda found: values.get(found[1], found[0]), text)

    def _write_nginx_sizes(self) -> None:
        """Write what stands outside of nginx's http {}: connections and descriptors.

        What the machine's own configuration says stays, where it is enough.
        """
        main, wanted = NGINX / "nginx.conf", self.sizes["SIZE_CONNECTIONS"]
        text, least = main.read_text(), self.sizes["SIZE_DESCRIPTORS"]
        found = re.findall(r"^([^#\n]*\bworker_connections\s+)([0-9]+);", text, re.MULTILINE)
        if len(found) != 1:
            fail(f"{main} has to have 'worker_connections NUMBER;' once, in events {{}}.")
        before, number = found[0]
        if int(number) < int(wanted):
            self.changes.put(main, text.replace(before + number, before + wanted))
        limit = re.search(r"^[^#\n]*\bworker_rlimit_nofile\s+([0-9]+);", text, re.MULTILINE)
        if limit is None:
            self.changes.put(NGINX_SIZES, self._filled("nginx/sizes.conf"))
        elif int(limit[1]) < int(least):
            fail(f"{main} has worker_rlimit_nofile {limit[1]}. It has to be {least} at least.")
        else:
            self.changes.remove(NGINX_SIZES)

    def check_site(self, venv: Path) -> None:
        """Let the web server check its configuration."""
        failure = f"the web server refuses its new configuration. {UNCHANGED}"
        check = partial(self.jobs.quietly, failure=failure)
        if self.server.front == "apache2":
            check("apache2ctl", "configtest")
        elif self.server.front == "nginx":
            check("nginx", "-t")
        else:
            # In a folder of its own, with what systemd would give it.
            with tempfile.TemporaryDirectory() as folder:
                variables = {**os.environ, **installed(), "CREDENTIALS_DIRECTORY": str(SETTINGS)}
                variables |= {"VENV": str(venv), "APP": str(self.app)}
                user = ("--user", ACCOUNT, "--group", ACCOUNT)
                serve = self.app / "deploy/apache-express/serve"
                check(serve, "setup-server", folder, *user, env=variables)
                check(f"{folder}/apachectl", "configtest", env=variables)
