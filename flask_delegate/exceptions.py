"""What can go wrong, with the evidence as attributes.

::

    DelegateError
    ├── ConfigurationError, UnknownArea, AccessDenied
    ├── FileRefused
    │   └── PathRefused, FileMissing, NotAFile, FileUnreadable
    ├── StoreUnavailable, NotGenerated
    └── HandoffUnavailable, UnmintedRedirect, LostCookies

:mod:`flask_delegate.errors` turns them into HTTP answers.
"""

from __future__ import annotations

import click


class DelegateError(Exception):
    """The root of this package's exceptions."""


class ConfigurationError(DelegateError, click.ClickException):
    """A ``DELEGATE_*`` setting is missing, wrong or unsafe; raised at start-up.

    Commands, ``flask run`` included, print its sentence alone and exit with 1.

    :param key: the configuration key at fault.
    :param problem: what is wrong with it.
    :param cure: what to do about it.
    """

    def __init__(self, key: str, problem: str, cure: str) -> None:
        super().__init__(f"{key}: {problem} {cure}")
        self.key, self.problem, self.cure = key, problem, cure


class UnknownArea(DelegateError, LookupError):
    """A view names an area that the configuration does not have.

    :param name: the area asked for, ``None`` for the default one.
    :param known: the names that are configured.
    """

    def __init__(self, name: str | None, known: tuple[str, ...]) -> None:
        none = "no default area: set DELEGATE_ROOT, or pass area=…"
        problem = none if name is None else f"no area named {name!r}"
        super().__init__(f"{problem} (configured areas: {', '.join(known)}).")
        self.name, self.known = name, known


class AccessDenied(DelegateError):
    """The view's ``authorize`` function returned something false.

    :param endpoint: the Flask endpoint that was asked for.
    :param conceal: answer as for a missing file, to hide that it exists.
    """

    def __init__(self, endpoint: str | None, *, conceal: bool) -> None:
        super().__init__(f"access denied by the authorize function of {endpoint}.")
        self.endpoint, self.conceal = endpoint, conceal


class FileRefused(DelegateError):
    """A file that cannot be delivered.

    :param path: what the view asked for.
    :param root: the area's folder.
    :param reason: why, in words for the log; never shown to the client.
    """

    def __init__(self, path: str, root: str, reason: str) -> None:
        super().__init__(f"{path!r} in {root}: {reason}")
        self.path, self.root, self.reason = path, root, reason


class PathRefused(FileRefused):
    """The path is absolute, holds ``..`` or NUL, or is a link that leaves the area."""


class FileMissing(FileRefused):
    """There is no such file."""


class NotAFile(FileRefused):
    """The path names a directory, FIFO, socket or device."""


class FileUnreadable(FileRefused):
    """The file exists, but the application's user may not read it."""


class StoreUnavailable(DelegateError):
    """The object store did not answer as it should.

    :param path: the object's key, below the area's prefix.
    :param root: the URL of what the area has in the store.
    :param reason: why, in words for the log; never shown to the client.
    """

    def __init__(self, path: str, root: str, reason: str) -> None:
        super().__init__(f"{path!r} in the store {root}: {reason}")
        self.path, self.root, self.reason = path, root, reason


class NotGenerated(DelegateError):
    """A file that a view generates could not be written: no room, or another request writes it.

    :param reason: what is wrong.
    :param cure: what to do about it.
    """

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"the file was not generated: {reason} {cure}")
        self.reason, self.cure = reason, cure


class HandoffUnavailable(DelegateError):
    """The server cannot send the file: it did not show the guard, or a path or header is too long.

    :param area: the area's name.
    :param reason: what was seen.
    :param cure: what to do about it.
    :param kind: the reason in one word, for counters; one of a few.
    """

    def __init__(self, area: str, reason: str, cure: str, kind: str = "unavailable") -> None:
        super().__init__(f"area {area!r} cannot be handed off: {reason} {cure}")
        self.area, self.reason, self.cure, self.kind = area, reason, cure, kind


class UnmintedRedirect(DelegateError):
    """A response that the server would follow to a URL or file that this package did not name.

    :param header: the offending header's name.
    :param location: its value.
    :param status: the response's status line.
    :param reason: why it may not leave.
    """

    def __init__(self, header: str, location: str, status: str, reason: str) -> None:
        super().__init__(f"a response {status!r} with the header {header} was stopped: {reason}")
        self.header, self.location, self.status, self.reason = header, location, status, reason


class LostCookies(DelegateError):
    """A delivered file's response sets cookies, which a hand-off drops.

    :param names: the cookies' names.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"the response that delivers a file sets {', '.join(names)}, which will not reach the"
            " client: Apache answers in the application's place and drops its cookies. Set the"
            " cookie, or change the session, in another request."
        )
        self.names = names
