"""deploy/install: make this machine serve the portal, or bring what it serves up to date."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from pwd import getpwnam
from typing import Any, NoReturn

from deploy.changes import Changes
from deploy.make_folders import make_folders
from deploy.servers import ALL_UNITS, GUNICORN, RECEIPTS, SERVERS
from scripts.lib.environment import BrowserFiles, Environment
from scripts.lib.jobs import Jobs, as_user, hold
from scripts.lib.machine import (
    CLONE,
    PYTHON,
    SUPPORTED,
    SYSTEM,
    body_limit,
    check_python,
    choose_sizes,
    copy_code,
    install_packages,
    use_state,
)
from scripts.lib.messages import Parser, fail, refuse, say

HELP = """\
Install the portal on this machine, to be served as https://HOST/, or update it: accounts, files,
settings and certificate stay. Only root may do that. SERVER is one of

  apache-site      Debian's Apache with mod_wsgi
  apache-express   mod_wsgi-express, under systemd
  nginx            nginx in front of gunicorn
  xsendfile        Debian's Apache with mod_xsendfile in front of gunicorn"""
MORE = """\
Exit status: 0 when the portal answers and its doctor finds no failure; 1 when something failed; 2
when it cannot work as called. Until 'switching' is printed, what ran before runs on unchanged; from
then on the database may be the new portal's: mend what failed, and run this again."""
_CLIENTS = """how many slow clients to expect at once from then on; docs/portal/sizing.md says
    what follows (default: 1000, or what memory allows)"""

ACCOUNT = "portal"
PREFIX, SETTINGS, DATA = Path("/opt/portal"), Path("/etc/portal"), Path("/srv/portal")
LOGS = Path("/var/log/portal")  # of what writes there as root
UNITS = Path("/etc/systemd/system")
APACHE, NGINX = Path("/etc/apache2"), Path("/etc/nginx")
NGINX_SIZES = NGINX / "modules-enabled" / "90-portal.conf"
STARTED_WITH = Path("/run/portal-apache.conf")  # the sizes that Apache has read
UNCHANGED = "What ran before runs on unchanged."
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def main(words: Sequence[str]) -> None:
    """Install or update the portal."""
    parser = Parser(HELP, MORE)
    parser.add_argument("words", nargs="*", metavar="SERVER HOST")
    parser.add_argument("--clients", metavar="N", help=_CLIENTS)
    given = parser.parse(words)
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
    if not SYSTEM:
        refuse(f"this system is not supported. The portal is installed on {SUPPORTED}.")
    if not Path("/run/systemd/system").is_dir():
        refuse("systemd does not run here, and it starts the portal.")
    clients = _installed().get("CLIENTS", "") if given.clients is None else given.clients
    choose_sizes(name, clients)  # before anything is installed
    use_state(PREFIX)
    with ExitStack() as stack, Changes() as changes, Jobs() as jobs:
        _Installation(jobs, stack, changes, name, host, clients).run()


def _installed() -> dict[str, str]:
    """Return what the last installation wrote for the server."""
    file = SETTINGS / "environment"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


class _Installation:
    """The steps of an installation, in their order."""

    def __init__(
        self,
        jobs: Jobs,
        stack: ExitStack,
        changes: Changes,
        name: str,
        host: str,
        clients: str,
    ) -> None:
        self.jobs, self.stack, self.changes = jobs, stack, changes
        self.name, self.host, self.clients = name, host, clients
        self.server = SERVERS[name]
        self.before = _installed().get("SERVER", "")
        self.receipts = LOGS / f"{name}.log"
        if name == "apache-express":  # the portal's user writes it, in a folder of its own
            self.receipts = LOGS.with_name("portal-express") / "receipts.log"
        self.app = PREFIX / "app.new"

    def run(self) -> None:
        """Take all steps."""
        self.check_neighbours()
        self.prepare_machine()
        self.prepare_account()
        self.prepare_code()
        self.write_settings()
        self.write_site()
        self.check_site()
        say("switching ...")
        self.upgrade_database()
        self.switch_code()
        self.switch_server()
        self.wait_until_healthy()
        self.remove_former_code()
        self.examine()

    def check_neighbours(self) -> None:
        """Refuse where another web server has the ports.

        What this portal used before makes room by itself, unless it serves something else, too.
        """
        former = SERVERS[self.before].front if self.before in SERVERS else ""
        for other in ("apache2", "nginx"):
            active = ["systemctl", "is-active", "--quiet", other]
            if other == self.server.front or subprocess.run(active, check=False).returncode:
                continue
            needs = f"and {self.name} needs the ports 80 and 443 for itself."
            if other != former:
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
        if not hold(PREFIX, self.stack):
            refuse("another deploy/install is at work. Wait until it has ended.")
        install_packages(self.jobs, "curl", "npm", "openssl", *self.server.wanted)
        self.sizes = choose_sizes(self.name, self.clients)

    def prepare_account(self) -> None:
        """Create the user and the folders, as the table in docs/portal/install.md has it."""
        try:
            getpwnam(ACCOUNT)
        except KeyError:
            group, shell = ("--system", "--user-group"), ("--shell", "/usr/sbin/nologin")
            home = ("--home-dir", DATA, "--no-create-home")
            failure = f"cannot create the user {ACCOUNT}."
            self.jobs.quietly("useradd", *group, *home, *shell, ACCOUNT, failure=failure)
        self.user = getpwnam(ACCOUNT)
        make_folders()
        _make_folder(SETTINGS, 0, self.user.pw_gid)
        # The web server opens its log there as root, so nobody else may have put a link there.
        _make_folder(LOGS, 0, self.user.pw_gid)
        for path in LOGS.iterdir():
            found = path.lstat()
            if not path.is_file() or path.is_symlink() or found.st_uid or found.st_nlink != 1:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if self.name == "apache-express":
            _make_folder(self.receipts.parent, self.user.pw_uid, self.user.pw_gid)

    def prepare_code(self) -> None:
        """Fetch and copy what the portal runs: all of it is root's, so it cannot change itself."""
        check_python(self.user)
        self.environment, self.browser = Environment(self.server.python), BrowserFiles()
        self.environment.make(self.jobs)
        shutil.rmtree(self.app, ignore_errors=True)
        self.app.mkdir()
        copy_code(self.app, "flask_delegate", "portal", "deploy")
        self.browser.make(self.jobs)
        self.browser.put(self.app)
        compiling = (PYTHON, "-m", "compileall", "-q", self.app)
        self.jobs.quietly(*compiling, failure="cannot compile the portal's code.")

    def write_settings(self) -> None:
        """Write what the server decides, and the rules that guard the files."""
        settings = SETTINGS / "settings.toml"
        if not settings.exists():
            shutil.copyfile(CLONE / "deploy" / "settings.toml", settings)
            settings.chmod(0o640)
            os.chown(settings, 0, self.user.pw_gid)
        self._make_certificate()
        self._check_certificate()
        path = SETTINGS / "environment"
        self.changes.put(path, text := self._environment(), 0o640, self.user.pw_gid)
        # The portal says itself what is wrong with its settings, and makes its key.
        printed = self._as_portal("python", "-m", "deploy.upload_limit", stdout=subprocess.PIPE)
        if printed.returncode:
            raise SystemExit(1)
        limit = printed.stdout.decode().strip()
        if not re.fullmatch("[1-9][0-9]{0,17}", limit):
            fail("MAX_CONTENT_LENGTH is not a number that makes sense.")
        text += f"BODY_LIMIT={body_limit(int(limit))}\n"
        self.changes.put(path, text, 0o640, self.user.pw_gid)
        # It holds the token that opens the files.
        self.changes.put(SETTINGS / "guard.conf", self._guard(), 0o600)

    def _environment(self) -> str:
        """Return what wins over settings.toml. systemd, bash and portal.wsgi read it."""
        values: Mapping[str, object] = {
            "SERVER": self.name,
            "HOST": self.host,
            "PORTAL_SETTINGS": SETTINGS / "settings.toml",
            "PORTAL_DATA": DATA,
            "PORTAL_BASE_URL": f"https://{self.host}/",
            "PORTAL_DELEGATE_BACKEND": self.server.backend,
            "PORTAL_PROXIES": int(self.server.units == GUNICORN),
            "RECEIPTS": self.receipts,
            "CLIENTS": self.clients,
            **self.sizes,
        }
        comment = "# Written by deploy/install. The portal's settings stand in settings.toml.\n"
        return comment + "".join(f"{name}={value}\n" for name, value in values.items())

    def _as_portal(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        variables = {**os.environ, "VENV": str(self.environment.path)}
        return _run(self.app / "deploy" / "as-portal", *words, env=variables, **options)

    def _guard(self) -> str:
        """Return the rules. Apache and nginx obey them as root, so the portal has no hand in it.

        Root makes them from root's code and settings, and from the portal's key, whatever that has.
        """
        key = DATA / "secret_key"
        read = _run("head", "--bytes=4096", "--", key, stdout=subprocess.PIPE, **as_user(self.user))
        log = ("--receipts", self.receipts) if self.server.has_receipts else ()
        flask = (self.environment.bin / "flask", "--app", "portal", "delegate")
        done = _run(
            *(self.app / "deploy" / "make-guard", DATA, self.app, SETTINGS / "environment"),
            *(*flask, *self.server.guard, *log),
            input=read.stdout,
            stdout=subprocess.PIPE,
        )
        if read.returncode or done.returncode:
            raise SystemExit(1)
        return done.stdout.decode()

    def _make_certificate(self) -> None:
        certificate, key = SETTINGS / "tls.crt", SETTINGS / "tls.key"
        if certificate.exists() or key.exists():
            return
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
        words += ["-subj", f"/CN={self.host}", "-addext", f"subjectAltName=DNS:{self.host}"]
        files = ("-keyout", key, "-out", certificate)
        self.jobs.quietly(*words, *files, umask=0o077, failure="cannot create a certificate.")
        say(
            "created a certificate that no browser trusts; docs/portal/install.md says how to"
            " get one."
        )

    def _check_certificate(self) -> None:
        """Look into what Apache looks into when it starts, but not when it checks."""
        certificate, key = SETTINGS / "tls.crt", SETTINGS / "tls.key"
        public = _openssl("x509", "-noout", "-pubkey", "-in", certificate)
        if not public:
            fail(f"{certificate} is not a certificate. {UNCHANGED}")
        if public != _openssl("pkey", "-pubout", "-in", key):
            fail(f"{key} is not the key of tls.crt. {UNCHANGED}")
        if b"does match" not in _openssl(
            "x509", "-noout", "-in", certificate, "-checkhost", self.host
        ):
            say(f"the certificate in {certificate} is not for {self.host}; browsers will warn.")

    def write_site(self) -> None:
        """Write the web server's configuration, and enable it."""
        if self.server.front == "apache2":
            sizes = "".join(f"Define {name} {value}\n" for name, value in self.sizes.items())
            sizes += (self.app / "deploy/apache/server.conf").read_text()
            self.changes.put(APACHE / "conf-available/portal.conf", sizes)
            nosniff = (self.app / "deploy/apache/nosniff.conf").read_text()
            self.changes.put(SETTINGS / "nosniff.conf", nosniff)
            self.changes.put(APACHE / "sites-available/portal.conf", self._site())
            self.changes.remember(APACHE / "conf-enabled/portal.conf")
            self.changes.remember(APACHE / "sites-enabled/portal.conf")
            enable = partial(self.jobs.quietly, failure="cannot enable Apache's configuration.")
            enable("a2enmod", "ssl", "headers", "http2", *self.server.modules)
            enable("a2enconf", "portal")
            enable("a2ensite", "portal")
        elif self.server.front == "nginx":
            self.changes.put(NGINX / "sites-available/portal.conf", self._site())
            self._write_nginx_sizes()
            enabled = NGINX / "sites-enabled/portal.conf"
            self.changes.link(enabled, "../sites-available/portal.conf")

    def _site(self) -> str:
        values = {"HOST": self.host, "BODY_LIMIT": _installed()["BODY_LIMIT"]}
        return _filled(self.app / "deploy" / self.name / "portal.conf", {**self.sizes, **values})

    def _write_nginx_sizes(self) -> None:
        """Write what stands outside of nginx's http {}: connections and descriptors.

        What the machine's own configuration says stays, where it is enough.
        """
        main = NGINX / "nginx.conf"
        text, wanted = main.read_text(), {name: int(size) for name, size in self.sizes.items()}
        found = re.findall(r"^([^#\n]*\bworker_connections\s+)([0-9]+);", text, re.MULTILINE)
        if len(found) != 1:
            fail(f"{main} has to have 'worker_connections NUMBER;' once, in events {{}}.")
        before, number = found[0]
        if int(number) < wanted["SIZE_CONNECTIONS"]:
            self.changes.put(
                main, text.replace(before + number, before + self.sizes["SIZE_CONNECTIONS"])
            )
        limit = re.search(r"^[^#\n]*\bworker_rlimit_nofile\s+([0-9]+);", text, re.MULTILINE)
        if limit is None:
            self.changes.put(NGINX_SIZES, _filled(self.app / "deploy/nginx/sizes.conf", self.sizes))
        elif int(limit[1]) < wanted["SIZE_DESCRIPTORS"]:
            least = wanted["SIZE_DESCRIPTORS"]
            fail(f"{main} has worker_rlimit_nofile {limit[1]}. It has to be {least} at least.")
        else:
            self.changes.remove(NGINX_SIZES)

    def check_site(self) -> None:
        """Let the web server check its configuration."""
        check = partial(
            self.jobs.quietly, failure=f"the web server refuses its new configuration. {UNCHANGED}"
        )
        if self.server.front == "apache2":
            check("apache2ctl", "configtest")
        elif self.server.front == "nginx":
            check("nginx", "-t")
        else:
            # In a folder of its own, with what systemd would give it.
            with tempfile.TemporaryDirectory() as folder:
                variables = {**os.environ, **_installed(), "CREDENTIALS_DIRECTORY": str(SETTINGS)}
                variables |= {"VENV": str(self.environment.path), "APP": str(self.app)}
                user = ("--user", ACCOUNT, "--group", ACCOUNT)
                serve = self.app / "deploy/apache-express/serve"
                check(serve, "setup-server", folder, *user, env=variables)
                check(f"{folder}/apachectl", "configtest", env=variables)

    def upgrade_database(self) -> None:
        """Upgrade it, as the portal's user."""
        words = ("flask", "--app", "portal", "portal", "upgrade")
        if self._as_portal(*words, stdout=sys.stderr).returncode:
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
        _install(self.app / "deploy/portal", Path("/usr/local/sbin/portal"), 0o755)

    def switch_server(self) -> None:
        """Start the new server."""
        units = [*self.server.units, "portal-cleanup.timer"]
        units += [RECEIPTS] if self.server.has_receipts else []
        self._leave_former(units)
        deploy = self.app / "deploy"
        for name in ["portal-cleanup.service", *units]:
            _install(deploy / "systemd" / name, UNITS / name)
        _install(deploy / "logrotate", Path("/etc/logrotate.d/portal"))
        for source in (deploy / "systemd/portal-.service.d").iterdir():
            _install(source, UNITS / "portal-.service.d" / source.name)
        front = self.server.front
        enabled = dict.fromkeys([*units, front])
        self._systemctl("daemon-reload", failure="systemd cannot read the portal's units.")
        failure = f"cannot enable {' '.join(enabled)}."
        self._systemctl("enable", *enabled, failure=failure)
        for unit in units:
            # Requests wait at the socket while gunicorn starts again.
            verb = "restart" if unit.endswith(".service") else "start"
            self._start(verb, unit)
        if front == "apache2":
            # Apache reads some of its sizes when it starts, and not when it reloads.
            written = APACHE / "conf-available/portal.conf"
            same = STARTED_WITH.exists() and filecmp.cmp(written, STARTED_WITH, shallow=False)
            self._start("reload-or-restart" if same else "restart", front)
            shutil.copyfile(written, STARTED_WITH)
        elif front == "nginx":
            self._start("reload-or-restart", front)

    def _systemctl(self, *words: str, failure: str) -> None:
        self.jobs.quietly("systemctl", *words, failure=failure)

    def _start(self, verb: str, unit: str) -> None:
        if self.jobs.run("systemctl", verb, unit):
            self._fail_with_log(f"{unit} did not start")

    def _leave_former(self, units: Sequence[str]) -> None:
        """Stop what the portal was served by before, and is not any more."""
        for unit in ALL_UNITS.difference(units):
            if (UNITS / unit).exists():
                self._systemctl("disable", "--now", unit, failure=f"cannot stop {unit}.")
                (UNITS / unit).unlink()
        former = SERVERS[self.before].front if self.before in SERVERS else ""
        if former not in {"apache2", "nginx"} - {self.server.front}:
            return
        folder = Path("/etc", former)
        for path in [*folder.glob("sites-*/portal.conf"), *folder.glob("conf-*/portal.conf")]:
            path.unlink()
        if former == "nginx":
            NGINX_SIZES.unlink(missing_ok=True)
        self._systemctl("disable", "--now", former, failure=f"cannot stop {former}.")
        say(f"stopped and disabled {former}, which only the portal used.")

    def wait_until_healthy(self) -> None:
        """Wait until the portal answers by its name."""
        url = f"https://{self.host}/healthz"
        curl = (
            "curl",
            "--silent",
            "--fail",
            "--insecure",
            "--max-time",
            "10",
            "--output",
            "/dev/null",
        )
        ask = [*curl, "--resolve", f"{self.host}:443:127.0.0.1", url]
        answers = lambda: subprocess.run(ask, check=False).returncode == 0  # noqa: E731
        if not self.jobs.wait_until(answers, 60):
            self._fail_with_log(f"{url} did not answer in a minute")

    def _fail_with_log(self, message: str) -> NoReturn:
        log = ["journalctl", "--no-pager", "--lines=20", f"--unit={self.server.front}"]
        subprocess.run([*log, "--unit=portal-*"], stdout=sys.stderr, check=False)
        fail(f"{message}.")

    def remove_former_code(self) -> None:
        """Remove it; not before nothing runs with it any more."""
        shutil.rmtree(PREFIX / "app.old", ignore_errors=True)
        for kept in (self.environment.path, self.browser.path):
            for path in kept.parent.iterdir():
                if not path.name.startswith(kept.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def examine(self) -> None:
        """Let the doctor look at it."""
        portal = "/usr/local/sbin/portal"
        doctor = [portal, "doctor", "https://127.0.0.1/", "--host", self.host, "--insecure"]
        if subprocess.run(doctor, stdout=sys.stderr, check=False).returncode:
            fail("the doctor found failures; they stand above.")
        say(f"https://{self.host}/ is ready.")
        if not subprocess.run([portal, "accounts"], stdout=subprocess.PIPE, check=False).stdout:
            say("Next, create the first account: portal create-account NAME --administrator")


def _make_folder(path: Path, uid: int, gid: int) -> None:
    path.mkdir(exist_ok=True)
    os.chown(path, uid, gid)
    path.chmod(0o750)


def _install(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _filled(file: Path, values: Mapping[str, str]) -> str:
    """Return the text of a file with the values in their places."""
    return re.sub("@([A-Z0-9_]+)@", lambda found: values.get(found[1], found[0]), file.read_text())


def _openssl(*words: str | Path) -> bytes:
    return _run("openssl", *words, capture_output=True).stdout


def _run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(word) for word in words], check=False, **options)
