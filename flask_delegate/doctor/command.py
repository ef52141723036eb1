"""The command line of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ..areas import Area
from ..exceptions import UnknownArea
from ..state import state_of
from . import finding
from .apache_config import Configuration
from .checks import installation, routes, running, server, stores
from .file_access import find_account
from .finding import Finding, about, without
from .probe import Case
from .requests.client import Target, parse_url

_FOLDER_CHECKS = (*installation.CHECKS, *server.CHECKS, *server.FOLDER_CHECKS)
_STORE_CHECKS = (*stores.CHECKS, *server.CHECKS)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("doctor")
@click.argument("url", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--user",
    metavar="NAME",
    help="The user that the web server runs as. The default is www-data for root, otherwise the"
    " present user.",
)
@click.option("--area", metavar="NAME", help="Check this area only.")
@click.option("--config", type=_FILE, metavar="FILE", help="The generated file that is in use.")
@click.option(
    "--apache-config",
    type=_FILE,
    metavar="FILE",
    help="Apache's main configuration file, such as /etc/apache2/apache2.conf, or httpd.conf in the"
    " server root of mod_wsgi-express.",
)
@click.option(
    "--server-config",
    type=_FILE,
    metavar="FILE",
    help="What 'nginx -T', 'caddy adapt' or 'lighttpd -p -f lighttpd.conf' prints.",
)
@click.option("--host", metavar="NAME", help="The server's name, if URL has its address only.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this header with each request, as may be needed to get through to the application."
    " Repeat it for more. For Basic authentication, URL may hold a user and a password.",
)
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@with_appcontext
def doctor(
    url: str | None,
    *,
    as_json: bool,
    host: str | None,
    headers: tuple[str, ...],
    insecure: bool,
    **choices: Any,
) -> None:
    """Look for what is wrong with the installation, and with the server at URL.

    URL is the application's root. A probe file is put into each area and deleted again.
    The exit status is 1 if there is a failure.
    """
    try:
        verify = not insecure
        target = None if url is None else parse_url(url, name=host, verify=verify, headers=headers)
        case = _case(**choices)
    except (UnknownArea, ValueError) as error:
        raise click.UsageError(str(error)) from error
    findings = list(examine(case, target))
    click.echo(finding.as_json(findings) if as_json else finding.as_text(findings))
    if finding.counts(findings)[finding.Level.FAILURE]:
        click.get_current_context().exit(1)


def examine(case: Case, target: Target | None) -> Iterator[Finding]:
    """Run all checks; what they say contains no secret."""
    secrets = [token for area in case.state.settings.areas.values() for token in case.tokens(area)]
    secrets += [key.decode("utf-8", "replace") for key in case.state.settings.secrets]
    stored = [area.store.keys for area in case.state.settings.areas.values() if area.store]
    secrets += [text for keys in stored for text in (keys.secret, keys.session_token) if text]
    secrets += [] if target is None else target.secrets
    general = (installation.settings(case), installation.interpreter(case))
    local = (about(area, _local(case, area)) for area in case.areas)
    live = () if target is None else running.examine(case, target)
    sent = routes.examine(case, target)
    for found in chain(general, chain.from_iterable(local), live, sent):
        yield without(secrets, found)


def _local(case: Case, area: Area) -> Iterator[Finding]:
    checks = _FOLDER_CHECKS if area.store is None else _STORE_CHECKS
    return (check(case, area) for check in checks)


def _case(
    area: str | None,
    user: str | None,
    config: Path | None,
    apache_config: Path | None,
    server_config: Path | None,
) -> Case:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    state = state_of(app)
    every = state.settings.areas.values()
    areas = tuple(every) if area is None else (state.settings.area(area),)
    apache = None if apache_config is None else Configuration(apache_config)
    if apache is not None and not apache.is_apaches():
        raise ValueError(
            f"--apache-config takes Apache's main configuration file. {apache_config} is another"
            " server's, or has no directive of Apache's that the doctor knows."
        )
    return Case(app, state, areas, find_account(user), config, apache, server_config)
