"""Draws a run's losses and validation: OUT/curves.csv (pictures, what, value) → a PNG."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def draw(table: Path, picture: Path) -> None:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    with table.open(encoding="utf-8", newline="") as rows:
        for pictures, what, value in csv.reader(rows):
            line = lines.setdefault(what, ([], []))
            line[0].append(float(pictures) / 1e6)
            line[1].append(float(value))
    if not lines:
        return
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for what, (x, y) in lines.items():
        if what.startswith("miss_at_"):
            right.plot(x, y, label=f"FNMR at FMR {what.removeprefix('miss_at_')}")
        elif what != "rate":
            left.plot(x, y, label=what)
    left.set(xlabel="million pictures", ylabel="loss", title="training")
    right.set(xlabel="million pictures", ylabel="share of mated pairs missed", title="people held back, averaged weights")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
