"""Passwords of commands: where they come from, and generated ones, which are printed."""

from __future__ import annotations

import secrets
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from getpass import GetPassWarning
from typing import Any

import click

from .shown_once import printed_before_commit


def takes_password(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for where a password comes from."""
    stdin = click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
    )
    generate = click.option("--generate", is_flag=True, help="Generate a password and print it.")
    return stdin(generate(command))


def read(from_stdin: bool, generate: bool) -> str:
    """Read a password from standard input, generate it, or ask for it."""
    if from_stdin and generate:
        raise click.ClickException("Use either --password-stdin or --generate.")
    if generate:
        return secrets.token_urlsafe(15)
    if from_stdin:
        if not (line := sys.stdin.readline()):
            raise click.ClickException("Standard input has no password. Nothing was changed.")
        return line.rstrip("\r\n")
    return _typed_password()


def _typed_password() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)  # it would be shown while it is typed
        try:
            return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
        except GetPassWarning as error:
            raise click.ClickException(
                "There is no terminal to ask for the password. Use --password-stdin or --generate."
            ) from error


def printed(password: str, is_generated: bool) -> AbstractContextManager[None]:
    """Return the context in which a generated password is set: the bare word, for scripts."""
    return printed_before_commit(lambda: click.echo(password)) if is_generated else nullcontext()
