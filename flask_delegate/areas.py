"""A private area: files, and the internal URL under which the web server knows them.

They lie in a folder, or in an object store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from .exceptions import ConfigurationError
from .stores.store import Store

DEFAULT_AREA = "default"

_URL = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)+")
# What <Directory> or the configuration's parser would not read literally.
_NOT_IN_A_ROOT = re.compile(r'[\x00-\x1f\x7f"\\*?\[\]{}$%]')


@dataclass(frozen=True, slots=True)
class Area:
    """One private area.

    Its root is the folder: absolute, with every symbolic link resolved and no trailing slash. It is
    pinned at start-up: the web server's rules name this very spelling. Of an area in a store it is
    the URL of what the area has there.
    """

    name: str  # how views refer to it
    root: str
    url: str  # the internal URL's prefix, with a slash at both ends
    backend: str  # how its files are sent: a value of DELEGATE_BACKEND
    signed_url: str | None = None  # the prefix of URLs that the server verifies by itself
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)  # of every delivered file
    store: Store | None = None  # none: the files lie in a folder

    @property
    def urls(self) -> tuple[str, ...]:
        """All prefixes under which the web server knows it."""
        return (self.url, self.signed_url) if self.signed_url else (self.url,)


def setting(area: str, name: str) -> str:
    """Return what the configuration calls an area's setting, such as ``root``."""
    if area == DEFAULT_AREA:
        return f"DELEGATE_{name.upper()}"
    return f"DELEGATE_AREAS[{area!r}] {name}"


def checked_root(root: object, key: str) -> str:
    """Check and resolve an area's folder.

    :param key: the setting's name, for the error.
    :raises ConfigurationError: if it cannot be served safely.
    """
    given = os.fspath(root) if isinstance(root, str | os.PathLike) else root
    if not given or not isinstance(given, str):
        problem = "is not set." if given is None else f"{given!r} is not a path."
        raise ConfigurationError(key, problem, "Set it to the folder of the private files.")
    if not Path(given).is_absolute():
        cure = "Write the absolute path, which begins with /."
        raise ConfigurationError(key, f"{given!r} is a relative path.", cure)
    try:
        resolved = os.path.realpath(given, strict=True)
    except (OSError, ValueError) as error:  # NUL, or no bytes for a character
        problem = f"{given!r} cannot be opened ({getattr(error, 'strerror', None) or error})."
        raise ConfigurationError(key, problem, f"Try: mkdir -p {given}") from None
    _check_folder(resolved, key)
    return resolved


def _check_folder(folder: str, key: str) -> None:
    if not Path(folder).is_dir():
        problem, cure = f"{folder!r} is not a folder.", "Name a folder."
    elif not os.access(folder, os.X_OK):
        problem = f"user id {os.geteuid()} may not enter {folder!r}."
        cure = "Allow that user to enter it (chmod, chown)."
    elif folder == "/":
        problem = "is the whole file system."
        cure = "Name a folder that holds nothing but private files."
    elif found := _NOT_IN_A_ROOT.search(folder):
        problem = f"{folder!r} contains {found[0]!r}, which Apache's <Directory> would misread."
        cure = "Rename the folder."
    else:
        return
    raise ConfigurationError(key, problem, cure)


def checked_url(url: object, key: str) -> str:
    """Check the prefix of an area's URLs.

    :raises ConfigurationError: if it cannot stand in a server's configuration.
    """
    if not isinstance(url, str) or not _URL.fullmatch(url):
        problem = f"{url!r} is not a usable internal URL."
        cure = "Use letters, digits, '.', '_', '~' and '-' between slashes, as in /private/."
        raise ConfigurationError(key, problem, cure)
    return url


def check_disjoint(areas: Sequence[Area]) -> None:
    """Refuse areas whose files or URLs lie within one another.

    :raises ConfigurationError: naming the two areas.
    """
    for one, other in combinations(areas, 2):
        if overlap(one.root, other.root):
            both = f"{one.name!r} ({one.root}) and {other.name!r} ({other.root})"
            cure = "Use a separate folder, or a prefix or bucket, for each area."
            raise ConfigurationError("DELEGATE_AREAS", f"the files of {both} overlap.", cure)
    urls = [(url, area.name) for area in areas for url in area.urls]
    for (mine, my_area), (theirs, their_area) in combinations(urls, 2):
        if overlap(mine, theirs):
            key = "DELEGATE_SIGNED_URL" if my_area == their_area else "DELEGATE_AREAS"
            problem = f"the URLs of {my_area!r} ({mine}) and {their_area!r} ({theirs}) overlap."
            cure = "Use separate URLs, as in /private/reports/, /private/photos/ and /signed/."
            raise ConfigurationError(key, problem, cure)


def overlap(one: str, other: str) -> bool:
    """Return whether one of two folders, or of two URLs' prefixes, lies within the other."""
    return lies_within(one, other) or lies_within(other, one)


def lies_within(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or lies below it, comparing by component."""
    return Path(path).is_relative_to(folder)
