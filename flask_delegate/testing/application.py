"""A user's application under Apache, with the configuration that it generates."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

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


def serve(app: str, *, folder: Path, env: Mapping[str, str], options: Iterable[str]) -> Apache:
    """Start Apache with an application, and wait until it answers.

    The modules that can be imported here can be imported there.

    :param app: what ``flask --app`` takes, such as ``package:create_app()``.
    :param folder: the working directory.
    :param env: variables to add to the environment.
    :param options: more options for mod_wsgi-express.
    :raises RuntimeError: with the output of what failed, if it does not start.
    """
    # A .env file would be read by the command alone.
    environment = {**os.environ, **env, "FLASK_SKIP_DOTENV": "1"}
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 -- links stay as they are
    return apache.start(
        _SCRIPT.format(path=path, app=app),
        "--working-directory",
        str(folder),
        *options,
        include=_configuration(app, folder, {**environment, "PYTHONPATH": os.pathsep.join(path)}),
        env=environment,
    )


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
