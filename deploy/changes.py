"""Files of the system that are changed, and put back unless all goes well."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Self


class Changes:
    """What is written in this block is put back at its end, unless :meth:`keep` was called."""

    def __enter__(self) -> Self:
        self._changed: list[Path] = []
        self._folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *exception: object) -> None:
        for path in self._changed:
            path.unlink(missing_ok=True)
            if os.path.lexists(kept := Path(self._folder.name, path.relative_to("/"))):
                subprocess.run(["cp", "--archive", "--", kept, path], check=True)
        self._folder.cleanup()

    def keep(self) -> None:
        """Keep all changes."""
        self._changed.clear()

    def remember(self, path: Path) -> None:
        """Keep what a file is before it is changed; the first time, where it changes twice."""
        if path not in self._changed:
            if os.path.lexists(path):
                copy = ["cp", "--archive", "--parents", "--", str(path), self._folder.name]
                subprocess.run(copy, check=True)
            self._changed.append(path)

    def put(self, path: Path, text: str, mode: int = 0o644, gid: int = 0) -> None:
        """Write a file, whole or not at all."""
        self.remember(path)
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        new.write_text(text)
        os.chown(new, 0, gid)
        new.chmod(mode)
        new.replace(path)

    def remove(self, path: Path) -> None:
        """Remove a file, where there is one."""
        self.remember(path)
        path.unlink(missing_ok=True)
