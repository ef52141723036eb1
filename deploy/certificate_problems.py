"""What certbot says when it obtains no certificate, in words for whoever installs the portal."""

from __future__ import annotations

import re

_TRUST = (
    "this machine does not trust the certificate of {authority} itself. Put the authority's root"
    " into /usr/local/share/ca-certificates/NAME.crt, and run update-ca-certificates."
)
_RATE = (
    "{authority} gives {host} no more certificates for now. Wait as long as it says, and do not"
    " try before: each try counts."
)
_CAUSES = (
    # What certbot prints, the first that is found; by the type of the authority's problem or error.
    (r"Type: +dns|DNS problem|problem with a DNS query", "{authority} found no address of {host} in"
     " DNS. Create its A or AAAA record, with the address that this machine has for the world. A"
     " new record may take an hour."),
    (r"Type: +caa|CAA record", "the CAA record of {host} in DNS forbids {authority}. Add it there."),
    (r"Type: +connection|could not connect to the client", "{authority} cannot connect to port 80"
     " of {host}. Open it in the firewall and in the router, and see that the A and AAAA records of"
     " {host} are both addresses of this machine."),
    (r"rateLimited|too many (certificates|requests|failed|new)", _RATE),
    (r"Type: +unauthorized|lacks sufficient authorization", "{host} leads {authority} to another"
     " machine than this one. See that its A and AAAA records in DNS, and what the router passes"
     " on, lead here."),
    (r"rejectedIdentifier|will not issue|Cannot issue", "{authority} gives nobody a certificate for"
     " {host}. Use a name of your own."),
    (r"invalidEmail|invalidContact|contact email|unsupportedContact|address associated with",
     "{authority} does not take the address {email}. Use another after --certbot, or no-email."),
    (r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", _TRUST),
    (r"ConnectionError|Max retries|Connection refused|NameResolution|timed out|Requesting .* failed",
     "{authority} cannot be reached from here. See that this machine can connect to the network and"
     " that the address is right."),
    (r"Another instance of Certbot", "another certbot is at work. Wait until it has ended."),
)  # fmt: skip


def explain(said: str, host: str, email: str, authority: str) -> str:
    """Return what is wrong and the cure, and what the authority says itself."""
    values = {"host": host, "email": email, "authority": authority}
    for pattern, cause in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return cause.format_map(values) + _quoted(said)
    return f"certbot failed.{_quoted(said)} /var/log/letsencrypt/letsencrypt.log has more."


def _quoted(said: str) -> str:
    """Return the line of the authority, or certbot's last one."""
    details = re.findall(r"^ *Detail: *(.*)$", said, re.MULTILINE)
    passing = ("Ask for help", "Saving debug log", "See the logfile", "Some challenges", "Hint:")
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith(passing)]
    found = details[:1] or lines[-1:]
    return f" (It says: {found[0]})" if found else ""
