"""The README's example, behind Apache."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clients import get
from tests.support.extension import SECRET
from tests.support.readme import readme_example
from tests.support.sites import Site, express


def test_the_example_is_handed_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("reports/a.txt", b"Ten more than last year.\n")
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(site.root))
    Path(site.app / "hello.py").write_text(readme_example())
    script = "from hello import app as application\n"
    with express(site, script, include=site.apache_config()) as running:
        assert get(running.port, "/reports/a.txt").status == 403
        signed_in = get(running.port, "/sign-in")
        assert b'href="/reports/a.txt"' in signed_in.body
        cookie = signed_in["Set-Cookie"].partition(";")[0]
        reply = get(running.port, "/reports/a.txt", headers={"Cookie": cookie})
        assert (reply.status, reply.body) == (200, b"Ten more than last year.\n")
        assert reply["Content-Disposition"] == 'attachment; filename="a.txt"'
        assert "Python streams the files" not in running.log()
