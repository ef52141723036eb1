"""A store that is asked by TLS shows a certificate that fits, or gets no request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apaches import make_certificate
from tests.support.sites import new_site
from tests.support.store_area import SERVE, settings_for, url_of
from tests.support.store_settings import stored
from tests.support.stores import RunningStore, seaweedfs


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """Return a folder that the application's user can read."""
    with new_site() as site:
        for name in ("right", "other"):
            (site.folder / name).mkdir()
            make_certificate(site.folder / name, "localhost")
        yield site.folder


@pytest.fixture(scope="module")
def store(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    folder = tmp_path_factory.mktemp("store")
    with seaweedfs(folder, certificate=certificates / "right") as running:
        running.put("a.txt", b"content")
        yield running


@pytest.mark.parametrize("server", SERVE)
@pytest.mark.parametrize(
    ("host", "authority", "is_trusted"),
    [("localhost", "right", True), ("localhost", "other", False), ("127.0.0.1", "right", False)],
)
def test_a_certificate_is_verified(
    store: RunningStore,
    certificates: Path,
    server: str,
    host: str,
    authority: str,
    is_trusted: bool,
) -> None:
    endpoint = f"https://{host}:{store.tls_port}"
    keys = (store.access_key, store.secret_key)
    said = {"ca_file": str(certificates / authority / "server.crt")}
    backend = {"backend": "nginx"} if server == "nginx" else {}
    settings = stored(endpoint, keys, store=said, **backend)
    with new_site(**settings) as site, SERVE[server](site) as running:
        reply = running.get(url_of("a.txt"))
        if is_trusted:
            assert (reply.status, reply.body) == (200, b"content")
            assert running.get(url_of("a.txt"), headers={"Range": "bytes=1-2"}).body == b"on"
        else:
            assert reply.status in (500, 502, 503)
            assert b"content" not in reply.body
            assert (reply.get("Retry-After"), b"certificate" in reply.body) == ("30", False)
        head = running.get(url_of("a.txt"), method="HEAD")
        assert (head.status == 200) is is_trusted


@pytest.mark.parametrize("server", SERVE)
def test_another_name_may_be_signed_than_the_one_that_is_asked(tmp_path: Path, server: str) -> None:
    """As where a balancer stands between, which passes the name on."""
    with seaweedfs(tmp_path) as plain:
        plain.put("a.txt", b"content")
        backend = {"backend": "nginx"} if server == "nginx" else {}
        settings = settings_for(plain, store={"host": "files.example"}, **backend)
        with new_site(**settings) as site, SERVE[server](site) as running:
            assert running.get(url_of("a.txt")).body == b"content"
            assert running.get(url_of("a.txt"), method="HEAD").status == 200
