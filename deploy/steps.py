"""The steps of an installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam
from typing import Any

from deploy import backups, certificate, health, services, site
from deploy.cluster import SECRETS
from deploy.make_folders import DATA, make_folders
from deploy.servers import GUNICORN
from deploy.site import ACCOUNT, PREFIX, SETTINGS
from scripts.lib import machine
from scripts.lib.environment import BrowserFiles, Environment
from scripts.lib.jobs import as_user, hold
from scripts.lib.messages import fail, refuse, say

LOGS = Path("/var/log/portal")  # of what writes there as root


@dataclass
class Installation(services.Services):
    """The steps of an installation, in their order."""

    clients: str
    certbot: certificate.Certbot | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.receipts = LOGS / f"{self.name}.log"
        if self.name == "apache-express":  # the portal's user writes it, in a folder of its own
            self.receipts = LOGS.with_name("portal-express") / "receipts.log"

    def run(self) -> None:
        """Take all steps."""
        self.check_neighbours()
        self.prepare_machine()
        self.prepare_account()
        self.prepare_code()
        self.write_settings()
        self.write_site()
        self.check_site(self.environment.path)
        say("switching ...")
        self.upgrade_database()
        self.switch_code()
        self.switch_server()
        self.wait_until_healthy()
        self.remove_former_code()
        problem = self.obtain_certificate()
        self.examine()
        if problem:
            fail(
                f"there is no new certificate: {problem} The portal runs with the certificate that"
                " it had. Mend that, and run deploy/install again."
            )

    def check_neighbours(self) -> None:
        """Refuse where another web server has the ports.

        What this portal used before makes room by itself, unless it serves something else, too.
        """
        for other in ("apache2", "nginx"):
            active = ["systemctl", "is-active", "--quiet", other]
            if other == self.server.front or subprocess.run(active, check=False).returncode:
                continue
            needs = f"and {self.name} needs the ports 80 and 443 for itself."
            if other != self.former:
                refuse(
                    f"{other} is running, {needs} If nothing needs {other}:"
                    f" systemctl disable --now {other}"
                )
            sites = {path.name for path in Path("/etc", other, "sites-enabled").iterdir()}
            if others := sites - {"portal.conf", "000-default.conf", "default"}:
                refuse(
                    f"{other} serves more than the portal ({' '.join(sorted(others))}), {needs}"
                    f" Install {self.before} again, or take those sites away first."
                )

    def prepare_machine(self) -> None:
        """Install Debian's packages."""
        (PREFIX / "venv").mkdir(parents=True, exist_ok=True)
        if not hold(PREFIX):
            refuse("another deploy/install is at work. Wait until it has ended.")
        wanted = (*self.server.wanted, *(("certbot",) if self.certbot else ()))
        wanted = ("curl", "logrotate:/usr/sbin/logrotate", "npm", "openssl", *wanted)
        machine.install_packages(self.jobs, *wanted)

    def prepare_account(self) -> None:
        """Create the user and the folders, as the table in docs/portal/install.md has it."""
        command = ("systemd-sysusers", "--inline", f"u {ACCOUNT} - - {DATA}")
        self.jobs.quietly(*command, failure=f"cannot create the user {ACCOUNT}.")
        self.user = getpwnam(ACCOUNT)
        make_folders()
        # The web server opens its log there as root, so nobody else may have put a link there.
        own = ("--owner=root", f"--group={ACCOUNT}")
        self.install_files("--directory", "--mode=0750", *own, SETTINGS, LOGS)
        if self.kept:
            own = (f"--owner={ACCOUNT}", f"--group={ACCOUNT}")
            self.install_files("--directory", "--mode=0700", *own, backups.FOLDER)
            own = ("--owner=root", f"--group={ACCOUNT}")
        for path in LOGS.iterdir():
            found = path.lstat()
            if not path.is_file() or path.is_symlink() or found.st_uid or found.st_nlink != 1:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if self.name == "apache-express":
            own = (f"--owner={ACCOUNT}", f"--group={ACCOUNT}")
            self.install_files("--directory", "--mode=0750", *own, self.receipts.parent)

    def prepare_code(self) -> None:
        """Fetch and copy what the portal runs: all of it is root's, so it cannot change itself."""
        machine.check_python(self.user)
        extras = ("postgresql", "store") if self.cluster else ()
        self.environment = Environment((*self.server.python, *extras))
        self.browser = BrowserFiles()
        self.environment.make(self.jobs)
        shutil.rmtree(self.app, ignore_errors=True)
        self.app.mkdir()
        machine.copy_code(self.app, "flask_delegate", "portal", "deploy")
        self.browser.make(self.jobs)
        self.browser.put(self.app)
        compiling = (machine.PYTHON, "-m", "compileall", "-q", self.app)
        self.jobs.quietly(*compiling, failure="cannot compile the portal's code.")

    def write_settings(self) -> None:
        """Write what the server decides, and the rules that guard the files."""
        settings = SETTINGS / "settings.toml"
        if not settings.exists():
            source = machine.CLONE / "deploy" / "settings.toml"
            self.install_files("--mode=0640", f"--group={ACCOUNT}", source, settings)
        site.make_certificate(self.jobs, self.host)
        site.check_certificate(self.host)
        self.write_secrets(self.user)
        path = SETTINGS / "environment"
        self.changes.put(path, text := self._environment(), 0o640, self.user.pw_gid)
        if self.cluster and self._as_portal("python", "-m", "deploy.check_cluster"):
            fail(f"the cluster of {self.cluster.file} cannot be joined. {site.UNCHANGED}")
        # The portal says itself what is wrong with its settings, and makes its key.
        if self._as_portal("flask", "--app", "portal", "routes", stdout=subprocess.DEVNULL):
            raise SystemExit(1)
        limit = tomllib.loads(settings.read_text()).get("MAX_CONTENT_LENGTH", 1024**3)
        text += f"BODY_LIMIT={limit + machine.BODY_MARGIN}\n"
        self.changes.put(path, text, 0o640, self.user.pw_gid)
        # It holds the token that opens the files.
        self.changes.put(SETTINGS / "guard.conf", self._guard(), 0o600)

    def _environment(self) -> str:
        """Return what wins over settings.toml. systemd, bash and portal.wsgi read it."""
        behind = self.server.units == GUNICORN  # and the server in front has the backend's name
        values: Mapping[str, object] = {
            "SERVER": self.name,
            "HOST": self.host,
            "PORTAL_SETTINGS": SETTINGS / "settings.toml",
            "PORTAL_DATA": DATA,
            "PORTAL_BASE_URL": f"https://{self.host}/",
            "PORTAL_HSTS": "true",
            "PORTAL_DELEGATE_BACKEND": self.name if behind else "auto",
            "PORTAL_PROXIES": int(behind),
            "RECEIPTS": self.receipts,
            "CLIENTS": self.clients,
            **(self.certbot.variables() if self.certbot else {}),
            **backups.variables(self.kept, in_cluster=self.cluster is not None),
            **self.sizes,
        }
        comment = "# Written by deploy/install. The portal's settings stand in settings.toml.\n"
        own = "".join(f"{name}={value}\n" for name, value in values.items())
        return comment + own + self.shared_variables()

    def _as_portal(self, *words: str, **options: Any) -> int:
        variables = {**os.environ, "VENV": str(self.environment.path)}
        command = self.app / "deploy" / "as-portal"
        return _run(command, *words, env=variables, **options).returncode

    def _guard(self) -> str:
        """Return the rules. Apache and nginx obey them as root, so the portal has no hand in it.

        Root makes them from root's code and settings, and from the portal's key, whatever that has.
        """
        key = SECRETS / "secret_key" if self.cluster else DATA / "secret_key"
        read = _run("head", "--bytes=4096", "--", key, stdout=subprocess.PIPE, **as_user(self.user))
        log = ("--receipts", self.receipts) if self.server.has_receipts else ()
        flask = (self.environment.bin / "flask", "--app", "portal", "delegate")
        done = _run(
            *(self.app / "deploy" / "make-guard", DATA, self.app, SETTINGS / "environment"),
            *(*flask, *self.server.guard, *log, *self.guard_options()),
            input=read.stdout,
            stdout=subprocess.PIPE,
        )
        if read.returncode or done.returncode:
            raise SystemExit(1)
        return done.stdout.decode()

    def write_site(self) -> None:
        """See :class:`.Site`; and write how the authority of certificates is answered."""
        if self.certbot:
            self.install_files("--directory", "--mode=0755", certificate.WEBROOT)
            kind = "nginx" if self.server.front == "nginx" else "apache"
            self.more_modules = ("rewrite",)
            self.changes.put(certificate.ANSWERS, self._filled(f"{kind}/acme.conf"))
        else:
            self.changes.remove(certificate.ANSWERS)
        super().write_site()

    def upgrade_database(self) -> None:
        """Upgrade it, as the portal's user."""
        words = ("flask", "--app", "portal", "portal", "upgrade")
        if self._as_portal(*words, stdout=sys.stderr):
            fail("cannot upgrade the database. The code and the web server are as before.")

    def switch_code(self) -> None:
        """Put the new code in the place of the former; there is no way back then."""
        self.changes.keep()
        old, now, python = PREFIX / "app.old", PREFIX / "app", PREFIX / "python"
        shutil.rmtree(old, ignore_errors=True)
        if now.exists():
            now.rename(old)
        self.app = self.app.rename(now)
        python.unlink(missing_ok=True)
        python.symlink_to(self.environment.path)
        self.install_files("--mode=0755", self.app / "deploy/portal", "/usr/local/sbin/portal")

    def remove_former_code(self) -> None:
        """Remove it; not before nothing runs with it any more."""
        shutil.rmtree(PREFIX / "app.old", ignore_errors=True)
        for kept in (self.environment.path, self.browser.path):
            for path in kept.parent.iterdir():
                if not path.name.startswith(kept.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def obtain_certificate(self) -> str:
        """Have certbot obtain a certificate, or no more; return what is wrong, in words."""
        if self.certbot is None:
            certificate.forget()
            return ""
        hook = self.app / "deploy/renewed"
        self.install_files("-D", "--mode=0755", hook, certificate.HOOK)
        problem = self.certbot.obtain(self.jobs, self.host)
        if not problem:
            self.wait_until_healthy()
        return problem

    def examine(self) -> None:
        """Let the doctor look at it."""
        portal = "/usr/local/sbin/portal"
        doctor = [portal, "doctor", "https://127.0.0.1/", "--host", self.host, "--insecure"]
        if subprocess.run(doctor, stdout=sys.stderr, check=False).returncode:
            fail("the doctor found failures; they stand above.")
        said = backups.advice(health.ask(*self._address()))
        say(f"https://{self.host}/ is ready.{said and f' But {said}'}")
        if not subprocess.run([portal, "accounts"], stdout=subprocess.PIPE, check=False).stdout:
            say("Next, create the first account: portal create-account NAME --administrator")


def _run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, check=False, **options)
