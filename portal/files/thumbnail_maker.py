"""Making thumbnails: one after the other, beside the requests that ask for them.

A request asks, and is answered at once or almost. A thread of each process makes what was asked
for; of all processes with one data folder, one at a time does, so that a page of a hundred new
photos takes one processor and the memory of one picture.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Condition, Event, Thread
from typing import NamedTuple, cast

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from portal.core.database import db
from portal.core.datafolder import locked
from portal.core.models import Thumbnail
from portal.storage.base import StoreAwayError
from portal.storage.content import current_storage
from portal.storage.incoming import StorageFullError
from portal.thumbnails.process import CannotStartError, Process, pillow_folder

from . import entries, thumbnails
from .uploads import remove_content, unless_kept

logger = logging.getLogger(__name__)

_KEY = "portal.thumbnails"
_MOST = 200
"""Pictures of an account that may wait in a process."""
_WAITING = 2
"""Requests that may wait in a process: each holds a thread, of which there are few."""
_PATIENCE = 0.8
"""Seconds for which one does."""
_IDLE = 30
"""Seconds after which a process with nothing to do ends."""
_PAUSE = 30
"""Seconds after something failed that is not the picture's fault."""
_LONG_PAUSE = 600
"""Seconds after the process could not be started."""


class _NotWantedError(Exception):
    """The picture was deleted meanwhile, or somebody else has made its thumbnail."""


class _Asked(NamedTuple):
    """A picture that waits: whose it is, and what is set once it was tried."""

    owner_id: int
    done: Event


class Maker:
    """What makes an application's thumbnails.

    :param is_on: whether it does.
    :param folder: what is locked for each.
    """

    def __init__(self, app: Flask, folder: Path, *, is_on: bool) -> None:
        self._app, self._folder, self._is_on = app, folder, is_on
        self._process = Process()
        self._asked: dict[str, _Asked] = {}
        # The accounts whose pictures were tried, the last one last.
        self._served: dict[int, None] = {}
        self._changed = Condition()
        self._thread: Thread | None = None
        self._waiting = BoundedSemaphore(_WAITING)
        self._paused_until = self._refused_until = 0.0

    @property
    def is_on(self) -> bool:
        """Return whether thumbnails are made and shown."""
        return self._is_on and time.monotonic() >= self._refused_until

    def ask(self, content_key: str, owner_id: int) -> bool:
        """Ask for a picture's thumbnail, and return whether it was made or tried by now.

        :param owner_id: whose picture it is.
        """
        with self._changed:
            asked = self._asked.get(content_key)
            if asked is None:
                if not self.is_on or time.monotonic() < self._paused_until:
                    return False
                if sum(one.owner_id == owner_id for one in self._asked.values()) >= _MOST:
                    return False
                asked = self._asked[content_key] = _Asked(owner_id, Event())
            self._begin()
        done = asked.done
        # What waits ends its transaction before: a connection is as rare as a thread.
        if not self._waiting.acquire(blocking=False):
            return done.is_set()
        try:
            return done.wait(_PATIENCE)
        finally:
            self._waiting.release()

    def _begin(self) -> None:
        self._changed.notify()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="thumbnails", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (content_key := self._next()) is not None:
            try:
                self._try(content_key)
            finally:
                with self._changed:
                    self._asked.pop(content_key).done.set()

    def _next(self) -> str | None:
        """Return what is next; none, after a while with nothing to do.

        Accounts take turns, so that nobody waits for all the large pictures of somebody else. Of
        one account, it is what was asked for first.
        """
        with self._changed:
            if not self._asked:
                self._changed.wait(_IDLE)
            if self._asked:
                turns = {owner_id: turn for turn, owner_id in enumerate(self._served, 1)}
                content_key = min(
                    self._asked, key=lambda key: turns.get(self._asked[key].owner_id, 0)
                )
                owner_id = self._asked[content_key].owner_id
                self._served.pop(owner_id, None)
                self._served[owner_id] = None
                return content_key
            self._served.clear()
            self._thread = None
            self._process.stop()
            return None

    def _try(self, content_key: str) -> None:
        """Make a thumbnail. Where that cannot be done now, nobody tries for a while."""
        if time.monotonic() < max(self._paused_until, self._refused_until):
            return
        try:
            with self._app.app_context(), _alone(self._folder):
                self._make(content_key)
        except (_NotWantedError, entries.GoneError):
            pass
        except CannotStartError as error:
            self._refused_until = time.monotonic() + _LONG_PAUSE
            logger.error("%s: %s", _REFUSED, error)  # noqa: TRY400  (no traceback)
        except FileNotFoundError:
            logger.warning("a picture without content has no thumbnail: %s", content_key)
        except StorageFullError:
            self._paused_until = time.monotonic() + _PAUSE
            logger.warning("no thumbnails are made, as the disk is full")
        except (OSError, SQLAlchemyError, StoreAwayError):
            self._paused_until = time.monotonic() + _PAUSE
            logger.exception("a thumbnail could not be made; trying again later")
        except Exception:
            self._paused_until = time.monotonic() + _PAUSE
            logger.exception("a thumbnail could not be made")

    def _make(self, content_key: str) -> None:
        storage, found = current_storage(), thumbnails.untried(content_key)
        db.session.rollback()  # while it is made, no transaction holds a connection
        if found is None:
            raise _NotWantedError
        owner_id, size = found
        made = self._process.make(partial(storage.open, content_key), size)
        if made is None:
            self._note(owner_id, content_key, None, 0)
            return
        incoming = storage.receive()
        try:
            incoming.write(made)
            key = storage.keep(incoming)
        finally:
            incoming.discard()
        with suppress(_NotWantedError), unless_kept(key):
            self._note(owner_id, content_key, key, len(made))

    def _note(self, owner_id: int, content_key: str, key: str | None, size: int) -> None:
        with entries.changing(owner_id):
            if thumbnails.untried(content_key) is None:
                raise _NotWantedError
            db.session.add(Thumbnail(content_key=content_key, own_key=key, size=size))

    def stop(self) -> None:
        """End the process, which starts again when it is needed."""
        self._process.stop()


def delete_orphans() -> int:
    """Delete the thumbnails of content that no file has any more, and return how many rows."""
    return _delete(thumbnails.forget_orphans)


def delete_all() -> int:
    """Delete all thumbnails, which are made again when they are wanted; return how many."""
    return _delete(thumbnails.forget_all)


def _delete(forget_some: Callable[[], Sequence[str]]) -> int:
    count = 0
    while keys := forget_some():
        count += len(keys)
        remove_content(*filter(None, keys))
    return count


_REFUSED = "no thumbnails are made, and pages show icons in their place"


def init_app(app: Flask, incoming: Path) -> None:
    """Set up an application, and say in the log why it makes no thumbnails."""
    is_on = app.config["THUMBNAILS"]
    if is_on and pillow_folder() is None:
        app.logger.warning("%s: the package Pillow is not installed", _REFUSED)
        is_on = False
    app.extensions[_KEY] = Maker(app, incoming / "thumbnails", is_on=is_on)


def current_maker() -> Maker:
    """Return what makes the application's thumbnails."""
    return cast("Maker", current_app.extensions[_KEY])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process with the data folder makes a thumbnail."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with locked(folder):
        yield
