"""What an installation says of a portal that it has started, and when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from deploy import health
from deploy.health import Health
from deploy.steps import Installation
from scripts.lib.jobs import Jobs

Answer = Callable[[int, bytes], str]


@pytest.fixture
def answering() -> Iterator[Answer]:
    """Return a function that sets what a server answers, and returns its address."""
    said = [(200, b"")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = said[-1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    def answer(status: int, body: bytes) -> str:
        said.append((status, body))
        return f"http://127.0.0.1:{server.server_port}/healthz"

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield answer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"status": "ok"}, Health(200)),
        (503, {"status": "failing", "failing": ["space"]}, Health(503, ("space",))),
        (502, "<html>Bad gateway</html>", Health(502)),
        (503, [], Health(503)),
    ],
)
def test_health_is_what_the_portal_answers(
    status: int, body: object, expected: Health, answering: Answer
) -> None:
    assert health.ask(answering(status, json.dumps(body).encode())) == expected


def test_health_without_an_answer_is_none() -> None:
    assert health.ask("http://127.0.0.1:1/healthz") == Health(0)


@pytest.fixture
def installation() -> Installation:
    """Return an installation at its last steps."""
    installation = object.__new__(Installation)
    installation.host, installation.jobs = "portal.example.org", Jobs()
    return installation


def test_full_disk_is_told_at_once_with_the_cure(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = iter([Health(0), Health(502), Health(503, ("database", "space"))])
    monkeypatch.setattr(health, "ask", lambda *_words: next(found))
    before = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        installation.wait_until_healthy()
    assert time.monotonic() - before < 5
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "the portal is installed and runs, but" in said
    assert "less space free than DISK_RESERVE" in said
    assert "Free some space, or set a smaller DISK_RESERVE in /etc/portal/settings.toml" in said
    assert "run deploy/install again" in said


def test_what_may_pass_is_waited_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Health(0), Health(503, ("database",)), Health(503, ("schema",)), Health(200)])
    monkeypatch.setattr(health, "ask", lambda *_words: next(found))
    installation.wait_until_healthy()
    assert list(found) == []


@pytest.mark.parametrize("found", [Health(0), Health(502), Health(503, ("database", "new"))])
def test_each_problem_is_a_sentence(found: Health) -> None:
    assert found.problem.endswith(".")
    assert not found.is_settled
