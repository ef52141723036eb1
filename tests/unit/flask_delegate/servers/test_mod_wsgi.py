"""Hand-offs to mod_wsgi; what Apache does with them is in tests/live."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask, Response

from flask_delegate import HandoffUnavailable, send_via_apache
from flask_delegate.areas import Area
from flask_delegate.receipts import APACHE_FORMAT
from flask_delegate.servers import SERVERS, apache
from flask_delegate.servers.handshake import Keys
from tests.support.extension import CONTENT, Factory, behind_apache, serve


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a b.txt", "a%20b.txt"),
        ("a%20b.txt", "a%2520b.txt"),
        ("a?b#c;d&e=f+g.txt", "a%3Fb%23c%3Bd%26e%3Df%2Bg.txt"),
        ("é/日.txt", "%C3%A9/%E6%97%A5.txt"),
        ("a\\b.txt", "a%5Cb.txt"),
        ("raw\udcff.txt", "raw%FF.txt"),
    ],
)
def test_the_internal_url_is_quoted_exactly_once(
    app: Flask, root: Path, name: str, quoted: str
) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"x")
    serve(app, name)
    location = behind_apache(app).get("/file").headers["Location"]
    assert location.partition("?")[0] == f"/private/{quoted}"


def test_the_location_stays_local_under_a_response_class_that_completes_it(app: Flask) -> None:
    class Completing(Response):
        autocorrect_location_header = True

    app.response_class = Completing
    serve(app, "report.txt")
    assert behind_apache(app).get("/file").headers["Location"].startswith("/private/")


def test_two_configurations_for_one_url_are_told_apart(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    client.environ_base["flask_delegate." + "0" * 32] = "/private/"
    assert client.get("/file").data == CONTENT
    assert "two configurations on this server claim /private/" in caplog.text


def test_another_process_group_than_the_one_named_streams(
    make_app: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    serve(app, "report.txt")
    client = behind_apache(app)
    key = next(key for key in client.environ_base if key.startswith("flask_delegate."))
    client.environ_base[key] = "/private/ localhost:8000"
    assert "Location" in client.get("/file").headers
    client.environ_base[key] = "/private/ another"
    assert client.get("/file").data == CONTENT
    assert "only the process group 'another' may hand off" in caplog.text


def test_each_of_several_areas_hands_off_beside_the_others(
    make_app: Factory, tmp_path: Path
) -> None:
    """The environ shows the fingerprints of all areas, and those of other applications."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "report.txt").write_bytes(b"photo")
    app = make_app(DELEGATE_AREAS={"photos": {"root": tmp_path / "photos", "url": "/photos/"}})

    @app.get("/<area>")
    def file(area: str) -> Response:
        return send_via_apache("report.txt", area=area)

    client = behind_apache(app)
    client.environ_base.update(behind_apache(app, "photos").environ_base)
    client.environ_base["flask_delegate." + "0" * 32] = "/private/of-another/"
    assert client.get("/default").headers["Location"].startswith("/private/report.txt?")
    assert client.get("/photos").headers["Location"].startswith("/photos/report.txt?")


def test_signed_urls_need_the_time_which_no_client_can_send(make_app: Factory) -> None:
    rule = 'RequestHeader set X-Flask-Delegate-Time "%t" early\n'
    assert rule not in written(make_app())
    assert rule in written(make_app(DELEGATE_SIGNED_URL="/signed/"))


def test_the_configuration_shows_the_fingerprint_and_who_may_hand_off(app: Flask) -> None:
    fingerprint = app.extensions["delegate"].keys["default"][0].fingerprint
    assert f'\nSetEnv flask_delegate.{fingerprint} "/private/"\n' in written(app)
    named = written(app, "--process-group", "web")
    assert f'\nSetEnv flask_delegate.{fingerprint} "/private/ web"\n' in named
    assert "reqenv('REDIRECT_mod_wsgi.process_group') == 'web' && " in named


def test_only_what_is_needed_is_loaded(app: Flask) -> None:
    def modules(*options: str) -> list[str]:
        return re.findall(r"<IfModule !(\w+)_module>", written(app, *options))

    needed = ["alias", "authz_core", "env", "headers", "ratelimit", "setenvif"]
    assert modules() == needed
    assert modules("--receipts", "/log") == sorted([*needed, "log_config", "logio"])


def test_receipts_are_written_for_the_hand_offs_of_all_areas(
    make_app: Factory, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    areas = {"photos": {"root": tmp_path / "photos", "url": "/photos.d/"}}
    text = written(make_app(DELEGATE_AREAS=areas), "--receipts", "/var/log/x")
    log = r'"expr=%{resp:Location} =~ m#^(?:/private/|/photos\.d/)# && '
    assert f'\nCustomLog "/var/log/x" flask_delegate {log}!(' in text
    assert f'\nCustomLog "/var/log/x" flask_delegate_shrunk {log}(' in text
    conditions = [line for line in text.splitlines() if line.startswith("CustomLog")]
    assert [line.endswith(')"') for line in conditions] == [True, True]
    assert text.count(f'\nLogFormat "{APACHE_FORMAT}" flask_delegate\n') == 1


def test_rewrite_rules_of_a_site_leave_internal_urls_alone(make_app: Factory) -> None:
    app = make_app(DELEGATE_URL="/a.b/", DELEGATE_SIGNED_URL="/signed/")
    rules = """<IfModule rewrite_module>
    RewriteEngine On
    RewriteRule "^/a\\.b/" - [END]
    RewriteRule "^/signed/" - [END]
</IfModule>
"""
    assert rules in written(app, "--site")
    assert rules not in written(app)


def written(app: Flask, *options: str) -> str:
    done = app.test_cli_runner().invoke(args=["delegate", "apache-config", *options])
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("found", ["module", "package", ""])
def test_mod_wsgi_may_be_apaches_or_pips(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(apache, "has_module", lambda name: (found, name) == ("module", "wsgi"))
    found_by_pip = ("package", "mod_wsgi")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: "found" if (found, name) == found_by_pip else None
    )
    assert SERVERS["mod_wsgi"].is_installed() == bool(found)


def test_a_module_is_looked_for_by_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mod_xsendfile.so").touch()
    monkeypatch.setattr(apache, "_FOLDERS", ("/no/such/folder", tmp_path))
    assert apache.has_module("xsendfile")
    assert SERVERS["xsendfile"].is_installed()
    assert not apache.has_module("wsgi")


GUARD = """<Directory "/srv/files/">
{folder}
</Directory>
<Location "/private/">
{url}
</Location>
"""
DENIED, GRANTED = "    Require all denied", "Require all granted"


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        (GUARD.format(folder=f"{GRANTED}\n{DENIED}", url=DENIED), True),
        (GUARD.format(folder=f"{GRANTED}\n{DENIED}", url=""), False),
        (GUARD.format(folder=GRANTED, url=DENIED), False),
        (GUARD.format(folder=DENIED, url=DENIED), False),
        (GUARD.format(folder=f"{GRANTED}\n{DENIED}", url=f"{GRANTED}\n{DENIED}"), False),
        (GUARD.format(folder=f"{GRANTED}\n{DENIED}\n{GRANTED}", url=DENIED), False),
        (GUARD.format(folder=DENIED, url=f"{GRANTED}\n{DENIED}"), True),
        (
            GUARD.replace("</Directory>", "").format(folder=f"{GRANTED}\n{DENIED}", url=DENIED),
            False,
        ),
        (GUARD.replace("</Location>", "").format(folder=f"{GRANTED}\n{DENIED}", url=DENIED), False),
        (GUARD.replace("/srv", "/other").format(folder=f"{GRANTED}\n{DENIED}", url=DENIED), False),
        (GUARD.replace('"/p', '"/q').format(folder=f"{GRANTED}\n{DENIED}", url=DENIED), False),
    ],
)
def test_a_guard_that_was_altered_is_a_fault(text: str, is_whole: bool) -> None:
    area, keys = Area("default", "/srv/files", "/private/", "auto"), Keys("token", "fingerprint")
    fault = SERVERS["mod_wsgi"].fault(f"fingerprint token\n{text}", area, keys)
    assert (fault == "") is is_whole
    assert "other settings" in SERVERS["mod_wsgi"].fault(f"token\n{text}", area, keys)
    assert "lost the token" in SERVERS["mod_wsgi"].fault(f"fingerprint\n{text}", area, keys)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({}, "not Apache with mod_wsgi"),
        ({"mod_wsgi.process_group": ""}, "embedded mode"),
        ({"mod_wsgi.process_group": "web"}, "did not load the configuration"),
        ({"mod_wsgi.process_group": "web", "flask_delegate.0": "/private/ web"}, "other settings"),
        ({"mod_wsgi.process_group": "web", "flask_delegate.1": "/another/"}, "did not load"),
        (
            {
                "mod_wsgi.process_group": "web",
                "flask_delegate.1": "/private/",
                "flask_delegate.0": "/private/",
            },
            "two configurations",
        ),
        (
            {"mod_wsgi.process_group": "web", "flask_delegate.1": "/private/ other"},
            "only the process group 'other' may hand off, and this one is 'web'",
        ),
        ({"mod_wsgi.process_group": "web", "flask_delegate.1": "/private/ web"}, None),
        ({"mod_wsgi.process_group": "web", "flask_delegate.1": "/private/"}, None),
    ],
)
def test_what_keeps_a_request_from_a_hand_off(shown: dict[str, str], said: str | None) -> None:
    area, server = Area("default", "/srv/files", "/private/", "auto"), SERVERS["mod_wsgi"]
    if said is None:
        server.check(shown, area, Keys("token", "1"))
        return
    with pytest.raises(HandoffUnavailable, match=said) as caught:
        server.check(shown, area, Keys("token", "1"))
    assert caught.value.area == "default"
    assert caught.value.cure


def test_a_hand_off_has_no_body_and_the_files_type(app: Flask) -> None:
    serve(app, "report.txt", mimetype="text/css")
    response = behind_apache(app).get("/file")
    assert response.headers["Content-Length"] == "0"
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert set(dict(response.headers)) <= {"Content-Type", "Location", "Content-Length"}
