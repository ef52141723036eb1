"""The fixture serves a user's application, cleans up, and says what is wrong."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from flask_delegate.testing import Apache, ServeWithApache, apache
from tests.support.extension import SECRET
from tests.support.paths import PROJECT
from tests.support.readme import readme_example
from tests.support.sites import Site

SHOP = """
import os
from flask import Flask
from flask_delegate import Delegate, delegated

def create_app(area="/private/"):
    app = Flask("shop", static_folder=None)
    app.config.from_prefixed_env()
    app.config["DELEGATE_URL"] = area
    Delegate(app)

    @app.get("/bought")
    @delegated(lambda: "FRIEND" in os.environ)
    def bought():
        return "report.txt"

    return app
"""


@pytest.fixture
def shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site with an application that hands off, or answers with 500."""
    site.write("report.txt")
    (site.app / "shop.py").write_text(SHOP)
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(site.root))
    monkeypatch.setenv("FLASK_DELEGATE_BACKEND", "mod_wsgi")
    return site


def fetch(server: Apache, path: str) -> tuple[int, bytes]:
    try:
        with urlopen(f"{server.url}{path}", timeout=30) as response:  # noqa: S310 -- http
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def documented() -> list[str]:
    text = (PROJECT / "docs/extension/testing.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_documentations_examples_pass(site: Site) -> None:
    (site.app / "hello.py").write_text(readme_example())
    settings = f'SECRET_KEY = "{SECRET}"\nDELEGATE_ROOT = "{site.root}"\n'
    (site.app / "hello.toml").write_text(settings)
    names = ("test_reports.py", "conftest.py", "test_apache.py")
    for name, source in zip(names, documented(), strict=True):
        (site.app / name).write_text(source)
    site.write("reports/a.pdf", b"%PDF-1.4")
    (site.app / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=site.app,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_application_is_served_with_its_own_settings(
    shop: Site, serve_with_apache: ServeWithApache
) -> None:
    with (
        serve_with_apache("shop", folder=shop.app, env={"FRIEND": "yes"}) as friendly,
        serve_with_apache("shop:create_app('/inside/')", folder=shop.app) as strict,
    ):
        assert friendly.url == f"http://127.0.0.1:{friendly.port}"
        assert fetch(friendly, "/bought") == (200, b"private content\n")
        assert fetch(friendly, "/private/report.txt")[0] == 403
        assert fetch(strict, "/bought")[0] == 403
        assert "access denied by the authorize function of bought" in strict.log()
        # Apache refuses its own area; the application has no page at the other's.
        assert fetch(strict, "/inside/report.txt")[0] == 403
        assert fetch(strict, "/private/report.txt")[0] == 404


def test_what_the_tests_can_import_the_server_can(
    shop: Site, serve_with_apache: ServeWithApache, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = shop.folder / "library"
    library.mkdir(mode=0o755)
    (shop.app / "shop.py").rename(library / "shop.py")
    (shop.app / "front.py").write_text("from shop import create_app\napp = create_app()\n")
    monkeypatch.syspath_prepend(library)
    with serve_with_apache("front", folder=shop.app, env={"FRIEND": "yes"}) as server:
        assert fetch(server, "/bought") == (200, b"private content\n")


def test_the_working_directory_is_pytests_root(shop: Site) -> None:
    (shop.app / "where.py").write_text(
        "import os\nfrom shop import create_app\n"
        "app = create_app()\napp.add_url_rule('/where', view_func=os.getcwd)\n"
    )
    (shop.app / "pytest.ini").write_text("[pytest]\n")
    (shop.app / "below").mkdir()
    (shop.app / "below" / "test_where.py").write_text(
        "from urllib.request import urlopen\n"
        "from flask_delegate.testing import serve_with_apache\n"
        "def test_where(serve_with_apache):\n"
        "    with urlopen(serve_with_apache('where').url + '/where', timeout=30) as response:\n"
        f"        assert response.read() == {os.fsencode(shop.app)!r}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=shop.app / "below",
        env={**os.environ, "PYTHONPATH": str(shop.app)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_is_left_of_a_server(
    shop: Site,
    serve_with_apache: ServeWithApache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = shop.folder / "temporary"
    temporary.mkdir(mode=0o755)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with serve_with_apache("shop", folder=shop.app) as server:
        assert listens(server.port)
        include = next(temporary.glob("*/include.conf"))
        assert include.stat().st_mode & 0o777 == 0o600
    assert not listens(server.port)
    assert list(temporary.iterdir()) == []
    assert "resuming normal operations" in server.log()
    server.stop()
    with pytest.raises(RuntimeError, match="Apache did not start"):
        serve_with_apache("shop", folder=shop.app, options=["--no-such-option"])
    assert list(temporary.iterdir()) == []


def test_an_application_that_does_not_load_says_why(
    shop: Site, serve_with_apache: ServeWithApache
) -> None:
    with pytest.raises(RuntimeError, match="Could not import 'missing'"):
        serve_with_apache("missing:app", folder=shop.app)
    (shop.app / "broken.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(RuntimeError, match="No module named 'a_module_that_is_not_there'"):
        serve_with_apache("broken", folder=shop.app)
    with pytest.raises(RuntimeError, match=r"(?s)flask --app shop delegate.*DELEGATE_ROOT"):
        serve_with_apache("shop", folder=shop.app, env={"FLASK_DELEGATE_ROOT": "nowhere"})


def test_an_application_without_the_extension_says_so(
    shop: Site, serve_with_apache: ServeWithApache
) -> None:
    (shop.app / "plain.py").write_text("from flask import Flask\napp = Flask('plain')\n")
    with pytest.raises(RuntimeError, match="No such command 'delegate'"):
        serve_with_apache("plain", folder=shop.app)


def test_code_that_the_daemons_user_cannot_read_is_named(
    shop: Site, serve_with_apache: ServeWithApache
) -> None:
    shop.app.chmod(0)
    try:
        with pytest.raises(RuntimeError, match=f"Permission denied: '{shop.app}'") as caught:
            serve_with_apache("shop", folder=shop.app)
    finally:
        shop.app.chmod(0o755)
    as_root = os.geteuid() == 0
    assert ("Started by root, Apache runs the application as" in str(caught.value)) == as_root


def test_an_interpreter_that_the_daemons_user_cannot_run_is_named(
    shop: Site, serve_with_apache: ServeWithApache, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = shop.folder / "python3"
    closed.touch(0o600)
    monkeypatch.setattr(sys, "executable", str(closed))
    with pytest.raises(RuntimeError, match=f"{closed} may not be run"):
        serve_with_apache("shop", folder=shop.app)


def test_a_missing_server_is_named_with_the_cure(
    shop: Site, serve_with_apache: ServeWithApache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Apache did not start:.*/nowhere/apache2"):
        serve_with_apache(
            "shop", folder=shop.app, options=["--httpd-executable", "/nowhere/apache2"]
        )
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match=r"pip install mod_wsgi.*apt install apache2-bin"):
        serve_with_apache("shop", folder=shop.app)


def test_a_daemon_that_does_not_come_up_is_not_taken_for_an_answer(site: Site) -> None:
    closed = site.folder / "closed"
    closed.mkdir(mode=0)
    options = ("--working-directory", str(closed), "--socket-timeout", "1")
    try:
        with pytest.raises(RuntimeError, match="Unable to change working directory"):
            apache.start("application = None\n", *options)
    finally:
        closed.chmod(0o755)


@pytest.mark.root  # an ordinary user's Apache runs as the same user
def test_a_closed_folder_for_temporary_files_is_named(
    shop: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="Set TMPDIR to another one"):
        apache.start(f"# {shop.app}\n")
    assert list(tmp_path.iterdir()) == []
