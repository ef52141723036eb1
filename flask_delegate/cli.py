"""``flask delegate …``. A command's module is imported when the command runs."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from . import configuration_file, receipts
from .servers import SERVERS, server_of
from .servers.base import Choices, Keyed, Server
from .state import state_of

_NOT_PRINTED = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""Why what is printed may not arrive, apart from a reader that has ended, such as ``head``."""
_PLAIN_PATH = re.compile(r"/[\w./@+ -]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _checked_log(_context: click.Context, _parameter: object, path: str | None) -> str | None:
    if path is not None and not _PLAIN_PATH.fullmatch(path):
        raise click.BadParameter("use an absolute path of letters, digits and . _ - + @ / only.")
    return path


def _checked_resolver(
    _context: click.Context, _parameter: object, address: str | None
) -> str | None:
    if address is not None and not re.fullmatch(r"(?:[0-9.]+|\[[0-9A-Fa-f:]+\])(?::\d+)?", address):
        raise click.BadParameter(
            "use an IP address, in brackets if it is IPv6, and a port if needed."
        )
    return address


_OUTPUT = click.Option(
    ["--output"],
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, readable by its owner only, instead of printing. A file that was made by"
    " the command is replaced, and keeps its owner, group and mode.",
)
_CHOICES = {
    "site": click.Option(
        ["--site"],
        is_flag=True,
        help="For an Apache configuration or <VirtualHost> of your own, which loads its modules"
        " itself. The default is for mod_wsgi-express --include-file.",
    ),
    "process_group": click.Option(
        ["--process-group"],
        metavar="NAME",
        help="Let only this daemon process group hand off. The default is any of the server.",
    ),
    "sendfile": click.Option(
        ["--sendfile/--no-sendfile"],
        default=True,
        show_default=True,
        help="Let the kernel send files. Turn it off on a network file system.",
    ),
    "receipts": click.Option(
        ["--receipts"],
        metavar="FILE",
        callback=_checked_log,
        help="Have the server write how each download ended to FILE.",
    ),
    "store_connections": click.Option(
        ["--store-connections"],
        type=click.IntRange(1, 10_000),
        default=5,
        show_default=True,
        help="How many objects each process of Apache sends from a store at once. Each holds a"
        " thread: choose at most half of ThreadsPerChild.",
    ),
    "resolver": click.Option(
        ["--resolver"],
        metavar="ADDRESS",
        callback=_checked_resolver,
        help="The name server that nginx asks for the address of a store, for as long as its answer"
        " is valid. The default is to ask the system's once, as nginx starts.",
    ),
}


class _Commands(AppGroup):
    """The commands that there are, one for each product that needs a configuration included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for given in args:
            if _CONTROL.search(given):
                raise click.UsageError(f"An argument has control characters: {given[:100]!r}.")
        with _printing():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _printing():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        configured = {server.command for server in SERVERS.values() if server.command}
        return sorted({"clean-generated", "doctor", "receipts", *configured})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "doctor":
            from .doctor.command import doctor

            return doctor
        if cmd_name == "receipts":
            return show_receipts
        if cmd_name == "clean-generated":
            return clean_generated
        return _configuration_command(cmd_name) if cmd_name in self.list_commands(ctx) else None


@contextmanager
def _printing() -> Iterator[None]:
    """Say in a sentence what is wrong where the output goes, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_PRINTED or error.filename is not None:
            raise
        drop_output()
        raise click.ClickException(f"cannot write the output: {error.strerror}") from error


def drop_output() -> None:
    """Drop what could not be printed: it would fail once more at the end, with another status."""
    with suppress(OSError):  # a stream of a test's own
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


delegate: AppGroup = _Commands("delegate", help="Set up the web server that sends private files.")


def _configuration_command(name: str) -> click.Command:
    servers = [server for server in SERVERS.values() if server.command == name]
    heeded = {choice for server in servers for choice in server.choices}
    product = servers[0].product

    @with_appcontext
    def write(output: Path | None, **choices: Any) -> None:
        beside, script = _script(servers, output)
        rules = _configuration(servers, Choices(script=str(beside or ""), **choices))
        text = configuration_file.HEAD.format(
            product=product,
            name=current_app.import_name,
            command=name,
            warning=configuration_file.WARNING if _is_secret(servers, rules) else "",
        )
        text += rules
        if output is None:
            click.echo(text, nl=False)
        else:
            # First what the configuration needs.
            files = {beside: script} if beside is not None else {}
            configuration_file.write({**files, output: text})

    return click.Command(
        name,
        callback=write,
        params=[_OUTPUT, *(option for choice, option in _CHOICES.items() if choice in heeded)],
        help=f"Print the {product} configuration for the application's private areas.",
    )


def _keyed(server: Server) -> list[Keyed]:
    state = state_of(current_app)
    areas = [area for area in state.settings.areas.values() if server_of(area) is server]
    return [(area, state.keys[area.name]) for area in areas]


def _is_secret(servers: list[Server], rules: str) -> bool:
    """Return whether rules hold a token. A fingerprint is no secret, and some have no other."""
    areas = chain.from_iterable(_keyed(server) for server in servers)
    return any(one.token in rules for _, keys in areas for one in keys)


def _script(servers: list[Server], output: Path | None) -> tuple[Path | None, str]:
    """Return the path and the text of what has to be beside the configuration, if anything."""
    script = "".join(server.script(_keyed(server)) for server in servers)
    if not script:
        return None, ""
    if output is None:
        problem = (
            "DELEGATE_SIGNED_URL: nginx verifies signed URLs by a script in a file of its own."
        )
        raise click.ClickException(f"{problem} Use --output: the script is written beside FILE.")
    path = output.absolute().with_suffix(".js")
    if path == output.absolute() or not _PLAIN_PATH.fullmatch(str(path)):
        problem = f"--output: nginx cannot be told of a script {path}."
        raise click.ClickException(f"{problem} Use a name of letters, digits and . _ - + @ /.")
    return path, script


def _configuration(servers: list[Server], choices: Choices) -> str:
    parts = [
        server.configuration(keyed, choices) for server in servers if (keyed := _keyed(server))
    ]
    if not parts:
        *others, last = (server.name for server in servers)
        names = " or ".join(filter(None, [", ".join(others), last]))
        problem = f"DELEGATE_BACKEND: {servers[0].product} sends the files of no area."
        raise click.ClickException(f"{problem} Set it to {names}.")
    return "\n".join(parts)


@click.command("receipts")
@click.argument("log", type=click.Path(path_type=Path), metavar="LOGFILE")
@click.option("--follow", is_flag=True, help="Begin with rotated files, go on as the log grows.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each receipt.")
def show_receipts(log: Path, *, follow: bool, as_json: bool) -> None:
    """Report from a log that --receipts made how downloads ended."""
    for receipt in _read(log, follow=follow):
        values = {**dataclasses.asdict(receipt), "time": receipt.time.isoformat()}
        click.echo(json.dumps(values) if as_json else _as_line(receipt))


@click.command("clean-generated")
@click.argument("log", type=click.Path(path_type=Path), metavar="[LOGFILE]", required=False)
@click.option(
    "--keep",
    type=click.IntRange(0, 100_000),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long a file stays after it was sent completely, and handed off for the last time.",
)
@with_appcontext
def clean_generated(log: Path | None, *, keep: int) -> None:
    """Delete generated files that have expired, or that LOGFILE says were sent completely."""
    from .generated import spool_of
    from .spool_receipts import clean

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    for area in state_of(app).settings.areas.values():
        if area.store is None:
            spool = spool_of(app, area)
            try:
                if log is not None:
                    log.stat()  # that there is none is what a slip of the pen looks like
                _check_user(spool.folder)
                deleted = clean(spool, log, keep=keep)
            except OSError as error:
                what = error.filename or log
                raise click.ClickException(f"{what}: {error.strerror or error}") from error
            size = sum(one.size for one in deleted)
            click.echo(f"{area.name}: {len(deleted)} files deleted, {size} bytes.")


def _check_user(folder: Path) -> None:
    """Refuse another user than the application's, which could not write what this one creates."""
    if folder.is_dir() and (owner := folder.stat().st_uid) != os.geteuid():
        raise click.ClickException(
            f"{folder} belongs to user id {owner}, and this one is {os.geteuid()}. Run the command"
            f" as that user, as with: setpriv --reuid={owner} --clear-groups …"
        )


def _read(log: Path, *, follow: bool) -> Iterator[receipts.Receipt]:
    some = (found for found, _ in receipts.follow(log)) if follow else [receipts.read(log)]
    try:
        yield from chain.from_iterable(some)
    except OSError as error:
        raise click.ClickException(f"cannot read {log}: {error.strerror or error}") from error


def _as_line(receipt: receipts.Receipt) -> str:
    part = "" if receipt.part is None else " of bytes {}-{}/{}".format(*receipt.part)
    return (
        f"{receipt.time:%Y-%m-%d %H:%M:%S}Z {receipt.id} {receipt.status} {receipt.outcome},"
        f" {receipt.sent} bytes sent{part}"
    )
