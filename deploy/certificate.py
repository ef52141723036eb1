"""A certificate by certbot: obtained while the portal answers, and renewed by the package's timer.

Until there is one, the portal runs with the certificate that it has. The authority's questions on
port 80 are answered from a folder that only root writes to, whichever server is in front.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy import site
from deploy.certificate_problems import explain
from deploy.site import SETTINGS
from scripts.lib.jobs import Jobs
from scripts.lib.messages import say

WEBROOT = Path("/var/lib/portal-acme")
ANSWERS = SETTINGS / "acme.conf"
"""What each site includes, where it is: how to answer the authority."""
WITHOUT_EMAIL = "no-email"
_LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LINEAGE = "portal"
"""What certbot calls it, whatever its host."""
_LIVE = Path("/etc/letsencrypt/live", LINEAGE)
_RENEWAL = Path("/etc/letsencrypt/renewal", f"{LINEAGE}.conf")
HOOK = Path("/etc/letsencrypt/renewal-hooks/deploy/portal")
_LINKS = {site.CERTIFICATE: _LIVE / "fullchain.pem", site.KEY: _LIVE / "privkey.pem"}
# Both stand in a file that bash reads.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+")
_DIRECTORY = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")


@dataclass(frozen=True)
class Certbot:
    """How certbot is to obtain a certificate.

    :param email: of the account, or :data:`WITHOUT_EMAIL`.
    :param directory: the URL of the authority's directory; empty: that of Let's Encrypt.
    """

    email: str
    directory: str = ""

    def variables(self) -> Mapping[str, str]:
        """Return what the next installation reads."""
        return {"CERTBOT": self.email, "ACME_DIRECTORY": self.directory}

    @property
    def problem(self) -> str:
        """Why these words cannot be used; empty if they can."""
        if self.email != WITHOUT_EMAIL and not _EMAIL.fullmatch(self.email):
            return (
                f"'{self.email}' is not an address for --certbot. Use one such as"
                f" admin@example.org, or {WITHOUT_EMAIL} for an account without one."
            )
        if self.directory and not _DIRECTORY.fullmatch(self.directory):
            return (
                f"'{self.directory}' is not the address of an authority's directory. Use one such"
                " as https://ca.example.org/acme/acme/directory."
            )
        return ""

    def obtain(self, jobs: Jobs, host: str) -> str:
        """Obtain a certificate, or keep one that is good, and have the server read it.

        :return: what is wrong, in words; empty if nothing is.
        """
        say(f"certbot looks for a certificate of {self._authority} for {host} ...")
        before = _content(site.CERTIFICATE)
        with tempfile.TemporaryFile() as output:
            failed = jobs.run(*self._words(host), stdout=output, stderr=output)
            output.seek(0)
            said = output.read().decode(errors="replace")
        if failed:
            return explain(said, host, self.email, self._authority)
        for path, target in _LINKS.items():
            _link(path, target)
        if _content(site.CERTIFICATE) != before:
            words, variables = (HOOK,), {**os.environ, "RENEWED_LINEAGE": str(_LIVE)}
            failure = "the web server did not take the new certificate."
            jobs.quietly(*words, env=variables, failure=failure)
        _start_timer(jobs)
        if "staging" in self.directory:
            say(
                "the certificate is of a staging authority, so browsers do not trust it. For a real"
                " one, run this again with --acme-directory="
            )
        return ""

    @property
    def _authority(self) -> str:
        return self.directory or "Let's Encrypt"

    def _words(self, host: str) -> list[str]:
        words = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot"]
        words += ["--webroot-path", str(WEBROOT), "--cert-name", LINEAGE, "--domain", host]
        words.append("--renew-with-new-domains")
        words += ["--server", self.directory or _LETS_ENCRYPT]
        if self.email == WITHOUT_EMAIL:
            words.append("--register-unsafely-without-email")
        else:
            words += ["--email", self.email]
        words.append("--force-renewal" if self._is_anothers() else "--keep-until-expiring")
        return words

    def _is_anothers(self) -> bool:
        """Return whether the certificate that is there is of another authority."""
        found = re.search(r"^server = (.*)$", _content(_RENEWAL).decode(), re.MULTILINE)
        return found is not None and found[1] != (self.directory or _LETS_ENCRYPT)


def forget() -> None:
    """Have certbot renew it no more. The portal keeps what it has, as files of its own."""
    if not HOOK.exists():
        return
    for path, target in _LINKS.items():
        if path.is_symlink() and path.readlink() == target:
            content = path.read_bytes()
            path.unlink()
            path.touch(0o600)
            path.write_bytes(content)
    words = ["certbot", "delete", "--non-interactive", "--cert-name", LINEAGE]
    subprocess.run(words, capture_output=True, check=False)
    HOOK.unlink(missing_ok=True)
    say("certbot does not renew the portal's certificate any more; it is in /etc/portal as it was.")


def _link(path: Path, target: Path) -> None:
    """Put a link in the place of what is there, which is kept beside it."""
    if path.is_symlink() and path.readlink() == target:
        return
    if path.exists():
        path.rename(path.with_name(f"{path.name}.before"))
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _start_timer(jobs: Jobs) -> None:
    """Start the timer of Debian's package, which is installed without starting anything."""
    known = subprocess.run(["systemctl", "cat", "certbot.timer"], capture_output=True, check=False)
    if known.returncode == 0:
        words = ("systemctl", "enable", "--now", "certbot.timer")
        jobs.quietly(*words, failure="cannot start certbot's timer.")
