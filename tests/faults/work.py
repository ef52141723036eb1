"""People at work: random uploads, moves and deletions, and what has to be true afterwards."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from tests.support import working

from .journal import File, State
from .person import NoAnswerError, Person

_MOST_FILES = 30
_LARGEST = 200_000
"""Bytes; no size and no piece is a multiple of a disk's blocks."""


@contextmanager
def at_work(people: Iterable[Person], rules: Random) -> Iterator[None]:
    """Have people work for the length of the block; raise what they find wrong."""
    wrong = list[BaseException]()

    def work(person: Person, own_rules: Random, ended: threading.Event) -> None:
        try:
            while not ended.is_set():
                do_something(person, own_rules)
        except BaseException as error:
            wrong.append(error)

    rules_of = [(person, Random(rules.random())) for person in people]  # noqa: S311
    with working.at_work(partial(work, *one) for one in rules_of):
        yield
    for error in wrong:
        raise error


def copy_of(people: list[Person]) -> list[Person]:
    """Copy what people have noted, while they go on."""
    while True:
        try:
            return copy.deepcopy(people)
        except RuntimeError:  # it changed meanwhile
            continue


def do_something(person: Person, rules: Random) -> None:
    """Do one thing that changes something, and go on as a person would where it fails."""
    try:
        _step(person, rules)
    except NoAnswerError:
        time.sleep(0.05)


def _step(person: Person, rules: Random) -> None:
    settled = [file for file in person.files.values() if file.is_settled and not file.upload]
    live = [file for file in settled if file.state and not file.state.is_trashed]
    trashed = [file for file in settled if file.state and file.state.is_trashed]
    unfinished = [file for file in person.files.values() if file.upload]
    steps: list[Callable[[], object]] = [lambda: person.upload(_odd(rules, _LARGEST))] * 3
    steps += [lambda: person.upload_group(*(_odd(rules, 99_999) for _ in range(3)))]
    if unfinished:
        steps += [lambda: _send_piece(person, rules.choice(unfinished), rules)] * 6
    if len(unfinished) < 3:
        steps += [lambda: person.begin(_odd(rules, _LARGEST))] * 2
    if live:
        steps += [
            lambda: person.rename(rules.choice(live)),
            lambda: person.move(rules.choice(live), rules.choice(list(person.folders))),
        ]
        steps += [lambda: person.trash(rules.choice(live))] * (6 if len(live) > _MOST_FILES else 2)
    if trashed:
        steps += [lambda: person.delete(rules.choice(trashed))] * 2
        steps += [lambda: person.restore(rules.choice(trashed))]
        steps += [person.empty_trash] * (len(trashed) > 5)
    rules.choice(steps)()


def _send_piece(person: Person, file: File, rules: Random) -> None:
    person.continue_upload(file, _odd(rules, _LARGEST // 2))


def _odd(rules: Random, most: int) -> int:
    return rules.randrange(1, most) | 1


def check(person: Person, before: float = math.inf, until: float = math.inf) -> int:
    """Check that nothing acknowledged is lost, and return the bytes that the person has.

    :param before: what was acknowledged until then has to be there, by the monotonic clock.
    :param until: what was sent after that cannot be there.
    """
    _check_unfinished(person, before)
    found, used = person.found(), 0
    for number, file in person.files.items():
        state, entry = found.pop(number, (None, ""))
        allowed = file.allowed(before, until)
        assert state in allowed, f"{number} is {state}, and may be {allowed}"
        file.settle(state)
        if state:
            used += len(file.content)
            if not state.is_trashed:
                assert person.download(entry) == file.content, f"{number} has other bytes"
    assert not found, f"these are back, or nobody uploaded them: {found}"
    return used


def _check_unfinished(person: Person, before: float) -> None:
    for file in person.files.values():
        if file.upload and file.upload.created < before:
            there = person.arrived(file)
            acknowledged = file.upload.acknowledged(before)
            assert there >= acknowledged, f"{file.number}: {there} of {acknowledged} bytes are left"
            file.upload.offsets = [(0, there)]
            if there == len(file.content):  # asking has finished it
                file.settle(State("", f"{file.number}.bin"))
        elif file.upload:
            file.upload = None  # nobody was told that it exists


def finish_uploads(person: Person, rules: Random) -> None:
    """Send what is missing of all uploads, and check what was stored."""
    for file in person.files.values():
        while file.upload:
            _send_piece(person, file, rules)
    check(person)


def go_on(person: Person) -> None:
    """Sign in, and do what a person does every day."""
    person.sign_in()
    for file in (person.upload(12_345), person.begin(54_321)):
        while file.upload:
            person.continue_upload(file, 20_001)
        (entry,) = [entry for number, (_, entry) in person.found().items() if number == file.number]
        assert person.download(entry) == file.content
        person.rename(file)
        person.trash(file)
        person.restore(file)
        person.trash(file)
        person.delete(file)
        assert file.allowed() == {None}
