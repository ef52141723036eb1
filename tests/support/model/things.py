"""What there should be: accounts, sessions, files, uploads and links."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Person:
    """An account.

    :param step: the time step of the last code that was accepted; none: it waits for the first.
    """

    name: str
    password: str
    is_administrator: bool = False
    is_active: bool = True
    quota: int | None = None
    number: int = 0
    secret: str = ""
    step: int | None = None
    codes: set[str] = field(default_factory=set)

    @property
    def has_second_factor(self) -> bool:
        return bool(self.secret) and self.step is not None


@dataclass(eq=False)
class Session:
    """A browser that is signed in."""

    id: str
    person: Person
    began: float


@dataclass(eq=False)
class Item:
    """A file, or a folder where there is no content.

    :param trashed: the id of what it was put into the trash with; empty: it is in its folder.
    :param version_of: the id of the file that held this content before; empty: it is no version.
    """

    id: str
    owner: str
    parent: str
    name: str
    content: bytes | None = None
    trashed: str = ""
    trashed_at: float = 0
    version_of: str = ""

    @property
    def is_file(self) -> bool:
        return self.content is not None

    @property
    def size(self) -> int:
        return len(self.content or b"")


@dataclass(eq=False)
class Link:
    """A link for visitors, to download from an item or to upload into it.

    :param lock: stands for the password as it was set last.
    :param used: downloads, or files that came.
    :param senders: the visitors who sent what came by a form.
    :param begun: the downloads that were counted, by visitor and file, and when.
    """

    kind: str
    id: str
    address: str
    owner: str
    item: str
    password: str = ""
    lock: object = None
    expires: float | None = None
    limit: int | None = None
    size_limit: int | None = None
    used: int = 0
    size: int = 0
    is_revoked: bool = False
    senders: list[object] = field(default_factory=list)
    begun: dict[tuple[object, str], float] = field(default_factory=dict)


@dataclass(eq=False)
class Upload:
    """An upload in pieces.

    :param said: its metadata, as they were sent.
    :param path: the folders that are created at its end.
    :param link: the link that a visitor sends it by; none for a member.
    :param given: the name that its file got; empty: it is not finished.
    :param replaces: whether it goes in the place of the file that has its name.
    """

    id: str
    owner: str
    folder: str
    name: str
    content: bytes
    used_at: float
    said: str
    path: list[str]
    link: Link | None = None
    visitor: object = None
    arrived: int = 0
    given: str = ""
    replaces: bool = False


@dataclass(eq=False)
class OneTime:
    """An invitation, or a link to choose a new password for somebody."""

    address: str
    made: float
    expires: float
    person: Person | None = None
    is_administrator: bool = False
    quota: int | None = None


Line = tuple[str, str, str, str, str]
"""Of the record: the action, who did it, whom it concerns, the name of the file or folder, and the
id of what a visitor's link leads to.
"""
