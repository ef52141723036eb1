"""The doctor finds what is wrong with real servers, and nothing where nothing is wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flask_delegate.testing.apache import free_port
from tests.support.apaches import PROXY, debian_site, debians_module
from tests.support.application import APPLICATION
from tests.support.caddies import ENCODED, caddy_in_front
from tests.support.clients import get
from tests.support.lighttpds import lighttpd_in_front
from tests.support.nginxes import nginx_in_front
from tests.support.patients import Patient, Plant, apache, doctor, write_application
from tests.support.python_servers import GUNICORN, python_server
from tests.support.servers import SERVERS
from tests.support.sites import Site, express
from tests.support.tools import tool

FAILURE = "failure"
WARNING = "warning"


@contextmanager
def healthy(site: Site) -> Iterator[Patient]:
    with apache(site, site.apache_config(), "--http2") as patient:
        yield patient


@contextmanager
def healthy_with_signed_urls(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    with apache(site, site.apache_config(**site.settings)) as patient:
        yield patient


@contextmanager
def healthy_under_a_path(site: Site) -> Iterator[Patient]:
    with apache(site, site.apache_config(), "--mount-point", "/portal") as patient:
        yield Patient(f"{patient.url}portal", patient.options)


@contextmanager
def healthy_nginx(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        configuration = site.folder / f"nginx-{port}" / "delegate.conf"
        configuration.chmod(0o600)
        yield Patient(f"http://127.0.0.1:{port}", ["--config", str(configuration)])


@contextmanager
def healthy_nginx_with_signed_urls(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    with healthy_nginx(site) as patient:
        yield patient


@contextmanager
def healthy_caddy(site: Site, around: str = ENCODED, admin: str = "off") -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "caddy"
    with (
        python_server(site, *GUNICORN) as upstream,
        caddy_in_front(site, upstream, around=around, admin=admin) as port,
    ):
        configuration = site.folder / f"caddy-{port}" / "delegate.caddy"
        configuration.chmod(0o600)
        yield Patient(f"http://127.0.0.1:{port}", ["--config", str(configuration)])


@contextmanager
def healthy_lighttpd(site: Site, after: str = "") -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "lighttpd"
    with (
        python_server(site, *GUNICORN) as upstream,
        lighttpd_in_front(site, upstream, after=after) as port,
    ):
        configuration = site.folder / f"lighttpd-{port}" / "delegate.conf"
        configuration.chmod(0o600)
        yield Patient(f"http://127.0.0.1:{port}", ["--config", str(configuration)])


@contextmanager
def healthy_xsendfile(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with apache(site, site.apache_config()) as patient:
        yield patient


@pytest.mark.parametrize(
    "plant",
    [
        healthy,
        healthy_with_signed_urls,
        healthy_under_a_path,
        healthy_nginx,
        healthy_caddy,
        healthy_lighttpd,
        healthy_nginx_with_signed_urls,
        healthy_xsendfile,
    ],
)
def test_nothing_is_wrong_with_a_healthy_server(site: Site, plant: Plant) -> None:
    site.write("report.txt")
    with plant(site) as patient:
        code, report = doctor(site, patient)
    wrong = [item for item in report["findings"] if item["level"] in (FAILURE, WARNING)]
    assert wrong == []
    assert (code, report["ok"]) == (0, True)
    seen = {item["check"] for item in report["findings"] if item["level"] == "ok"}
    assert "attack-http2" in seen or plant is not healthy
    signed = {check for check in seen if check.startswith("signed-")}
    assert len(signed) == (4 if "DELEGATE_SIGNED_URL" in site.settings else 0)
    assert {"probe", "agreement", "guard", "handoff", "head", "range", "conditional"} <= seen
    assert len([check for check in seen if check.startswith("attack-")]) >= 10
    assert [path.name for path in site.root.iterdir()] == ["report.txt"]


def test_a_replaced_key_is_a_warning(site: Site) -> None:
    include = site.apache_config()
    changed = f"SITE_SETTINGS = {{'SECRET_KEY_FALLBACKS': [SECRET]}}\nSECRET = {'new ' * 5!r}\n"
    write_application(site, changed + APPLICATION)
    with apache(site, include, application=changed + APPLICATION) as patient:
        code, report = doctor(site, patient)
    wrong = {item["check"]: item["level"] for item in report["findings"] if item["why"]}
    assert (code, wrong) == (0, {"config": WARNING, "guard": WARNING})


def test_a_server_without_handoff_has_warnings_only(site: Site) -> None:
    with python_server(site, *GUNICORN) as port:
        code, report = doctor(site, Patient(f"http://127.0.0.1:{port}"))
    levels = {item["check"]: item["level"] for item in report["findings"]}
    assert (code, levels["daemon-mode"], levels["guard"]) == (0, WARNING, "skipped")


@pytest.mark.parametrize("name", ["mod_wsgi-tls", "site-debians-mod_wsgi", "scgi"])
def test_other_healthy_servers(site: Site, name: str) -> None:
    with SERVERS[name](site) as running:
        scheme = "https" if running.tls else "http"
        options = ["--insecure", "--host", running.host]
        for folder in site.folder.glob("apache-*"):
            (folder / "delegate.conf").chmod(0o600)
            options += ["--config", str(folder / "delegate.conf")]
            options += ["--apache-config", str(folder / "etc" / "apache2.conf")]
        url = f"{scheme}://127.0.0.1:{running.port}/"
        code, report = doctor(site, Patient(url, options))
    wrong = [item for item in report["findings"] if item["level"] in (FAILURE, WARNING)]
    assert wrong == []
    levels = {item["check"]: item["level"] for item in report["findings"]}
    assert (code, levels["handoff"], levels["attack-encoding"]) == (0, "ok", "ok")
    assert levels["attack-http2"] == ("ok" if running.tls else "skipped")
    assert levels["apache-paths"] == ("skipped" if running.tls else "ok")


def in_virtual_host(port: int, rules: str, name: str = "localhost") -> str:
    return f"<VirtualHost 127.0.0.1:{port}>\nServerName {name}\n{rules}</VirtualHost>\n"


def open_alias(url: str, folder: Path) -> str:
    return (
        f'Alias "{url}" "{folder}/"\n<Directory "{folder}/">\nRequire all granted\n'
        "Options FollowSymLinks\n</Directory>\n"
    )


def manuals_rules(site: Site) -> str:
    return (
        "RewriteEngine On\nRewriteCond %{THE_REQUEST} ^\\S+\\s/private/\n"
        f"RewriteRule ^/private/ - [F]\n{open_alias('/private/', site.root)}"
    )


def modules(site: Site) -> str:
    return site.apache_config().partition("SetEnv ")[0]


@contextmanager
def manuals_guard(site: Site) -> Iterator[Patient]:
    port = free_port()
    rules = in_virtual_host(port, manuals_rules(site))
    with apache(site, rules, "--http2", port=port) as patient:
        yield patient


@contextmanager
def manuals_guard_in_the_wrong_place(site: Site) -> Iterator[Patient]:
    with apache(site, manuals_rules(site)) as patient:
        yield patient


@contextmanager
def guard_in_another_host(site: Site) -> Iterator[Patient]:
    port = free_port()
    include = (
        modules(site)
        + in_virtual_host(port, open_alias("/private/", site.root))
        + in_virtual_host(port, site.apache_config("--site"), "other.example")
    )
    with apache(site, include, port=port) as patient:
        yield patient


@contextmanager
def no_configuration(site: Site) -> Iterator[Patient]:
    with apache(site, "# nothing\n") as patient:
        yield patient


@contextmanager
def stale_fingerprint(site: Site) -> Iterator[Patient]:
    include = site.apache_config(DELEGATE_HEADERS={"X-Frame-Options": "DENY"})
    with apache(site, include) as patient:
        yield patient


@contextmanager
def altered_rules(site: Site) -> Iterator[Patient]:
    """Leave the fingerprint, and open the guard."""
    include = site.apache_config().replace("Require all denied", "Require all granted")
    with apache(site, include) as patient:
        yield patient


@contextmanager
def guard_loosened_later(site: Site) -> Iterator[Patient]:
    loose = '<Location "/">\n<If "true">\nRequire all granted\n</If>\n</Location>\n'
    with apache(site, site.apache_config() + loose) as patient:
        yield patient


@contextmanager
def embedded_mode(site: Site) -> Iterator[Patient]:
    with apache(site, site.apache_config(), "--embedded-mode") as patient:
        yield patient


@contextmanager
def unreadable_folder(site: Site) -> Iterator[Patient]:
    with apache(site, site.apache_config()) as patient:
        site.root.chmod(0o700)
        yield patient


@contextmanager
def unreadable_parent(site: Site) -> Iterator[Patient]:
    with apache(site, site.apache_config()) as patient:
        site.folder.chmod(0o700)
        yield patient


@contextmanager
def unreadable_file(site: Site) -> Iterator[Patient]:
    site.write("secret.txt").chmod(0)
    with healthy(site) as patient:
        yield patient


@contextmanager
def world_writable(site: Site) -> Iterator[Patient]:
    site.root.chmod(0o777)
    with healthy(site) as patient:
        yield patient


@contextmanager
def directory_listing(site: Site) -> Iterator[Patient]:
    port = free_port()
    listing = open_alias("/private/", site.root).replace("FollowSymLinks", "Indexes")
    loaded = "LoadModule autoindex_module ${MOD_WSGI_MODULES_DIRECTORY}/mod_autoindex.so\n"
    with apache(site, loaded + in_virtual_host(port, listing), port=port) as patient:
        yield patient


def link_root(site: Site) -> Path:
    """Put a symbolic link in the place of the area's folder; return the folder."""
    real = site.folder / "release-1"
    site.root.rename(real)
    site.root.symlink_to(real)
    return real


@contextmanager
def symlinked_root(site: Site) -> Iterator[Patient]:
    """Have an alias of the operator's follow the link as well."""
    link_root(site)
    include = site.apache_config() + open_alias("/downloads/", site.root)
    with apache(site, include) as patient:
        yield patient


@contextmanager
def symlinked_root_moved_on(site: Site) -> Iterator[Patient]:
    """Point the link elsewhere after the server was started."""
    link_root(site)
    with apache(site, site.apache_config()) as patient:
        other = site.folder / "release-2"
        other.mkdir(mode=0o755)
        site.root.unlink()
        site.root.symlink_to(other)
        yield patient


@contextmanager
def another_virtual_host(site: Site) -> Iterator[Patient]:
    port = free_port()
    include = (
        modules(site)
        + in_virtual_host(port, site.apache_config("--site"))
        + in_virtual_host(port, open_alias("/pub/", site.root), "other.example")
    )
    with apache(site, include, port=port) as patient:
        yield patient


@contextmanager
def document_root_above(site: Site) -> Iterator[Patient]:
    port = free_port()
    open_root = (
        f'DocumentRoot "{site.folder}"\n'
        f'<Directory "{site.folder}">\nRequire all granted\n</Directory>\n'
    )
    include = (
        modules(site)
        + in_virtual_host(port, site.apache_config("--site"))
        + in_virtual_host(port, open_root, "other.example")
    )
    with apache(site, include, port=port) as patient:
        yield patient


@contextmanager
def another_secret(site: Site) -> Iterator[Patient]:
    write_application(site, f"SECRET = 'no longer this one: {'x' * 20}'\n{APPLICATION}")
    with apache(site, site.apache_config()) as patient:
        yield patient


@contextmanager
def another_process_group(site: Site) -> Iterator[Patient]:
    include = site.apache_config("--process-group", "another")
    with apache(site, include) as patient:
        yield patient


@contextmanager
def headers_changed_on_the_way(site: Site) -> Iterator[Patient]:
    upstream_rules = '<If "true">\nHeader set Cache-Control "public, max-age=600"\n</If>\n'
    include = site.apache_config() + f'<Location "/private/">\n{upstream_rules}</Location>\n'
    with apache(site, include) as patient:
        yield patient


@contextmanager
def no_ranges(site: Site) -> Iterator[Patient]:
    none = '<Location "/private/">\n<If "true">\nMaxRanges none\n</If>\n</Location>\n'
    with apache(site, site.apache_config() + none) as patient:
        yield patient


@contextmanager
def no_etag(site: Site) -> Iterator[Patient]:
    unset = '<Location "/private/">\n<If "true">\nHeader unset ETag\n</If>\n</Location>\n'
    with apache(site, site.apache_config() + unset) as patient:
        yield patient


@contextmanager
def no_head(site: Site) -> Iterator[Patient]:
    rule = "<If \"%{REQUEST_METHOD} == 'HEAD'\">\nRequire all denied\n</If>\n"
    with apache(site, f'{site.apache_config()}<Location "/">\n{rule}</Location>\n') as patient:
        yield patient


@contextmanager
def readable_token(site: Site) -> Iterator[Patient]:
    with healthy(site) as patient:
        Path(patient.options[-1]).chmod(0o644)
        yield patient


@contextmanager
def static_files_in_the_area(site: Site) -> Iterator[Patient]:
    blueprint = (
        "\nfrom flask import Blueprint\n"
        "app.register_blueprint(Blueprint('assets', __name__, static_folder=SITE_ROOT,"
        " static_url_path='/assets'))\n"
    )
    write_application(site, APPLICATION + blueprint)
    with healthy(site) as patient:
        yield patient


@contextmanager
def a_path_that_is_not_the_root(site: Site) -> Iterator[Patient]:
    with healthy(site) as patient:
        yield Patient(f"{patient.url}portal/", patient.options)


@contextmanager
def a_redirect_to_another_host(site: Site) -> Iterator[Patient]:
    rule = 'RedirectMatch "^/(.*)" "https://other.example/$1"\n'
    with apache(site, site.apache_config() + rule) as patient:
        yield patient


@contextmanager
def opened_to_who_has_a_header(site: Site) -> Iterator[Patient]:
    """Open the area, behind something that the doctor has to be let through."""
    rules = (
        '<Location "/">\n<If "%{HTTP:X-Pass} != \'yes\'">\nRequire all denied\n</If>\n</Location>\n'
        '<Location "/private/">\n<If "%{HTTP:X-Pass} == \'yes\'">\nRequire all granted\n</If>\n'
        "</Location>\n"
    )
    with apache(site, site.apache_config() + rules, "--http2") as patient:
        patient.options += ["--header", "X-Pass: yes"]
        yield patient


@contextmanager
def no_utf_8(site: Site) -> Iterator[Patient]:
    with debian_site(site, module=debians_module, locale="") as running:
        yield Patient(f"http://127.0.0.1:{running.port}/", ["--host", running.host])


@contextmanager
def filters_merged_later(site: Site) -> Iterator[Patient]:
    loaded = "".join(
        f"LoadModule {name}_module ${{MOD_WSGI_MODULES_DIRECTORY}}/mod_{name}.so\n"
        for name in ("deflate", "substitute")
    )
    rules = (
        "SetOutputFilter SUBSTITUTE;DEFLATE\nSubstitute s|</head>|<script>|\nUnsetEnv no-gzip\n"
        'Header set Cache-Control "public"\nMaxRanges none\n'
    )
    later = f'<Location "/private/">\n<If "true">\n{rules}</If>\n</Location>\n'
    with apache(site, loaded + site.apache_config() + later) as patient:
        yield patient


@contextmanager
def nginx_that_is_not_internal(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    config = site.nginx_config().replace("internal;", "")
    opened = config.replace("if ($arg_k !=", "if ($arg_never =")
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, opened) as port,
    ):
        yield Patient(f"http://127.0.0.1:{port}")


@contextmanager
def proxy_that_does_not_say_so(site: Site) -> Iterator[Patient]:
    """A proxy without the header that shows what it has loaded."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream:
        include = PROXY.format(upstream=upstream)
        with express(site, APPLICATION, include=include) as server:
            yield Patient(f"http://127.0.0.1:{server.port}")


@contextmanager
def nginx_with_ways_of_its_own(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    own = f"location ~ ^/files/(.*)$ {{ alias {site.root}/$1; }}"
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, site.nginx_config() + own) as port,
    ):
        main = site.folder / f"nginx-{port}" / "nginx.conf"
        told = subprocess.run([tool("nginx"), "-T", "-c", main], capture_output=True, check=True)
        whole = main.with_name("whole.conf")
        whole.write_bytes(told.stdout)
        yield Patient(f"http://127.0.0.1:{port}", ["--server-config", str(whole)])


@contextmanager
def caddy_with_ways_of_its_own(site: Site) -> Iterator[Patient]:
    own = f"handle /{site.root.name}/* {{\nroot * {site.folder}\nfile_server\n}}"
    with healthy_caddy(site, own) as patient:
        main = Path(patient.options[-1]).with_name("Caddyfile")
        patient.options += ["--server-config", str(main)]
        yield patient


@contextmanager
def lighttpd_with_ways_of_its_own(site: Site) -> Iterator[Patient]:
    own = f'proxy.server = ( )\nalias.url = ( "/files/" => "{site.root}/" )'
    own = f'server.modules += ( "mod_alias" )\n$HTTP["url"] =~ "^/files/" {{\n{own}\n}}'
    with healthy_lighttpd(site, own) as patient:
        main = Path(patient.options[-1]).with_name("lighttpd.conf")
        told = subprocess.run([tool("lighttpd"), "-p", "-f", main], capture_output=True, check=True)
        whole = main.with_name("whole.conf")
        whole.write_bytes(told.stdout)
        patient.options += ["--server-config", str(whole)]
        yield patient


@contextmanager
def caddy_that_reads_templates(site: Site) -> Iterator[Patient]:
    with healthy_caddy(site, "templates\nheader >Cache-Control public") as patient:
        yield patient


@contextmanager
def caddy_with_its_admin_api(site: Site) -> Iterator[Patient]:
    address = f"localhost:{free_port()}"
    with pytest.MonkeyPatch.context() as patch, healthy_caddy(site, admin=address) as patient:
        patch.setenv("CADDY_ADMIN", address)
        yield patient


@contextmanager
def caddy_that_cannot_read_its_file(site: Site) -> Iterator[Patient]:
    with healthy_caddy(site) as patient:
        os.chown(patient.options[-1], 0, 0)  # as the command writes it again
        yield patient


@contextmanager
def lighttpd_with_more_around(site: Site) -> Iterator[Patient]:
    around = 'setenv.add-response-header = ( "Cache-Control" => "public" )\n'
    around += 'deflate.mimetypes = ( "" )\ndeflate.min-compress-size = 1'
    with healthy_lighttpd(site, f'$HTTP["host"] =~ "" {{\n{around}\n}}') as patient:
        yield patient


@contextmanager
def caddy_without_the_import(site: Site) -> Iterator[Patient]:
    site.settings["DELEGATE_BACKEND"] = "caddy"
    with python_server(site, *GUNICORN) as upstream, caddy_in_front(site, upstream, "") as port:
        yield Patient(f"http://127.0.0.1:{port}")


def with_signed_urls(site: Site, before: str, after: str) -> str:
    """Write the configuration with signed URLs, and alter it."""
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    written = site.apache_config(**site.settings)
    assert before in written
    return written.replace(before, after)


@contextmanager
def signed_urls_for_ever(site: Site) -> Iterator[Patient]:
    with apache(site, with_signed_urls(site, "$3 -gt $1", "true")) as patient:
        yield patient


@contextmanager
def no_time_for_signed_urls(site: Site) -> Iterator[Patient]:
    with apache(
        site, with_signed_urls(site, "RequestHeader set", "# RequestHeader set")
    ) as patient:
        yield patient


@contextmanager
def signed_folders_for_ever(site: Site) -> Iterator[Patient]:
    with apache(site, with_signed_urls(site, "$4 -gt $1", "true")) as patient:
        yield patient


@contextmanager
def nginx_that_does_not_verify(site: Site) -> Iterator[Patient]:
    site.settings |= {"DELEGATE_SIGNED_URL": "/signed/", "DELEGATE_BACKEND": "nginx"}
    rules = site.nginx_config()
    check = 'if ($flask_delegate_verified != "yes") {'
    assert check in rules
    rules = rules.replace(check, 'if ($flask_delegate_verified = "no") {')
    with (
        python_server(site, *GUNICORN) as upstream,
        nginx_in_front(site, upstream, rules) as port,
    ):
        yield Patient(f"http://127.0.0.1:{port}")


FAULTS: dict[str, tuple[Plant, set[tuple[str, str]]]] = {
    "mod_wsgi's manual's guard": (
        manuals_guard,
        {("guard", FAILURE), ("attack-encoding", FAILURE), ("attack-http2", FAILURE)},
    ),
    "the manual's guard where express includes it": (
        manuals_guard_in_the_wrong_place,
        {("attack-plain", FAILURE), ("guard", FAILURE)},
    ),
    "the guard in another virtual host": (
        guard_in_another_host,
        {("guard", FAILURE), ("attack-plain", FAILURE), ("apache-paths", FAILURE)},
    ),
    "signed URLs for ever": (signed_urls_for_ever, {("signed-url-forged", FAILURE)}),
    "signed folders for ever": (signed_folders_for_ever, {("signed-folder-forged", FAILURE)}),
    "no time for signed URLs": (
        no_time_for_signed_urls,
        {("signed-url", FAILURE), ("signed-folder", FAILURE)},
    ),
    "nginx that does not verify": (
        nginx_that_does_not_verify,
        {("signed-url-forged", FAILURE), ("signed-folder-forged", FAILURE)},
    ),
    "no configuration": (no_configuration, {("guard", FAILURE), ("config", FAILURE)}),
    "a stale fingerprint": (stale_fingerprint, {("guard", FAILURE), ("config", FAILURE)}),
    "altered rules": (altered_rules, {("attack-plain", FAILURE), ("config", FAILURE)}),
    "a guard loosened by later rules": (guard_loosened_later, {("attack-plain", FAILURE)}),
    "embedded mode": (embedded_mode, {("daemon-mode", FAILURE), ("guard", FAILURE)}),
    "an unreadable folder": (unreadable_folder, {("permissions", FAILURE), ("handoff", FAILURE)}),
    "an unreadable parent folder": (
        unreadable_parent,
        {("permissions", FAILURE), ("handoff", FAILURE)},
    ),
    "an unreadable file": (unreadable_file, {("files", FAILURE)}),
    "a folder that everybody may write to": (world_writable, {("root", FAILURE)}),
    "directory listing on": (directory_listing, {("listing", FAILURE)}),
    "a symlinked root and an alias through the link": (
        symlinked_root,
        {("root-link", WARNING), ("apache-paths", FAILURE), ("other-paths", FAILURE)},
    ),
    "a symlinked root that moved on": (
        symlinked_root_moved_on,
        {("root-link", WARNING), ("agreement", FAILURE), ("config", FAILURE)},
    ),
    "an alias in another virtual host": (
        another_virtual_host,
        {("apache-paths", FAILURE), ("other-paths", FAILURE)},
    ),
    "a document root above the area": (
        document_root_above,
        {("apache-paths", FAILURE), ("other-paths", FAILURE)},
    ),
    "another SECRET_KEY": (another_secret, {("probe", FAILURE), ("config", FAILURE)}),
    "another process group": (another_process_group, {("guard", FAILURE)}),
    "headers changed on the way": (headers_changed_on_the_way, {("handoff", FAILURE)}),
    "no ranges": (no_ranges, {("range", FAILURE)}),
    "no ETag": (no_etag, {("conditional", FAILURE)}),
    "an area that is open behind a header": (
        opened_to_who_has_a_header,
        {("attack-plain", FAILURE), ("attack-http2", FAILURE), ("attack-hosts", FAILURE)},
    ),
    "no UTF-8 locale": (no_utf_8, {("names", FAILURE)}),
    "filters that are merged later": (
        filters_merged_later,
        {("filters", FAILURE), ("codings", WARNING), ("policies", FAILURE), ("range", FAILURE)},
    ),
    "no HEAD": (no_head, {("head", FAILURE)}),
    "a token that everybody may read": (readable_token, {("config-secret", FAILURE)}),
    "static files in the area": (static_files_in_the_area, {("overlap", FAILURE)}),
    "a URL that is not the application's root": (
        a_path_that_is_not_the_root,
        {("probe", FAILURE)},
    ),
    "a redirect to another host": (a_redirect_to_another_host, {("probe", FAILURE)}),
    "an nginx location that is open": (nginx_that_is_not_internal, {("attack-plain", FAILURE)}),
    "lighttpd with an alias of its own": (
        lighttpd_with_ways_of_its_own,
        {("other-paths", FAILURE)},
    ),
    "nginx with an alias of its own": (nginx_with_ways_of_its_own, {("other-paths", FAILURE)}),
    "Caddy with a file_server of its own": (
        caddy_with_ways_of_its_own,
        {("other-paths", FAILURE)},
    ),
    "Caddy with templates and a later header": (
        caddy_that_reads_templates,
        {("filters", FAILURE), ("policies", FAILURE)},
    ),
    "Caddy that cannot read its file": (caddy_that_cannot_read_its_file, {("config", FAILURE)}),
    "Caddy with its admin API": (caddy_with_its_admin_api, {("admin-api", FAILURE)}),
    "lighttpd with a header and compression": (
        lighttpd_with_more_around,
        {("policies", FAILURE), ("codings", WARNING)},
    ),
    "Caddy without the import": (
        caddy_without_the_import,
        {("guard", FAILURE), ("handoff", FAILURE)},
    ),
    "a proxy that does not say so": (
        proxy_that_does_not_say_so,
        {("guard", FAILURE), ("handoff", FAILURE)},
    ),
}


# To an ordinary user, who runs Apache as well, nothing is readable that is not so to Apache.
NEEDS_ROOT = {
    "an unreadable folder",
    "an unreadable parent folder",
    "Caddy that cannot read its file",
}


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if os.geteuid() == 0 or fault not in NEEDS_ROOT]
)
def test_a_planted_fault_is_found(site: Site, fault: str) -> None:
    plant, expected = FAULTS[fault]
    with plant(site) as patient:
        code, report = doctor(site, patient)
    wrong = {
        (item["check"], item["level"]): item
        for item in report["findings"]
        if item["level"] in (FAILURE, WARNING)
    }
    assert expected <= set(wrong), wrong
    assert all(wrong[key]["why"] and wrong[key]["fix"] for key in wrong)
    assert (code, report["ok"]) == (1, False)
    assert not list(site.folder.rglob("flask-delegate-probe-*"))


def test_a_stopped_server_is_said_to_be_so(site: Site) -> None:
    code, report = doctor(site, Patient(f"http://127.0.0.1:{free_port()}/"))
    assert code == 1
    assert report["findings"][-1]["check"] == "reach"


def test_the_probe_route_of_a_server_is_like_no_route(site: Site) -> None:
    with express(site, APPLICATION, include=site.apache_config()) as server:
        unknown = get(server.port, "/.well-known/nothing/x")
        probe = get(server.port, "/.well-known/flask-delegate/x")
    assert (probe.status, probe.body) == (unknown.status, unknown.body) == (404, unknown.body)
