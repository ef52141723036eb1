"""Direct requests for an internal URL, spelled in every way that might slip past a guard."""

from __future__ import annotations

from dataclasses import dataclass, field

MARK = b"only the hand-off may deliver this\n"


@dataclass(frozen=True)
class Attack:
    """One direct request."""

    target: bytes
    method: str = "GET"
    version: str = "HTTP/1.1"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        head = f"{self.method} ".encode() + self.target
        if self.version == "HTTP/0.9":
            return head + b"\r\n"
        lines = {"Host": "127.0.0.1", "Connection": "close", **self.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return head + f" {self.version}\r\n{fields}\r\n".encode()


def targets(name: str) -> list[bytes]:
    """Spell ``/private/NAME``; most servers map the greater part of these to the same file."""
    path = f"/private/{name}"
    texts = [
        path,
        # Percent-encoding: a letter, the whole word, the slash, twice.
        f"/%70rivate/{name}",
        f"/privat%65/{name}",
        f"/%50rivate/{name}",
        f"/%70%72%69%76%61%74%65/{name}",
        f"/private%2f{name}",
        f"%2fprivate/{name}",
        f"/%2570rivate/{name}",
        f"/private/%{ord(name[0]):02x}{name[1:]}",
        # Doubled slashes.
        f"//private/{name}",
        f"///private///{name}",
        f"/private//{name}",
        # Dot segments, plain and encoded.
        f"/./private/{name}",
        f"/private/./{name}",
        f"/%2e/private/{name}",
        f"/x/../private/{name}",
        f"/x/%2e%2e/private/{name}",
        f"/x/%2e./private/{name}",
        f"/private/x/../{name}",
        f"/private/../private/{name}",
        f"/../private/{name}",
        f"/..//private/{name}",
        f"/file/../private/{name}",
        f"/.%2e/.%2e/private/{name}",
        # Absolute form, other schemes, other hosts.
        f"http://127.0.0.1{path}",
        f"http://other.example{path}",
        f"https://127.0.0.1{path}",
        f"HTTP://127.0.0.1/%70rivate/{name}",
        # Case, parameters, fragments, queries.
        f"/PRIVATE/{name}",
        f"/Private/{name}",
        f"{path};x=1",
        f"/private;x=1/{name}",
        f"{path}#x",
        f"{path}?",
        f"{path}?x=1",
        f"{path}?k=" + "0" * 32 + "&ct=text/plain&cd=inline",
        # Trailing characters, path information, odd separators.
        f"{path}/",
        f"{path}/x",
        f"{path}.",
        f"{path}%20",
        f"{path}%00",
        f"/private%00/{name}",
        f"{path}%0a",
        f"/private\\{name}",
        f"\\private\\{name}",
        f"/private%5c{name}",
        f"/ private/{name}",
        f"/private/\t{name}",
        f"private/{name}",
        f"*{path}",
    ]
    overlong = [
        b"/private%c0%af" + name.encode(),
        b"/\xc0\xafprivate/" + name.encode(),
        b"/%c0%aeprivate/" + name.encode(),
        b"/%c1%b0rivate/" + name.encode(),
        b"/%u0070rivate/" + name.encode(),
        "/\uff50rivate/".encode() + name.encode(),
    ]
    return [text.encode("latin-1") for text in texts] + overlong


SPOOFED = [
    {"REDIRECT_mod_wsgi.process_group": "localhost:8000"},
    {"mod_wsgi.process_group": "localhost:8000"},
    {"Mod-Wsgi.Process-Group": "x"},
    {"REDIRECT_STATUS": "200", "Redirect-Status": "200"},
    {"X-Accel-Redirect": "/private/x", "X-Sendfile": "/private/x"},
    {"X-Original-URL": "/", "X-Rewrite-URL": "/"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Location": "/private/x", "Status": "200"},
    {"X-HTTP-Method-Override": "GET"},
    {"Range": "bytes=0-"},
    {"If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"},
]
METHODS = ["HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "TRACE", "DELETE", "get", "FOO"]


def attacks(name: str) -> list[Attack]:
    """List the attacks on one file over HTTP/1 and HTTP/0.9."""
    path = f"/private/{name}".encode()
    plain = [Attack(target) for target in targets(name)]
    plain += [Attack(target, version="HTTP/1.0") for target in targets(name)]
    plain += [Attack(target, version="HTTP/0.9") for target in targets(name)]
    plain += [Attack(path, method=method) for method in METHODS]
    plain += [Attack(path, headers=headers) for headers in SPOOFED]
    return plain
