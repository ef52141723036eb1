"""The recipes of docs/extension/metrics.md count what happened."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask, send_file
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY

import flask_delegate.receipts
from flask_delegate import delegated, transparent
from flask_delegate.receipts import read
from tests.support.extension import CONTENT, Factory, behind_apache
from tests.support.paths import PROJECT
from tests.support.receipts import Finished, finish, line

PAGE = (PROJECT / "docs/extension/metrics.md").read_text()
PROMETHEUS, FOLLOWING, OPENTELEMETRY = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)


def run(source: str, name: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 -- under test
    return module


@pytest.fixture
def app(make_app: Factory, root: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(transparent, "FRESH", 0)
    app = make_app(DELEGATE_SEND_FILE=True)
    app.add_url_rule("/flask", "flask", lambda: send_file(root / "report.txt"))
    for name, allowed in (("allowed", True), ("denied", False), ("missing", True)):
        decorate: Any = delegated(lambda allowed=allowed: allowed)
        path = "missing" if name == "missing" else "report.txt"
        app.add_url_rule(f"/{name}", name, decorate(lambda path=path: path))
    return app


EXPECTED: dict[Any, float] = {
    ("deliveries", "mod_wsgi"): 3,  # two by a decorated view, and one by Flask's function
    ("deliveries", "stream"): 1,
    ("fallbacks", "other-server"): 2,
    ("refusals", "AccessDenied"): 1,
    ("refusals", "FileMissing"): 1,
}


def ask(app: Flask) -> None:
    apache = behind_apache(app)
    for url in ("/allowed", "/allowed", "/denied", "/missing", "/flask"):
        apache.get(url)
    for url in ("/allowed", "/flask"):
        assert app.test_client().get(url).data == CONTENT


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "downloads.log"
    lines = [line(identity=f"{number:016}") for number in range(3)] + [line(end="X", sent="9")]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = run(PROMETHEUS, "metrics")
    monkeypatch.setitem(sys.modules, "metrics", module)
    yield module
    for name in ("DELIVERIES", "FALLBACKS", "REFUSALS", "RECEIPTS", "SENT"):
        REGISTRY.unregister(getattr(module, name))


def test_prometheus_counts(app: Flask, prometheus: ModuleType) -> None:
    ask(app)
    found = {}
    for name in ("deliveries", "fallbacks", "refusals"):
        (metric,) = getattr(prometheus, name.upper()).collect()
        for sample in metric.samples:
            if sample.name == f"delegate_{name}_total":
                found[name, *sample.labels.values()] = sample.value
    assert found == EXPECTED


@pytest.mark.usefixtures("prometheus")
def test_prometheus_counts_receipts_of_a_log_once(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_delegate.receipts.time.sleep", lambda _: finish())
    following = run(FOLLOWING, "count_receipts")
    for _ in range(2):
        with pytest.raises(Finished):
            following.count(log, tmp_path / "position.json")
    assert json.loads((tmp_path / "position.json").read_text())
    value = REGISTRY.get_sample_value
    assert value("delegate_receipts_total", {"outcome": "completed"}) == 3
    assert value("delegate_receipts_total", {"outcome": "cut short"}) == 1
    assert value("delegate_sent_bytes_total") == 3 * 16 + 9


def test_opentelemetry_counts(app: Flask, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    module = run(OPENTELEMETRY, "counters")
    ask(app)
    assert len(list(read(log))) == 4
    found = {}
    data = reader.get_metrics_data()
    assert data
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            values = (point.attributes or {}).values()
            found[metric.name.removeprefix("delegate."), *values] = getattr(point, "value", 0)
    assert found == {
        **EXPECTED,
        ("receipts", "completed"): 3,
        ("receipts", "cut short"): 1,
        ("sent",): 3 * 16 + 9,
    }
    assert module.meter
    provider.shutdown()


def test_receivers_of_one_log_do_not_hear_of_others(log: Path) -> None:
    heard: list[str] = []

    def hear(sender: str, receipt: flask_delegate.receipts.Receipt) -> None:
        heard.append(f"{sender} {receipt.outcome}")

    for path, number in ((log, 4), (log.with_name("other"), 0)):
        with flask_delegate.receipt_read.connected_to(hear, str(path)):
            list(read(log))
        assert len(heard) == number
        heard.clear()
