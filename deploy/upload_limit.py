"""Print how many bytes an upload may have by the portal's settings, or what is wrong in them."""

from __future__ import annotations

import sys

import click

from portal import create_app

try:
    print(create_app().config["MAX_CONTENT_LENGTH"])
except click.ClickException as error:
    sys.exit(f"Error: {error.message}")
