"""The portal under Debian's Apache, whose processes have no environment of their own."""

import os
import shlex
from pathlib import Path

for setting in shlex.split(Path("/etc/portal/environment").read_text(), comments=True):
    name, _, value = setting.partition("=")
    os.environ[name] = value

# The settings come first: this reads them.
from deploy.wsgi import application
