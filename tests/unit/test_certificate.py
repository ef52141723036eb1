"""What an installation says where an authority gives no certificate, and what it asks it for."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import certificate, site
from deploy.certificate import Certbot
from deploy.certificate_problems import explain
from scripts.lib.jobs import Jobs

HOST = "files.example.org"
# As certbot 2.1 and 4.0 print them.
_CHALLENGE = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for files.example.org

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority \
reported these problems:
  Domain: files.example.org
  Type:   {kind}
  Detail: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile
"""
_ERROR = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
{error}
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile
"""


def challenge(kind: str, detail: str) -> str:
    return _CHALLENGE.format(kind=kind, detail=detail)


def error(text: str) -> str:
    return _ERROR.format(error=text)


@pytest.mark.parametrize(
    ("said", "expected", "quoted"),
    [
        (
            challenge("dns", "DNS problem: NXDOMAIN looking up A for files.example.org"),
            "found no address of files.example.org in DNS. Create its A or AAAA record",
            "NXDOMAIN",
        ),
        (
            challenge("caa", "CAA record for example.org prevents issuance"),
            "the CAA record of files.example.org in DNS forbids Let's Encrypt",
            "prevents issuance",
        ),
        (
            challenge("connection", "203.0.113.1: Fetching http://…: Timeout during connect"),
            "cannot connect to port 80 of files.example.org. Open it in the firewall",
            "Timeout during connect",
        ),
        (
            challenge("unauthorized", "203.0.113.1: Invalid response from http://…: 404"),
            "leads Let's Encrypt to another machine than this one",
            "Invalid response",
        ),
        (
            error(
                "There were too many requests of a given type :: Error creating new order :: too"
                " many certificates (5) already issued for this exact set of identifiers in the"
                " last 168h0m0s, retry after 2026-05-04 10:00:00 UTC"
            ),
            "gives files.example.org no more certificates for now. Wait as long as it says",
            "retry after 2026-05-04",
        ),
        (
            challenge("rateLimited", "too many failed authorizations (5) recently"),
            "no more certificates for now",
            "too many failed",
        ),
        (
            error(
                "The server will not issue certificates for the identifier :: Error creating new"
                ' order :: Cannot issue for "files.example.org": forbidden by policy'
            ),
            "gives nobody a certificate for files.example.org. Use a name of your own",
            "forbidden by policy",
        ),
        (
            error(
                "The provided contact URI was invalid :: Error creating new account :: contact"
                " email has invalid domain"
            ),
            "does not take the address a@example.com. Use another with --certbot, or no-email",
            "invalid domain",
        ),
        (
            error(
                "requests.exceptions.SSLError: HTTPSConnectionPool(host='ca.example.org',"
                " port=443): Max retries exceeded with url: /dir (Caused by SSLError("
                "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify"
                " failed')))"
            ),
            "this machine does not trust the certificate of Let's Encrypt itself. Put",
            "SSLError",
        ),
        (
            error("ValueError: Requesting localhost/dir: Connection refused"),
            "cannot be reached from here",
            "Connection refused",
        ),
        (
            error("requests.exceptions.ConnectionError: … Failed to resolve 'ca.example.org'"),
            "cannot be reached from here",
            "Failed to resolve",
        ),
        ("Another instance of Certbot is already running.\n", "Wait until it has ended", "Another"),
        (
            error("AttributeError: can't set attribute"),
            "certbot failed. /var/log/letsencrypt/letsencrypt.log has more",
            "can't set attribute",
        ),
        ("", "certbot failed. /var/log/letsencrypt/letsencrypt.log has more.", ""),
    ],
)
def test_each_refusal_is_told_with_its_cure_and_in_the_authoritys_words(
    said: str, expected: str, quoted: str
) -> None:
    words = explain(said, HOST, "a@example.com", "Let's Encrypt")
    assert expected in words
    assert quoted in words
    assert ("(It says: " in words) == bool(quoted)
    assert "\n" not in words


@pytest.mark.parametrize(
    ("email", "directory", "expected"),
    [
        ("admin@example.org", "", ""),
        ("a.b+c@sub.example.org", "https://localhost:14000/dir", ""),
        ("no-email", "https://[::1]:8443/acme/acme/directory", ""),
        ("admin", "", "'admin' is not an address for --certbot"),
        ("a@b.c; rm -rf /", "", "is not an address for --certbot"),
        ("$(id)@example.org", "", "is not an address for --certbot"),
        ("no-email", "http://ca.example.org/", "is not the address of an authority's directory"),
        ("no-email", "https://ca.example.org/$(id)", "is not the address of an authority's"),
    ],
)
def test_words_that_no_file_could_hold_are_refused(
    email: str, directory: str, expected: str
) -> None:
    problem = Certbot(email, directory).problem
    assert expected in problem
    assert bool(problem) == bool(expected)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for a machine's, with a self-signed certificate."""
    live, renewal = tmp_path / "live", tmp_path / "renewal.conf"
    live.mkdir()
    links = {}
    for kind, target in (("crt", "fullchain.pem"), ("key", "privkey.pem")):
        path = tmp_path / f"tls.{kind}"
        path.write_text("self-signed")
        links[path] = live / target
    monkeypatch.setattr(site, "CERTIFICATE", tmp_path / "tls.crt")
    monkeypatch.setattr(site, "KEY", tmp_path / "tls.key")
    monkeypatch.setattr(certificate, "_LINKS", links)
    monkeypatch.setattr(certificate, "_RENEWAL", renewal)
    monkeypatch.setattr(certificate, "HOOK", tmp_path / "hook")
    monkeypatch.setattr(certificate, "_start_timer", lambda _jobs: None)
    certbot = tmp_path / "bin" / "certbot"
    certbot.parent.mkdir()
    certbot.write_text(
        f"""#!/bin/sh
        echo "$*" >>{tmp_path}/asked
        [ ! -e {tmp_path}/refusing ] || {{ echo '  Type:   dns'; exit 1; }}
        echo "server = https://ca/dir" >{renewal}
        date +%N >{live}/fullchain.pem
        date +%N >{live}/privkey.pem
        """
    )
    (tmp_path / "hook").write_text(f"#!/bin/sh\necho reloaded >>{tmp_path}/reloads\n")
    certbot.chmod(0o755)
    (tmp_path / "hook").chmod(0o755)
    monkeypatch.setenv("PATH", f"{certbot.parent}:/usr/bin:/bin")
    return tmp_path


def test_refused_certificate_leaves_what_was_there(machine: Path) -> None:
    (machine / "refusing").touch()
    with Jobs() as jobs:
        problem = Certbot("no-email").obtain(jobs, HOST)
    assert "no address of files.example.org" in problem
    assert (machine / "tls.crt").read_text() == "self-signed"
    assert not (machine / "tls.crt").is_symlink()
    assert not (machine / "reloads").exists()


def test_obtained_certificate_replaces_what_was_there_and_the_server_reads_it(
    machine: Path,
) -> None:
    with Jobs() as jobs:
        assert Certbot("no-email", "https://ca/dir").obtain(jobs, HOST) == ""
    assert (machine / "tls.crt").readlink() == machine / "live/fullchain.pem"
    assert (machine / "tls.key").readlink() == machine / "live/privkey.pem"
    assert (machine / "tls.key.before").read_text() == "self-signed"
    assert (machine / "reloads").read_text() == "reloaded\n"


def test_certificate_of_another_authority_is_replaced_and_a_good_one_kept(machine: Path) -> None:
    with Jobs() as jobs:
        for email, directory in (
            ("a@example.org", "https://ca/dir"),
            ("no-email", "https://ca/dir"),
            ("no-email", ""),
        ):
            assert Certbot(email, directory).obtain(jobs, HOST) == ""
    first, again, other = (machine / "asked").read_text().splitlines()
    assert "--email a@example.org --keep-until-expiring" in first
    assert "--register-unsafely-without-email --keep-until-expiring" in again
    assert other.endswith("--force-renewal")
    assert "--server https://acme-v02.api.letsencrypt.org/directory " in other


def test_given_up_certificate_stays_as_a_file(machine: Path) -> None:
    with Jobs() as jobs:
        Certbot("no-email").obtain(jobs, HOST)
    content = (machine / "tls.crt").read_text()
    certificate.forget()
    assert (machine / "tls.crt").read_text() == content
    assert not (machine / "tls.crt").is_symlink()
    assert (machine / "tls.key").stat().st_mode & 0o077 == 0
    assert not (machine / "hook").exists()
    assert "delete --non-interactive --cert-name portal" in (machine / "asked").read_text()


def test_certificate_of_a_staging_authority_is_told(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Jobs() as jobs:
        assert Certbot("no-email", "https://ca-staging/dir").obtain(jobs, HOST) == ""
    assert (machine / "tls.crt").is_symlink()
    assert "browsers do not trust it" in capsys.readouterr().err
