"""A table as a picture."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure

from .results import Table

mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "the same figures, the same file"


def plot(table: Table, path: Path) -> None:
    """Draw a bar for each row, with the spread over the rounds."""
    names = list(table.rows)
    middles = [median(table.rows[name]) for name in names]
    spread = [
        [middle - min(table.rows[name]) for name, middle in zip(names, middles, strict=True)],
        [max(table.rows[name]) - middle for name, middle in zip(names, middles, strict=True)],
    ]
    figure = Figure(figsize=(8, 0.5 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = ["#1f5f6b" if name == table.ours else "#9fb4ba" for name in names]
    axes.barh(names, middles, xerr=spread, color=colours, ecolor="#516166")
    axes.invert_yaxis()
    axes.set_xlabel(table.unit)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
