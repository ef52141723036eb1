"""The pytest fixture: the only module here that needs pytest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from .apache import Apache
from .application import serve


class ServeWithApache(Protocol):
    """A function that starts a server."""

    def __call__(
        self,
        app: str,
        *,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        options: Iterable[str] = (),
    ) -> Apache:
        """Start Apache with mod_wsgi-express, the application and its generated configuration.

        :param app: what ``flask --app`` takes, such as ``package:create_app()``.
        :param env: variables to add to the environment.
        :param folder: the working directory; none: pytest's root folder.
        :param options: more options for mod_wsgi-express.
        :raises RuntimeError: with the output of what failed, if it does not start.
        """


@pytest.fixture(scope="session")
def serve_with_apache(pytestconfig: pytest.Config) -> Iterator[ServeWithApache]:
    """Start servers that end with the tests, or with the block of a ``with`` statement."""
    with ExitStack() as running:

        def start(
            app: str,
            *,
            env: Mapping[str, str] | None = None,
            folder: Path | None = None,
            options: Iterable[str] = (),
        ) -> Apache:
            return running.enter_context(
                serve(app, folder=folder or pytestconfig.rootpath, env=env or {}, options=options)
            )

        yield start
