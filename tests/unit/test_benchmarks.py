"""What ``scripts/bench`` makes of its figures, and the page that shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import write
from benchmarks.own_time import own_time
from benchmarks.results import Table
from tests.support.paths import PROJECT


@pytest.fixture
def table() -> Table:
    made = Table("speed", "What it means.", "MB/s", "them", "us", targets={"them": 1.5})
    for ours, theirs in ((20, 10), (30, 10), (10, 10)):
        made.add("us", ours)
        made.add("them", theirs)
    return made


def test_ratios_are_of_the_same_round(table: Table) -> None:
    ratio = table.ratio("us", "them")
    assert (ratio.value, ratio.least, ratio.most) == (2, 1, 3)


def test_a_target_is_met_or_not(table: Table) -> None:
    assert table.verdicts() == ["met: us is 2.00 × them, the target ≥ 1.5"]
    table.less_is_better = True
    assert table.verdicts() == ["NOT MET: us is 2.00 × them, the target ≤ 1.5"]


def test_rows_of_other_rounds_are_not_compared(table: Table) -> None:
    table.add("us", 7)
    with pytest.raises(ValueError, match="shorter"):
        table.ratio("us", "them")


def test_the_text_has_each_row(table: Table) -> None:
    assert "| us | 20 | 2.00 | 1.00 – 3.00 |" in table.text()
    assert "| them | 10 | 1.00 | 1.00 – 1.00 |" in table.text()


def test_own_time_measures_a_handoff() -> None:
    (table,) = own_time(rounds=1, requests=20)
    assert table.rows["handed off"][0] > table.rows["an empty Flask view"][0] > 0


def test_what_was_measured_is_written_for_programs(table: Table, tmp_path: Path) -> None:
    write(tmp_path / "bench", {"nginx": "1.22"}, [table])
    written = json.loads((tmp_path / "bench/results.json").read_text())
    assert written["machine"] == {"nginx": "1.22"}
    (found,) = written["tables"]
    assert found["rows"] == table.rows
    assert found["medians"] == {"us": 20, "them": 10}


def test_each_verdict_on_the_page_agrees_with_its_figure() -> None:
    page = (PROJECT / "docs/project/performance.md").read_text()
    verdicts = re.findall(
        r"^- (met|NOT MET): .*? ([\d.]+) (?:×|µs|ms|MiB).* target (≤|≥) ([\d.]+)",
        page,
        re.MULTILINE,
    )
    assert len(verdicts) == page.count("the target ") > 10
    for said, figure, sign, wanted in verdicts:
        ours, bound = float(figure), float(wanted)
        assert (said == "met") == (ours <= bound if sign == "≤" else ours >= bound), figure
