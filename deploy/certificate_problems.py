"""What certbot says when it obtains no certificate, in words for whoever installs the portal."""

from __future__ import annotations

import re

_DNS = (
    "{authority} found no address of {host} in DNS. Create its A or AAAA record, with the address"
    " that this machine has for the world. A new record may take an hour."
)
_CAA = "the CAA record of {host} in DNS forbids {authority}. Add it there."
_CONNECTION = (
    "{authority} cannot connect to port 80 of {host}. Open it in the firewall and the router, and"
    " see that the A and AAAA records of {host} are both addresses of this machine."
)
_RATE = (
    "{authority} gives {host} no more certificates for now. Wait as long as it says, and do not"
    " try before: each try counts."
)
_ANOTHER = (
    "{host} leads {authority} to another machine than this one. See that its A and AAAA records in"
    " DNS, and what the router passes on, lead here."
)
_NAME = "{authority} gives nobody a certificate for {host}. Use a name of your own."
_EMAIL = "{authority} does not take the address {email}. Use another with --certbot, or no-email."
_TRUST = (
    "this machine does not trust the certificate of {authority} itself. Put the authority's root"
    " into /usr/local/share/ca-certificates/NAME.crt, and run update-ca-certificates."
)
_AWAY = (
    "{authority} cannot be reached from here. See that this machine has a network, and that the"
    " address is right."
)
_BUSY = "another certbot is at work. Wait until it has ended."
_CAUSES = (
    # By the types of RFC 8555, 6.7, and what certbot prints for them; the first that is found.
    (r"Type: +dns|DNS problem|problem with a DNS query", _DNS),
    (r"Type: +caa|CAA\) records? forbid", _CAA),
    (r"rateLimited|too many (certificates|requests|failed|new)", _RATE),
    (r"Type: +connection|could not connect to the client", _CONNECTION),
    (r"Type: +unauthorized|lacks sufficient authorization", _ANOTHER),
    (r"rejectedIdentifier|will not issue|Cannot issue", _NAME),
    (r"contact URI was invalid|invalid contact|email for a registration|contact email", _EMAIL),
    (r"CERTIFICATE_VERIFY_FAILED", _TRUST),
    (r"ConnectionError|Max retries|Requesting \S+: |NameResolution|Timeout", _AWAY),
    (r"Another instance of Certbot", _BUSY),
)
_NO_REASON = ("Ask for help", "Saving debug log", "See the logfile", "Some challenges", "Hint:")


def explain(said: str, host: str, email: str, authority: str) -> str:
    """Return what is wrong and the cure, and what the authority says itself."""
    values = {"host": host, "email": email, "authority": authority}
    for pattern, cause in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return cause.format_map(values) + _quoted(said)
    return f"certbot failed. /var/log/letsencrypt/letsencrypt.log has more.{_quoted(said)}"


def _quoted(said: str) -> str:
    """Return the reason that the authority gives, or certbot's last line."""
    details = re.findall(r"^ *Detail: *(.*)$", said, re.MULTILINE)
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_NO_REASON)]
    found = details[:1] or lines[-1:]
    return f" (It says: {found[0]})" if found else ""
