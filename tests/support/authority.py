"""An authority that gives certificates to whoever answers it: pebble, in a container."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from .containers import HOST, Container
from .tools import tool

DIRECTORY = "https://localhost:14000/dir"
OPTIONS = ("--certbot", "no-email", "--acme-directory", DIRECTORY)
ROOT = "/root/authority/root.pem"
"""The certificate that all others lead to, once it was fetched."""
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
_KEY = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
_KEY += " -addext subjectAltName=DNS:localhost -keyout localhost.key -out localhost.pem"
# The machine trusts the authority's own address, which is another matter than what it signs with.
# It asks each time, and accepts every good request.
_START = """
mkdir -p /root/authority /usr/local/share/ca-certificates
cd /root/authority
printf %s "$1" >config.json
printf %s "$2" >localhost.key
printf %s "$3" | tee localhost.pem >/usr/local/share/ca-certificates/test-authority.crt
if command -v update-ca-certificates >/dev/null; then update-ca-certificates >/dev/null 2>&1; fi
systemd-run --quiet --collect --unit=authority --setenv=PEBBLE_VA_NOSLEEP=1 \
    --setenv=PEBBLE_WFE_NONCEREJECT=0 --setenv=PEBBLE_AUTHZREUSE=0 \
    pebble -config /root/authority/config.json
for try in $(seq 100); do
    if (: </dev/tcp/127.0.0.1/14000) 2>/dev/null; then exit 0; fi
    sleep 0.1
done
exit 1
"""


def start(container: Container) -> None:
    """Start it in a container, which trusts its address from then on."""
    tool("pebble")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*_KEY.split()], cwd=folder, check=True, capture_output=True)
        files = [Path(folder, f"localhost.{kind}").read_text() for kind in ("key", "pem")]
    container.must("bash", "-ec", _START, "bash", json.dumps(_CONFIG), *files)


def fetch_root(container: Container) -> None:
    """Have browsers of the tests know what it signs with."""
    fetch = ["curl", "--silent", "--show-error", "--fail", "--output", ROOT]
    container.must(*fetch, "https://localhost:15000/roots/0")


def serial(container: Container) -> str:
    """Return the number of the certificate that the portal shows, if the root vouches for it."""
    ask = f"openssl s_client -connect {HOST}:443 -servername {HOST} -verify_return_error"
    ask += f" -verify_hostname {HOST} -CAfile {ROOT} </dev/null 2>/dev/null"
    return container.must("bash", "-ec", f"set -o pipefail; {ask} | openssl x509 -noout -serial")
