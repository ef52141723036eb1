"""Create the folder of the portal's data, and those below it that files are in. For root.

The first one is the user portal's, who may put anything there at any moment, such as a link to a
folder of root's. So root makes nothing in it, and changes only what it holds open and has found to
be portal's.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = Path("/srv/portal")
# The web server reads the files by their group, which new ones have from the set-group-ID bit.
GROUP = "www-data"
MODES = {"files": 0o2750, "incoming": 0o2700}


def make_folders() -> None:
    """Create them, or set the group and mode that they should have."""
    user, group = pwd.getpwnam("portal"), grp.getgrnam(GROUP).gr_gid
    as_portal: Any = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # Other processes of that user must not type into root's terminal through it.
    as_portal |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    as_portal["start_new_session"] = True
    DATA.mkdir(parents=True, exist_ok=True)
    os.chown(DATA, user.pw_uid, group)
    DATA.chmod(0o710)
    for name, mode in MODES.items():
        path = DATA / name
        # It fails where something is already; what that is, is seen below.
        command = ["/bin/mkdir", "--mode=0700", str(path)]
        subprocess.run(command, check=False, **as_portal)
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            sys.exit(f"{path} has to be a folder, and no link to one: {error.strerror}.")
        if os.fstat(folder).st_uid != user.pw_uid:
            sys.exit(f"{path} does not belong to the user portal. Find out why, and take it away.")
        os.fchown(folder, -1, group)
        os.fchmod(folder, mode)  # after the group, which takes the bit away
        os.close(folder)


if __name__ == "__main__":
    make_folders()
