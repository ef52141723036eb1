"""The pytest fixture: the only module here that needs pytest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from .apache import Apache
from .application import serve


class ServeWithApache:
    """A function that starts a server, which ends with ``running``.

    :param folder: the working directory by default.
    """

    def __init__(self, running: ExitStack, folder: Path) -> None:
        self._running, self._folder = running, folder

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
        started = serve(app, folder=folder or self._folder, env=env or {}, options=options)
        return self._running.enter_context(started)


@pytest.fixture(scope="session")
def serve_with_apache(pytestconfig: pytest.Config) -> Iterator[ServeWithApache]:
    """Start servers that end with the tests, or with the block of a ``with`` statement."""
    with ExitStack() as running:
        yield ServeWithApache(running, pytestconfig.rootpath)
