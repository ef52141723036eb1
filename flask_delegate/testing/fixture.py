"""The pytest fixture: the only module here that needs pytest."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import apache
from .apache import RIGHTS, Apache

# The command 'flask'; the user who runs it enters the folder.
_FLASK = """\
import os, sys
os.chdir(sys.argv[1])
sys.argv[:2] = ["flask"]
from flask.cli import main
main()
"""
# The application is found as 'flask --app' finds it.
_SCRIPT = """\
import sys
sys.path[:0] = {path!r}
from flask.cli import ScriptInfo
application = ScriptInfo({app!r}).load_app()
"""


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

        The modules that can be imported here can be imported there.

        :param app: what ``flask --app`` takes, such as ``package:create_app()``.
        :param env: variables to add to the environment.
        :param folder: the working directory; none: pytest's root folder.
        :param options: more options for mod_wsgi-express.
        :raises RuntimeError: with the output of what failed, if it does not start.
        """
        # A .env file would be read by the command alone.
        environment = {**os.environ, **(env or {}), "FLASK_SKIP_DOTENV": "1"}
        path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 -- keep links
        folder = folder or self._folder
        with_path = {**environment, "PYTHONPATH": os.pathsep.join(path)}
        started = apache.start(
            _SCRIPT.format(path=path, app=app),
            "--working-directory",
            str(folder),
            *options,
            include=_configuration(app, folder, with_path),
            env=environment,
        )
        return self._running.enter_context(started)


@pytest.fixture(scope="session")
def serve_with_apache(pytestconfig: pytest.Config) -> Iterator[ServeWithApache]:
    """Start servers that end with the tests, or with the block of a ``with`` statement."""
    with ExitStack() as running:
        yield ServeWithApache(running, pytestconfig.rootpath)


def _configuration(app: str, folder: Path, env: Mapping[str, str]) -> str:
    """Run ``flask delegate apache-config`` as the user who will run the application."""
    arguments = ["--app", app, "delegate", "apache-config"]
    user = apache.daemon_user()
    account = pwd.getpwnam(user) if user else None
    advice = RIGHTS.format(user=user) if user else ""
    try:
        done = subprocess.run(  # noqa: S603 -- the command is made here
            [sys.executable, "-c", _FLASK, str(folder), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=env,
            user=user,
            group=account and account.pw_gid,
            extra_groups=account and os.getgrouplist(account.pw_name, account.pw_gid),
        )
    except PermissionError as error:
        binary = os.path.realpath(sys.executable)
        raise RuntimeError(f"{binary} may not be run by {user}.\n{advice}") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace")
        command = " ".join(["flask", *arguments])
        raise RuntimeError(f"{command!r} failed in {folder}:\n{words}{advice}")
    return done.stdout.decode(errors="surrogateescape")
