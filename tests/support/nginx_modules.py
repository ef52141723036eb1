"""Debian's dynamic modules for nginx, unpacked: what is installed is loaded by each nginx."""

from __future__ import annotations

import subprocess
from pathlib import Path

_FOLDER = "usr/lib/nginx/modules"


def fetch(folder: Path, *names: str) -> dict[str, Path]:
    """Download modules, as ``brotli-filter``, and return where each is."""
    folder.chmod(0o777)  # apt downloads as a user of its own
    packages = [f"libnginx-mod-http-{name}" for name in names]
    download = ["apt-get", "download", "-q", *packages]
    if subprocess.run(download, cwd=folder, check=False).returncode:
        # Where nothing had to be installed, the lists may be missing or old.
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(download, cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    file = "ngx_http_{}_module.so"
    return {name: folder / _FOLDER / file.format(name.replace("-", "_")) for name in names}
