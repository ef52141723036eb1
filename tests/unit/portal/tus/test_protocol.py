"""The rules of tus 1.0, as https://tus.io/protocols/resumable-upload has them, case by case."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from portal.core.database import db
from portal.core.models import Upload, now
from portal.tus.headers import CONTENT_TYPE
from tests.support.portal import links
from tests.support.tus import Tus

WHOLE = b"0123456789"
THERE = 4
"""Bytes of WHOLE that the upload of each case has."""
ANY = "any"
NONE: Mapping[str, str] = MappingProxyType({})
PIECE = {"Content-Type": CONTENT_TYPE, "Upload-Offset": str(THERE)}
REST = WHOLE[THERE:]
VERSION = "1.0.0"


class Case(NamedTuple):
    """A request to an upload that has 4 of its 10 bytes, or to where uploads are created.

    :param sent: headers; one without a value is not sent, and Tus-Resumable unless it is here.
    :param status: of the answer.
    :param said: headers of the answer; one without a value is not there.
    :param offset: what the upload has then; None: it is gone.
    """

    method: str
    at: str
    sent: Mapping[str, str]
    body: bytes
    status: int
    said: Mapping[str, str] = NONE
    offset: int | None = THERE


def checksum(algorithm: str, content: bytes) -> str:
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


def piece(status: int, offset: int = THERE, body: bytes = REST, **sent: str) -> Case:
    headers = PIECE | {name.replace("_", "-"): value for name, value in sent.items()}
    said = {"Upload-Offset": str(offset)} if status == 204 else {"Upload-Offset": ""}
    return Case("PATCH", "upload", headers, body, status, said, offset)


def creation(status: int, body: bytes = b"", **sent: str) -> Case:
    headers = {"Upload-Length": "10"}
    headers |= {name.replace("_", "-"): value for name, value in sent.items()}
    said = {"Location": ANY, "Upload-Expires": ANY} if status == 201 else {"Location": ""}
    return Case("POST", "root", headers, body, status, said)


ANSWERED = {"Upload-Offset": "4", "Upload-Length": "10", "Cache-Control": "no-store"}
OVERRIDE = "X-HTTP-Method-Override"
CASES = {
    # Core: OPTIONS
    "options": Case("OPTIONS", "root", {"Tus-Resumable": ""}, b"", 204, {"Tus-Version": VERSION}),
    "options, any version": Case("OPTIONS", "root", {"Tus-Resumable": "9"}, b"", 204),
    "options of an upload": Case("OPTIONS", "upload", NONE, b"", 204, {"Tus-Extension": ANY}),
    # Core: the version
    **{
        f"{method} without a version": Case(
            method, "upload", {"Tus-Resumable": ""}, b"", 412, {"Tus-Version": VERSION}
        )
        for method in ("HEAD", "PATCH", "DELETE")
    },
    "a version of long ago": piece(412, Tus_Resumable="0.2.2"),
    "a version to come": piece(412, Tus_Resumable="1.0.1"),
    "two versions": piece(412, Tus_Resumable="1.0.0, 1.0.1"),
    "creation without a version": creation(412, Tus_Resumable=""),
    # Core: HEAD
    "head": Case("HEAD", "upload", NONE, b"", 200, ANSWERED),
    "head of nothing": Case("HEAD", "nothing", NONE, b"", 404, {"Upload-Offset": ""}),
    "head of a finished one": Case("HEAD", "finished", NONE, b"", 200, {"Upload-Offset": "10"}),
    "head of an expired one": Case("HEAD", "expired", NONE, b"", 404, {"Upload-Offset": ""}),
    # Core: PATCH
    "the rest": piece(204, 10),
    "a part of the rest": piece(204, 6, b"45"),
    "nothing": piece(204, 4, b""),
    "too early": piece(409, Upload_Offset="3"),
    "too late": piece(409, Upload_Offset="5"),
    "behind the end": piece(409, Upload_Offset="11"),
    "no offset": piece(400, Upload_Offset=""),
    "no number": piece(400, Upload_Offset="four"),
    "below zero": piece(400, Upload_Offset="-4"),
    "with a sign": piece(400, Upload_Offset="+4"),
    "with a fraction": piece(400, Upload_Offset="4.0"),
    "of two lines": piece(400, Upload_Offset="4, 4"),
    "as large as none": piece(400, Upload_Offset="9" * 40),
    "a zero before": piece(204, 10, Upload_Offset="04"),
    "longer than announced": piece(413, body=REST + b"X"),
    "another type": piece(415, Content_Type="application/octet-stream"),
    "no type": piece(415, Content_Type=""),
    "a form's type": piece(415, Content_Type="application/x-www-form-urlencoded"),
    "a type with a parameter": piece(204, 10, Content_Type=f"{CONTENT_TYPE}; charset=utf-8"),
    "a type in capitals": piece(204, 10, Content_Type=CONTENT_TYPE.upper()),
    "to nothing": Case("PATCH", "nothing", PIECE, REST, 404),
    "to a finished one": Case("PATCH", "finished", PIECE, REST, 409),
    "to an expired one": Case("PATCH", "expired", PIECE, REST, 404),
    "to where uploads are created": Case("PATCH", "root", PIECE, REST, 405),
    # Core: the method's override
    "PATCH as POST": piece(204, 10)._replace(method="POST", sent=PIECE | {OVERRIDE: "PATCH"}),
    "PATCH as GET": piece(204, 10)._replace(method="GET", sent=PIECE | {OVERRIDE: "PATCH"}),
    "PATCH as DELETE": piece(204, 10)._replace(method="DELETE", sent=PIECE | {OVERRIDE: "PATCH"}),
    "HEAD as POST": Case("POST", "upload", {OVERRIDE: "HEAD"}, b"", 200, ANSWERED),
    "HEAD as POST, of nothing": Case("POST", "nothing", {OVERRIDE: "HEAD"}, b"", 404),
    "DELETE as POST": Case("POST", "upload", {OVERRIDE: "DELETE"}, b"", 204, NONE, None),
    "POST as GET": creation(201)._replace(
        method="GET", sent={OVERRIDE: "POST", "Upload-Length": "1"}
    ),
    "what is no method": Case("POST", "upload", {OVERRIDE: "FROB"}, b"", 405),
    "POST to an upload": Case("POST", "upload", NONE, b"", 405),
    # Creation
    "creation": creation(201),
    "creation with the type of a piece": creation(201, Content_Type=CONTENT_TYPE),
    "creation with a form's type": creation(201, Content_Type="application/x-www-form-urlencoded"),
    "creation with another type": creation(201, Content_Type="text/plain"),
    "creation of nothing": creation(201, Upload_Length="0")._replace(said={"Upload-Offset": "0"}),
    "creation without a length": creation(400, Upload_Length=""),
    "creation with a length below zero": creation(400, Upload_Length="-1"),
    "creation with no number": creation(400, Upload_Length="ten"),
    "creation with two lengths": creation(400, Upload_Length="1, 1"),
    "creation with a length as large as none": creation(400, Upload_Length="9" * 40),
    "creation over the quota": creation(413, Upload_Length=str(10**15)),
    "creation with a length to come": creation(400, Upload_Length="", Upload_Defer_Length="1"),
    "creation of a concatenation": creation(400, Upload_Length="", Upload_Concat="final;/a /b"),
    "creation with an offset": creation(201, Upload_Offset="7"),
    "metadata": creation(201, Upload_Metadata="filename YQ==,is_confidential"),
    "metadata of nothing": creation(201, Upload_Metadata=""),
    "metadata with an empty value": creation(201, Upload_Metadata="filename "),
    "metadata with blanks": creation(201, Upload_Metadata="filename YQ==, b YQ=="),
    "metadata twice": creation(400, Upload_Metadata="a YQ==,a YQ=="),
    "metadata in no base64": creation(400, Upload_Metadata="a Y"),
    # Creation with upload
    "creation with all": creation(201, WHOLE, Content_Type=CONTENT_TYPE)._replace(
        said={"Location": ANY, "Upload-Offset": "10"}
    ),
    "creation with a part": creation(201, b"01", Content_Type=CONTENT_TYPE)._replace(
        said={"Location": ANY, "Upload-Offset": "2", "Upload-Expires": ANY}
    ),
    "creation with a body of another type": creation(415, WHOLE, Content_Type="text/plain"),
    "creation with too much": creation(413, WHOLE + b"X", Content_Type=CONTENT_TYPE),
    # Expiration
    "a piece tells the expiry": piece(204, 6, b"45")._replace(said={"Upload-Expires": ANY}),
    "the last piece has none": piece(204, 10)._replace(said={"Upload-Expires": ""}),
    # Checksum
    **{
        f"a right {algorithm}": piece(204, 10, Upload_Checksum=checksum(algorithm, REST))
        for algorithm in ("sha1", "sha256", "sha512")
    },
    "a wrong checksum": piece(460, Upload_Checksum=checksum("sha1", b"something else")),
    "an unknown algorithm": piece(400, Upload_Checksum=checksum("md5", REST)),
    "no checksum after its algorithm": piece(460, Upload_Checksum="sha1 "),
    "a checksum in no base64": piece(400, Upload_Checksum="sha1 *"),
    # Termination
    "termination": Case("DELETE", "upload", NONE, b"", 204, NONE, None),
    "termination of nothing": Case("DELETE", "nothing", NONE, b"", 404),
    "termination with a type": Case(
        "DELETE", "upload", {"Content-Type": "a/b"}, b"", 204, NONE, None
    ),
    # What has no meaning
    "unknown headers": piece(204, 10, X_Unknown="1", Upload_Unknown="2"),
    "a length with a piece": piece(204, 10, Upload_Length="99"),
    "metadata with a piece": piece(204, 10, Upload_Metadata="filename Yg=="),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rule_of_the_protocol(case: Case, app: Flask, alice: FlaskClient) -> None:
    tus = Tus(alice)
    url = tus.create(len(WHOLE), WHOLE[:THERE], filename="a").location
    url_of = {"root": "/uploads/", "upload": url, "nothing": "/uploads/x", "finished": url}
    if case.at == "finished":
        assert tus.add(url, THERE, REST).status_code == 204
    if case.at == "expired":
        expire(app)
    answer = tus.request(case.method, url_of.get(case.at, url), case.sent, case.body)
    assert answer.status_code == case.status, answer.text
    assert answer.headers["Tus-Resumable"] == VERSION
    for name, value in case.said.items():
        told = answer.headers.get(name, "")
        assert (told and value == ANY) or told == value, name
    if case.at in {"upload", "root"}:
        asked = tus.send("HEAD", url)
        if case.offset is None:
            assert asked.status_code in {404, 410}
        else:
            assert asked.headers["Upload-Offset"] == str(case.offset)
    complete = case.offset == len(WHOLE) or case.at == "finished"
    assert ("a" in links(alice)) == complete


def test_override_is_for_the_protocol_alone(alice: FlaskClient) -> None:
    assert alice.post("/", headers={OVERRIDE: "GET"}).status_code == 405
    assert alice.get("/", headers={OVERRIDE: "POST", "Tus-Resumable": VERSION}).status_code == 200


def expire(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(Upload).values(used_at=now() - timedelta(days=4)))
        db.session.commit()
