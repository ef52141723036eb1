"""Checks of the probe file's way through the application and the server."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus

from ...servers.nginx import BUFFERS
from ..finding import Finding, failure, ok, skipped
from ..probe import Visit, longest_probe_file
from ..requests.client import Reply
from ..route import FILE, LONGEST
from .refusals import HANDED_OFF, IGNORED, described, reason


def delivery(visit: Visit, there: str) -> Generator[Finding, None, bool]:
    """Ask for the file in each proper way.

    :param there: what the application sees of it: ``readable``, or why not.
    :returns: whether it, or something else, arrived.
    """
    reply = visit.ask(FILE)
    if reply.status != HTTPStatus.OK or reply.body != visit.probe.content:
        has_arrived = reply.status == HTTPStatus.OK and bool(reply.body)
        is_ignored = reply.status == HTTPStatus.OK and not reply.body
        why, fix = IGNORED if is_ignored else reason(reply, HANDED_OFF)
        seen = (
            f"{described(reply)} and {len(reply.body)} bytes instead of 200 and"
            f" {len(visit.probe.content)}; to the application the file is: {there}."
        )
        yield failure("handoff", seen, why, fix)
        return has_arrived
    yield _metadata(visit, reply)
    yield _head(visit, reply)
    yield _range(visit, reply)
    yield _conditional(visit, reply)
    yield _longest_path(visit)
    return True


def differences(visit: Visit, reply: Reply) -> list[str]:
    """Return which headers are not what the application described."""
    wrong = [
        f"{name}: {reply.header(name)!r} instead of {value!r}"
        for name, value in visit.delivery().headers().items()
        if reply.header(name) != value
    ]
    if "cookie" not in reply.header("Vary").lower():
        wrong.append(f"Vary: {reply.header('Vary')!r} does not name Cookie")
    return wrong


def _metadata(visit: Visit, reply: Reply) -> Finding:
    wrong = differences(visit, reply)
    if not wrong:
        return ok("handoff", "the file arrives as the application described it")
    return failure(
        "handoff",
        f"{reply.url} arrives, but not as described: {'; '.join(wrong)}.",
        "Name, type and policies keep a file from being cached, run or saved under a wrong name.",
        "Look for rules (Header, ForceType, add_header, a cache or proxy in front) that change"
        " these headers, and remove them from the area.",
    )


def _head(visit: Visit, whole: Reply) -> Finding:
    reply = visit.ask(FILE, "HEAD")
    length = reply.header("Content-Length")
    if reply.status == 200 and not reply.body and length == str(len(whole.body)):
        return ok("head", f"200, Content-Length {length}, no content")
    return failure(
        "head",
        f"HEAD {described(reply)}, Content-Length {length!r} and {len(reply.body)} bytes.",
        "Download managers ask with HEAD before they fetch.",
        "Look for rules that limit methods (Limit, AllowMethods) or compress the area's files.",
    )


def _range(visit: Visit, whole: Reply) -> Finding:
    part = whole.body[100:200]
    wrong = []
    # Only a view that knows an object's ETag can let the store answer If-Range.
    conditions = [{"If_Range": whole.header("ETag")}] if visit.area.store is None else []
    for extra in ({}, *conditions):
        reply = visit.ask(FILE, Range="bytes=100-199", **extra)
        span = f"bytes 100-199/{len(whole.body)}"
        if (reply.status, reply.body, reply.header("Content-Range")) != (206, part, span):
            wrong.append(f"{'with If-Range' if extra else 'a range'}: {reply.status}")
    if not wrong:
        return ok("range", f"206 with the range{', also with If-Range' if conditions else ''}")
    return failure(
        "range",
        f"a range of {whole.url} was not sent ({', '.join(wrong)}).",
        "An interrupted download starts from the beginning, and players cannot seek.",
        "Look for MaxRanges, max_ranges, RequestHeader unset Range, Header unset ETag, FileETag"
        " None, etag off, or a compressing filter or proxy.",
    )


def _conditional(visit: Visit, whole: Reply) -> Finding:
    etag, modified = whole.header("ETag"), whole.header("Last-Modified")
    wrong = [] if re.fullmatch('"[^"]*"', etag) else [f"the ETag {etag!r} is not strong"]
    for name, value in (("If_None_Match", etag), ("If_Modified_Since", modified)):
        status = visit.ask(FILE, **{name: value}).status
        if status != 304:
            wrong.append(f"{name.replace('_', '-')} was answered with {status}")
    if not wrong:
        return ok("conditional", "a strong ETag, and 304 for what is unchanged")
    return failure(
        "conditional",
        f"{whole.url}: {'; '.join(wrong)}.",
        "Browsers fetch unchanged files again, and cannot resume a download safely.",
        "Look for Header unset ETag, FileETag None, etag off, RequestHeader unset If-…,"
        " if_modified_since, a compressing filter or proxy; and, for the application's own URLs,"
        " a filter INCLUDES or MultiViews.",
    )


def _longest_path(visit: Visit) -> Finding:
    with ExitStack() as created:
        try:
            probe = created.enter_context(longest_probe_file(visit.area))
        except OSError as error:
            seen = f"a file with the longest possible path cannot be created: {error.strerror}"
            return skipped("longest-path", seen)
        reply = replace(visit, probe=probe).ask(LONGEST)
    if reply.status == 200 and reply.body == probe.content:
        return ok("longest-path", "a file with the longest possible path arrives")
    return failure(
        "longest-path",
        f"a file with the longest possible path was answered with {reply.status}.",
        "Files whose names, with their folders', are long cannot be had. The path is in a header of"
        " the application's answer, and the server has to read all of it.",
        f"nginx: write, where it passes requests on: {BUFFERS}"
        " mod_wsgi: leave out header-buffer-size. Apache: use a shorter ServerRoot.",
    )
