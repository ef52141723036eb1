"""The README's example, behind Apache."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from tests.support.clients import get
from tests.support.readme import readme_example
from tests.support.sites import SECRET, Site, express


def signed_in_cookie() -> str:
    app = Flask("signs")
    app.secret_key = SECRET
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer
    return f"session={serializer.dumps({'user': 'alice'})}"


def test_the_example_is_handed_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("reports/a.pdf", b"%PDF-1.4")
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_DELEGATE_ROOT", str(site.root))
    Path(site.app / "hello.py").write_text(readme_example())
    script = "from hello import app as application\n"
    with express(site, script, include=site.apache_config()) as running:
        assert get(running.port, "/reports/a.pdf").status == 403
        reply = get(running.port, "/reports/a.pdf", headers={"Cookie": signed_in_cookie()})
        assert (reply.status, reply.body) == (200, b"%PDF-1.4")
        assert reply["Content-Disposition"] == 'attachment; filename="a.pdf"'
        assert "streamed by Python meanwhile" not in running.logged()
