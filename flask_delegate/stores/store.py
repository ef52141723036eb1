"""Where the objects of an area lie: a bucket, or what begins with a prefix in one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError
from .sigv4 import StoreKeys, presigned_query, quoted, signed_headers

CONNECT, IDLE = 3, 20
"""Seconds that a store may take to accept a connection, and between two pieces of an answer."""
EXPIRES = 60
"""Seconds that the URL of a hand-off is valid: the server uses it at once."""

_SETTINGS = {"endpoint", "bucket", "host", "prefix", "region", "ca_file"}
_NEEDED = {"endpoint", "bucket"}
# A host's name, an IPv4 address, or an IPv6 address in brackets, and a port.
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")  # names made before 2018, too
_PREFIX = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*")
_REGION = re.compile(r"[A-Za-z0-9-]+")
# What could stand in a header, and would not end it.
_KEY = re.compile(r"[\x21-\x7e]+")
# Debian and Ubuntu; Fedora and its kin; Alpine.
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_FILE = re.compile(r"/[\w./@+-]+")
_PORTS = {"http": 80, "https": 443}
_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, slots=True)
class Store:
    """Where the objects of an area lie, and the keys to them.

    :param endpoint: scheme, host and port: what the web server connects to.
    :param host: the ``Host`` header that is signed and sent.
    :param bucket: the bucket's name.
    :param prefix: what each key begins with: empty, or with a slash at the end.
    :param region: part of what is signed; many stores have no other than the default one.
    :param ca_file: the certificates of the authorities that may vouch for an endpoint by TLS.
    :param keys: what requests are signed with.
    """

    endpoint: str
    host: str
    bucket: str
    prefix: str
    region: str
    ca_file: str
    keys: StoreKeys = field(repr=False)

    @property
    def path(self) -> str:
        """The path, below the endpoint, that all objects lie below, with slashes at both ends."""
        return f"/{self.bucket}/{self.prefix}"

    @property
    def url(self) -> str:
        """The endpoint with that path."""
        return f"{self.endpoint}{self.path}"

    @property
    def is_encrypted(self) -> bool:
        """Whether the endpoint is asked by TLS."""
        return self.endpoint.startswith("https:")

    @property
    def has_other_host(self) -> bool:
        """Whether the ``Host`` header is not the endpoint's."""
        return self.host != _host_of(self.endpoint)

    @property
    def address(self) -> tuple[str, int]:
        """The endpoint's host, without brackets, and port."""
        parts = urlsplit(self.endpoint)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]

    def headers(self, method: str, key: str) -> tuple[str, dict[str, str]]:
        """Return the path of a request for an object, and the headers that sign it."""
        path = f"{self.path}{quoted(key, safe='/')}"
        signed = signed_headers(method, self.host, path, keys=self.keys, region=self.region)
        return path, signed

    def target(
        self,
        method: str,
        key: str,
        *extra: tuple[str, str],
        expires: int = EXPIRES,
        now: float | None = None,
    ) -> tuple[str, str]:
        """Return the path and the signed query of a request for an object.

        :param key: below the prefix; empty: the bucket.
        :param extra: parameters beside those of the signature.
        """
        path = f"{self.path}{quoted(key, safe='/')}" if key else f"/{self.bucket}"
        query = presigned_query(
            method,
            self.host,
            path,
            keys=self.keys,
            region=self.region,
            expires=expires,
            now=now,
            extra=extra,
        )
        return path, query


def checked_store(entry: object, key: str, keys: StoreKeys) -> Store:
    """Check what the configuration says of a store.

    :param key: the setting's name, for the error.
    :raises ConfigurationError: naming what does not fit. It repeats no value but names of hosts,
        buckets and files.
    """
    if not isinstance(entry, Mapping) or not _NEEDED <= set(entry) <= _SETTINGS:
        names = _listed(set(map(str, entry))) if isinstance(entry, Mapping) else "no settings"
        cure = (
            f"Write a mapping with 'endpoint' and 'bucket', and with {_listed(_SETTINGS - _NEEDED)}"
            " where needed. Keys belong into DELEGATE_STORE_KEYS."
        )
        raise ConfigurationError(key, f"does not fit: it has {names}.", cure)
    endpoint = _endpoint(entry["endpoint"], f"{key} endpoint")
    found = {
        "bucket": entry["bucket"],
        "host": entry.get("host") or _host_of(endpoint),
        "prefix": entry.get("prefix") or "",
        "region": entry.get("region") or "us-east-1",
    }
    for name, (pattern, cure) in _FORMS.items():
        value = found[name]
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ConfigurationError(f"{key} {name}", f"{value!r} cannot be one.", cure)
    ca_file = _ca_file(entry.get("ca_file"), f"{key} ca_file", needed=endpoint.startswith("https:"))
    return Store(endpoint, ca_file=ca_file, keys=keys, **found)


_FORMS = {
    "bucket": (_BUCKET, "Use a bucket's name: 3 to 63 letters, digits, '.', '_' and '-'."),
    "host": (_HOST, "Use a host's name, and its port where that is not the usual one."),
    "prefix": (
        _PREFIX,
        "Use letters, digits, '.', '_', '~' and '-', with a slash at the end, as in files/.",
    ),
    "region": (_REGION, "Use letters, digits and '-'."),
}


def _endpoint(value: object, key: str) -> str:
    if isinstance(value, str):
        scheme, separator, rest = value.rstrip("/").partition("://")
        if separator and scheme.lower() in _PORTS and _HOST.fullmatch(rest):
            port = rest.rpartition("]")[2].partition(":")[2]
            if not port or 0 < int(port) < 2**16:
                return f"{scheme.lower()}://{rest.lower()}"
    cure = "Write scheme, host and, if needed, port, as in https://s3.example.com or"
    raise ConfigurationError(key, "is not the address of a store.", f"{cure} http://10.0.0.5:8333.")


def _host_of(endpoint: str) -> str:
    """Return the ``Host`` header of requests: without the scheme's own port."""
    scheme, _, host = endpoint.partition("://")
    return host.removesuffix(f":{_PORTS[scheme]}")


def _ca_file(value: object, key: str, *, needed: bool) -> str:
    if not needed:
        return ""
    found = next(filter(os.path.exists, _AUTHORITIES), None) if value is None else value
    if not isinstance(found, str) or not _FILE.fullmatch(found) or not os.access(found, os.R_OK):
        problem = f"{found!r} is not a readable file with certificates."
        cure = "Name the file of the authorities' certificates, such as"
        raise ConfigurationError(key, problem, f"{cure} /etc/ssl/certs/ca-certificates.crt.")
    return found


def checked_keys(given: object, area: str) -> StoreKeys:
    """Return the keys of an area's store, given or from the environment.

    :param given: what ``DELEGATE_STORE_KEYS`` has for the area, if anything.
    :raises ConfigurationError: if there are none. It repeats none.
    """
    key = f"DELEGATE_STORE_KEYS[{area!r}]"
    if isinstance(given, StoreKeys):
        return given
    if given is None:
        given = [os.environ.get(name) for name in _ENVIRONMENT]
        given = given[: 3 if given[2] else 2]
        if not all(given):
            cure = f"Set it to (key id, secret), or set {_ENVIRONMENT[0]} and {_ENVIRONMENT[1]}."
            raise ConfigurationError(key, "is not set.", cure)
    parts = given if isinstance(given, list | tuple) else ()
    if len(parts) in (2, 3) and all(isinstance(one, str) and _KEY.fullmatch(one) for one in parts):
        return StoreKeys(*parts)
    cure = "Write (key id, secret), or (key id, secret, session token)."
    raise ConfigurationError(key, "does not hold keys.", cure)


def _listed(names: set[str]) -> str:
    return ", ".join(f"{name!r}" for name in sorted(names))
