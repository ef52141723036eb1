"""Try the database and the store of a cluster, with the settings of the environment."""

from __future__ import annotations

import logging
import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from portal import create_app
from portal.core import database
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage


def problem() -> str:
    """Return what does not work, as a sentence; empty if all does."""
    try:
        app = create_app()
        with app.app_context():
            database.check()
            current_storage().check()
    except click.ClickException as error:
        return error.message
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        return f"the database cannot be written: {reason}"
    except StoreAwayError as error:
        return f"the store cannot be used: {error}"
    except OSError as error:
        return f"the database or the data folder cannot be written: {error}"
    return ""


if __name__ == "__main__":
    logging.disable()  # a database that has yet to be upgraded is no problem
    sys.exit(problem() or 0)
