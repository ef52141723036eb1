"""A portal whose files are moved, with a folder in place of the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask_delegate.stores.store import Store
from portal.storage.base import DamagedError, StoreAwayError
from portal.storage.disk import Disk
from portal.storage.incoming import Incoming

PLACE = {"endpoint": "http://127.0.0.1:9", "bucket": "files"}


class FolderBucket(Disk):
    """What is asked of a bucket, done by a folder beside the data folder."""

    def __init__(self, store: Store, incoming: Incoming) -> None:
        del store
        folder = incoming.folder.parent.parent / "bucket"
        folder.mkdir(exist_ok=True)
        super().__init__(folder, incoming.folder)
        self.forgotten: list[str] = []
        self.is_away = False

    def check(self) -> None:
        if self.is_away:
            raise StoreAwayError("it does not answer")

    def put(self, key: str, source: Any, size: int = 0, sha256: str = "") -> None:
        content = source.read(-1)
        if self.is_away:
            raise StoreAwayError("it does not answer")
        file = self.receive()
        file.write(content)
        if (file.size, file.sha256) != (size, sha256):
            file.discard()
            raise DamagedError
        super().put(key, file)
        file.close()

    def forget_parts(self, key: str) -> None:
        self.forgotten.append(key)

    def names(self, start: str = "") -> Iterator[str]:
        found = [path for path in self.files.glob(f"{start}**/*") if path.is_file()]
        return (str(path.relative_to(self.files)) for path in found)

    def put_bytes(self, name: str, content: bytes) -> None:
        (self.files / name).parent.mkdir(parents=True, exist_ok=True)
        (self.files / name).write_bytes(content)

    def get_bytes(self, name: str) -> bytes | None:
        path = self.files / name
        return path.read_bytes() if path.exists() else None

    def delete_name(self, name: str) -> None:
        (self.files / name).unlink()
