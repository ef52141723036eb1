"""The doctor's client."""

from __future__ import annotations

from flask_delegate.doctor.requests.client import parse_url


def test_urls() -> None:
    target = parse_url("https://[::1]/a b")
    assert (target.port, target.path, target.host_header) == (443, "/a%20b/", "[::1]")
    assert parse_url("http://x:81").host_header == "x:81"
    assert parse_url("http://x").path == "/"


def test_a_server_may_have_its_root_at_each_folder_of_the_path() -> None:
    assert parse_url("http://x/").roots == [""]
    assert parse_url("http://x/outer/app").roots == ["", "/outer", "/outer/app"]
