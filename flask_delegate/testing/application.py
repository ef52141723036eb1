"""A user's application under Apache, with the configuration that it generates."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
    """Run ``flask delegate apache-config`` as the user who will run the application.

    Where that user cannot read something, Python's own message says so here.
    """
    arguments = ["--app", app, "delegate", "apache-config"]
    user = apache.daemon_user()
    advice = RIGHTS.format(user=user) if user else ""
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(  # noqa: S603 -- the command is made here
            [sys.executable, "-c", _FLASK, str(folder), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=env,
            **_identity(user),
        )
    except PermissionError as error:
        raise RuntimeError(
            f"{os.path.realpath(sys.executable)} may not be run by {user}.\n{advice}"
        ) from error
    if done.returncode:
        words = done.stderr.decode(errors="replace")
        command = " ".join(["flask", *arguments])
        raise RuntimeError(f"{command!r} failed in {folder}:\n{words}{advice}")
    return done.stdout.decode(errors="surrogateescape")


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
