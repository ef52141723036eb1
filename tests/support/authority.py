"""An authority that gives certificates to whoever answers it: pebble, in a container."""

from __future__ import annotations

import json

from .containers import Container
from .tools import tool

DIRECTORY = "https://localhost:14000/dir"
OPTIONS = ("--certbot", "no-email", "--acme-directory", DIRECTORY)
ROOT = "/root/authority/root.pem"
"""The certificate that all others lead to; browsers of the tests trust it."""
_CONFIG = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": "/root/authority/localhost.pem",
        "privateKey": "/root/authority/localhost.key",
        "httpPort": 80,
        "tlsPort": 443,
    }
}
# The machine trusts the address of the authority, which is another matter than what it signs with.
_START = """
mkdir -p /root/authority && cd /root/authority
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout localhost.key -out localhost.pem 2>/dev/null
cp localhost.pem /usr/local/share/ca-certificates/test-authority.crt
update-ca-certificates >/dev/null 2>&1
printf %s "$1" >config.json
systemd-run --quiet --collect --unit=authority --setenv=PEBBLE_VA_NOSLEEP=1 \
    --setenv=PEBBLE_WFE_NONCEREJECT=0 pebble -config /root/authority/config.json
curl --silent --show-error --retry 50 --retry-delay 1 --retry-connrefused \
    --output root.pem https://localhost:15000/roots/0
"""


def start(container: Container) -> None:
    """Start it in a container, which trusts its address from then on."""
    tool("pebble")
    container.must("sh", "-ec", _START, "sh", json.dumps(_CONFIG))
