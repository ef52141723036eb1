from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate import Handoff, HandoffUnavailable
from flask_delegate.areas import Area
from flask_delegate.delivery import describe
from flask_delegate.resolve import PrivateFile
from flask_delegate.servers import SERVERS
from flask_delegate.servers.codec import FIELDS, LONGEST, encode, internal_url, query_pattern
from flask_delegate.servers.handshake import Keys

TOKEN = "0123456789abcdef0123456789abcdef"
AREA = Area("default", "/srv/files", "/private/", "auto")
FILE = PrivateFile("/srv/files", "x", "x", 1, 0, (1, 1))


def encoded(**options: object) -> str:
    return encode(describe(Handoff("x", **options), AREA, FILE), TOKEN)  # type: ignore[arg-type]


def test_each_value_is_carried() -> None:
    query = encoded(
        download_name="a b&c=d.html",
        mimetype="text/html",
        max_age=60,
        csp="default-src 'self'",
        rate_limit=2048,
    )
    values = parse_qs(query, strict_parsing=True)
    assert re.fullmatch("[A-Za-z0-9_-]{16}", values.pop("id")[0])
    assert values == {
        "k": [TOKEN],
        "ct": ["text/html; charset=utf-8"],
        "cd": ['inline; filename="a b&c=d.html"'],
        "ma": ["60"],
        "csp": ["default-src 'self'"],
        "rl": ["2"],
    }


def test_what_is_not_asked_for_is_left_out() -> None:
    assert encoded(mimetype="image/png").count("&") == 3


@pytest.mark.parametrize(("rate", "kibibytes"), [(1, 1), (1023, 1), (2047, 1), (2048, 2)])
def test_a_rate_is_in_whole_kibibytes_and_never_none(rate: int, kibibytes: int) -> None:
    assert encoded(rate_limit=rate).endswith(f"&rl={kibibytes}")


@given(
    name=st.text(max_size=300),
    max_age=st.none() | st.integers(0, 10**9),
    rate=st.none() | st.integers(1, 10**15),
    csp=st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1),
)
def test_apache_reads_what_was_written(
    name: str, max_age: int | None, rate: int | None, csp: str | None
) -> None:
    query = encoded(download_name=name, max_age=max_age, rate_limit=rate, csp=csp)
    whole = re.fullmatch(query_pattern(TOKEN), query)
    assert whole
    # Each field is read once more by itself, as the configuration does.
    for field, value in zip(FIELDS, whole.groups(), strict=True):
        alone = re.search(f"&{field.key}=({field.pattern})(?:&|$)", query)
        assert (alone and alone[1]) == value


@pytest.mark.parametrize(
    "altered",
    [
        f"k={TOKEN}",
        f"k={TOKEN}x&id=0123456789abcdef&ct=a&cd=b",
        f"k={TOKEN}&id=0123456789abcdef&ct=a",
        f"k={TOKEN}&id=0123456789abcdef&cd=b&ct=a",
        f"k={TOKEN}&id=0123456789abcdef&ct=a&cd=b&ma=x",
        f"k={TOKEN}&id=0123456789abcdef&ct=a&cd=b&ma=1&ma=1",
        f"k={TOKEN}&id=0123456789abcdef&ct=a&cd=b&other=1",
        f"k={TOKEN}&id=0123456789abcdef&ct=a&cd=b\n&ma=1",
        f"x&k={TOKEN}&id=0123456789abcdef&ct=a&cd=b",
        f"k={TOKEN}&id=0123456789abcdef&ct=a+b&cd=b",
    ],
)
def test_no_other_query_is_read(altered: str) -> None:
    assert not re.search(query_pattern(TOKEN), altered)


@pytest.mark.parametrize("bad", ["a\r\nb", "", "ü", "\x00"])
def test_what_cannot_stand_in_a_header_is_not_written(bad: str) -> None:
    delivery = describe(Handoff("x"), AREA, FILE)
    for name in ("content_type", "disposition", "csp"):
        with pytest.raises(ValueError, match="cannot stand in a header"):
            encode(replace(delivery, **{name: bad}), TOKEN)  # type: ignore[arg-type]


def test_a_url_that_does_not_fit_in_a_header_is_refused() -> None:
    delivery = describe(Handoff("x"), AREA, FILE)
    assert internal_url(delivery, "k=1") == "/private/x?k=1"
    room = LONGEST - len("/private/?k=1")
    fitting = replace(delivery, file=replace(FILE, relative="x" * room))
    assert len(internal_url(fitting, "k=1")) == LONGEST
    long = replace(delivery, file=replace(FILE, relative="x" * (room + 1)))
    limit = f"would have {LONGEST + 1} bytes, and {LONGEST} are the limit"
    with pytest.raises(HandoffUnavailable, match=limit):
        internal_url(long, "k=1")
    for server in ("mod_wsgi", "nginx"):
        with pytest.raises(HandoffUnavailable, match=f"{LONGEST} are the limit"):
            SERVERS[server].respond(long, Keys(token=TOKEN), {})


def test_the_longest_path_fits_with_all_that_a_view_may_set() -> None:
    """A name of which each byte needs five, a policy of which each needs three."""
    most = Handoff(
        "x",
        download_name="(" * 255,
        mimetype=f"{'a' * 127}/{'b' * 127}",
        csp=";" * 2000,
        max_age=10**9,
        rate_limit=10**15,
        sha256="f" * 64,
    )
    file = replace(FILE, relative="(" * SERVERS["nginx"].longest_path)
    delivery = describe(most, AREA, file)
    assert len(internal_url(delivery, encode(delivery, TOKEN))) < LONGEST


@pytest.mark.parametrize("bad", ["a\r\nb", "ü", "\x00"])
def test_nothing_that_could_break_a_header_is_written(bad: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Handoff("x", csp=bad)
