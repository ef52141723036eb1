"""Figures of several rounds, and what may be said of them: medians, ratios, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """How one alternative compares with another in the same round.

    :param value: the median over the rounds.
    :param least: that of the worst round.
    :param most: that of the best one.
    """

    value: float
    least: float
    most: float


@dataclass
class Table:
    """One experiment.

    :param name: what it is called on the command line and in the results.
    :param meaning: what its figures mean, in words.
    :param unit: of the figures, such as requests/s.
    :param baseline: what all others are compared with.
    :param targets: the least ratio (or most, where less is better) that ours is to reach, by what
        it is compared with.
    :param ours: which row the targets are for.
    :param less_is_better: whether they are times, say.
    :param rows: by name, a figure for each round.
    :param notes: what else was seen.
    """

    name: str
    meaning: str
    unit: str
    baseline: str
    ours: str
    targets: Mapping[str, float] = field(default_factory=dict)
    less_is_better: bool = False
    rows: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, figure: float) -> None:
        """Note a round's figure."""
        self.rows.setdefault(name, []).append(figure)

    def ratio(self, name: str, to: str) -> Ratio:
        """Compare two rows, round by round: what slows the machine down slows both."""
        pairs = zip(self.rows[name], self.rows[to], strict=True)
        ratios = [one / other for one, other in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))

    def verdicts(self) -> Sequence[str]:
        """Return, for each target, whether it is met."""
        said = []
        for other, wanted in self.targets.items():
            got = self.ratio(self.ours, other).value
            met = got <= wanted if self.less_is_better else got >= wanted
            sign = "≤" if self.less_is_better else "≥"
            said.append(
                f"{'met' if met else 'NOT MET'}: {self.ours} is {got:.2f} × {other},"
                f" the target {sign} {wanted:g}"
            )
        return said

    def text(self) -> str:
        """Write it for people."""
        lines = [f"## {self.name}", "", self.meaning, ""]
        lines += [f"| | {self.unit} | × {self.baseline} | in the rounds |", "|---|---|---|---|"]
        for name, figures in self.rows.items():
            ratio = self.ratio(name, self.baseline)
            lines.append(
                f"| {name} | {_figure(median(figures))} | {ratio.value:.2f} |"
                f" {ratio.least:.2f} – {ratio.most:.2f} |"
            )
        lines += ["", *(f"- {one}" for one in (*self.verdicts(), *self.notes))]
        return "\n".join(lines).rstrip() + "\n"

    def as_json(self) -> dict[str, Any]:
        """Return all that was measured, and what follows from it."""
        ratios = {name: asdict(self.ratio(name, self.baseline)) for name in self.rows}
        medians = {name: median(figures) for name, figures in self.rows.items()}
        return {
            **asdict(self),
            "medians": medians,
            "ratios": ratios,
            "verdicts": list(self.verdicts()),
        }


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
