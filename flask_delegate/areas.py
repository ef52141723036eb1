"""A private area: a folder of files and the internal URL under which Apache knows it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from .exceptions import ConfigurationError

_URL = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)+")
# nginx's secure_link knows MD5 alone, and no second key.
_VERIFIES = ("auto", "mod_wsgi")
# What <Directory> or the configuration's parser would read as something else than itself.
_NOT_IN_A_ROOT = re.compile(r'[\x00-\x1f\x7f"\\*?\[\]{}$%]')


@dataclass(frozen=True, slots=True)
class Area:
    """One private area.

    :param name: how views refer to it.
    :param root: the folder, absolute and with every symbolic link resolved, without a trailing
        slash. It is pinned at start-up: the web server's rules name this very spelling.
    :param url: the internal URL's prefix, with a slash at both ends.
    :param backend: how its files are sent: a value of ``DELEGATE_BACKEND``.
    :param signed_url: the prefix of URLs that Apache verifies by itself, or none.
    """

    name: str
    root: str
    url: str
    backend: str
    signed_url: str | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """All the prefixes under which the web server knows it."""
        return (self.url, self.signed_url) if self.signed_url else (self.url,)


def make_area(
    name: str,
    root: object,
    url: object,
    backend: str,
    signed_url: object,
    *,
    root_key: str,
    url_key: str,
    signed_url_key: str,
) -> Area:
    """Check what the configuration says of an area, and pin its root.

    :param backend: one of the known ones.
    :param root_key: what to call the root's setting in an error.
    :param url_key: what to call the URL's setting in an error.
    :param signed_url_key: what to call the signed URLs' setting in an error.
    :raises ConfigurationError: if either could not be served safely.
    """
    return Area(
        name,
        _checked_root(root, root_key),
        _checked_url(url, url_key),
        backend,
        _checked_signed_url(signed_url, backend, signed_url_key),
    )


def _checked_root(root: object, key: str) -> str:
    given = os.fspath(root) if isinstance(root, str | os.PathLike) else root
    if not given or not isinstance(given, str):
        problem = "is not set." if given is None else f"{given!r} is not a path."
        raise ConfigurationError(key, problem, "Set it to the folder of the private files.")
    if not Path(given).is_absolute():
        raise ConfigurationError(
            key, f"{given!r} is a relative path.", "Write the whole path, from / on."
        )
    try:
        resolved = os.path.realpath(given, strict=True)
    except OSError as error:
        raise ConfigurationError(
            key, f"{given!r} cannot be opened ({error.strerror}).", f"Try: mkdir -p {given}"
        ) from error
    _check_folder(resolved, key)
    return resolved


def _check_folder(folder: str, key: str) -> None:
    if not Path(folder).is_dir():
        raise ConfigurationError(key, f"{folder!r} is not a folder.", "Name a folder.")
    if not os.access(folder, os.X_OK):
        raise ConfigurationError(
            key,
            f"{folder!r} may not be entered by user id {os.geteuid()}.",
            "Give that user the right to enter it (chmod, chown).",
        )
    if folder == "/":
        raise ConfigurationError(
            key, "is the whole file system.", "Name a folder that holds nothing but private files."
        )
    if found := _NOT_IN_A_ROOT.search(folder):
        raise ConfigurationError(
            key,
            f"{folder!r} contains {found[0]!r}, which Apache's <Directory> would misread.",
            "Rename the folder.",
        )


def _checked_url(url: object, key: str) -> str:
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise ConfigurationError(
            key,
            f"{url!r} is not a usable internal URL.",
            "Use letters, digits, '.', '_', '~' and '-' between slashes, as in /private/.",
        )
    return url


def _checked_signed_url(url: object, backend: str, key: str) -> str | None:
    if url is None:
        return None
    if backend not in _VERIFIES:
        raise ConfigurationError(
            key,
            f"the backend {backend!r} cannot verify signed URLs.",
            f"Leave it out, or use one of the backends {', '.join(_VERIFIES)}.",
        )
    return _checked_url(url, key)


def check_disjoint(areas: list[Area]) -> None:
    """Refuse areas whose folders or URLs lie within one another.

    :raises ConfigurationError: naming the two areas.
    """
    for area in areas:
        if area.signed_url and _overlap(area.url, area.signed_url):
            raise ConfigurationError(
                "DELEGATE_SIGNED_URL",
                f"{area.signed_url!r} and the area's own URL {area.url!r} overlap.",
                "Give signed URLs a prefix of their own, such as /signed/.",
            )
    for index, one in enumerate(areas):
        for other in areas[index + 1 :]:
            _check_pair(one, other)


def _check_pair(one: Area, other: Area) -> None:
    if lies_within(one.root, other.root) or lies_within(other.root, one.root):
        raise ConfigurationError(
            "DELEGATE_AREAS",
            f"the folders of {one.name!r} ({one.root}) and {other.name!r} ({other.root}) overlap.",
            "Give each area a folder of its own.",
        )
    for mine, theirs in product(one.urls, other.urls):
        if _overlap(mine, theirs):
            raise ConfigurationError(
                "DELEGATE_AREAS",
                f"the URLs of {one.name!r} ({mine}) and {other.name!r} ({theirs}) overlap.",
                "Give each area a URL of its own, as in /private/reports/ and /private/photos/.",
            )


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def lies_within(path: str, folder: str) -> bool:
    """Tell whether ``path`` is ``folder`` or lies below it, comparing by component."""
    return Path(path).is_relative_to(folder)
