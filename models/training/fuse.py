#!/usr/bin/env python3
"""Learns how two embedders judge together, and writes the fusion card of the confirming stage.

in   --first CARD.toml, --second CARD.toml, each with its `.tflite` beside it; --cache FOLDER
     (prepare.py, people.py); --id ID, --date YYYY-MM
out  --out ID.fusion.toml in the format of models/README.md: the gate, the weights, the thresholds

The gate is the score of the first below which nothing is confirmed; a pair below it is no match,
whatever the second would have said. Gate and weights are chosen on the validation people, thresholds
measured on the calibration people: nobody is in both, and LFW is not looked at.
Both are averaged with the mirror image and centred by their cards, as the daemon does by default.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scores
from embedder import Carded, carded
from evaluate import calibrated, held_back
from tables import interval_words, listed, rate, text

# Of true matches the gate may lose so many: the second embedder cannot bring them back.
GATE_MISSES = 0.001
# Weights are chosen for few misses at this rate of false matches.
CHOOSING_RATE = 1e-4
WEIGHTS = np.round(np.arange(0.0, 1.01, 0.05), 2)


@dataclass
class Compared:
    """Every two faces: the first's score, the second's, and whether they show one person."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    people: int


def compared(first: Carded, second: Carded, cache: Path, part: str) -> Compared:
    wides, persons = held_back(cache, part)
    upper = np.triu_indices(len(persons), 1)
    ours, theirs = (scores.all_likenesses(of.vectors(wides), "cosine")[upper] for of in (first, second))
    return Compared(ours, theirs, (persons[:, None] == persons[None, :])[upper], len(set(persons.tolist())))


def fused(pairs: Compared, gate: float, weight: float) -> np.ndarray:
    """`weight` is the second's; below the gate no score reaches any threshold."""
    return np.where(pairs.first >= gate, (1.0 - weight) * pairs.first + weight * pairs.second, -1.0)


def chosen(pairs: Compared) -> tuple[float, float]:
    """Gate and the second's weight."""
    gate = round(float(np.quantile(pairs.first[pairs.same], GATE_MISSES)), 3)
    missed = []
    for weight in WEIGHTS:
        both = fused(pairs, gate, float(weight))
        missed.append(scores.miss_rate_at(both[pairs.same], both[~pairs.same], CHOOSING_RATE))
        print(f"fuse: weight of the second {weight:.2f}: {100 * missed[-1]:.2f} % missed at {CHOOSING_RATE:g}", flush=True)
    return gate, float(WEIGHTS[int(np.argmin(missed))])


def card(options: argparse.Namespace, first: Carded, second: Carded) -> str:
    gate, weight = chosen(compared(first, second, options.cache, "validation"))
    pairs = compared(first, second, options.cache, "calibration")
    both = fused(pairs, gate, weight)
    mated, others = both[pairs.same], both[~pairs.same]
    points = calibrated(others, "cosine")
    if not points:
        raise SystemExit(f"fuse: {len(others):,} comparisons of strangers show no rate: take more people for calibration (people.py)")
    passed = float((pairs.first[~pairs.same] >= gate).mean())
    missed = ", ".join(f"{100 * scores.miss_rate_at(mated, others, p['rate']):.2f} % at {rate(p['rate'])}" for p in points)
    source = (
        f"{pairs.people} people of CelebA who are neither in training nor in LFW, {options.date}: {len(mated):,} mated and "
        f"{len(others):,} non-mated comparisons, crop and mirror image averaged; true matches missed: {missed}; "
        f"95 % intervals by Wilson as if comparisons were independent: {interval_words(points)}"
    )
    limitations = [
        f"The gate lets {100 * passed:.1f} % of strangers' comparisons through to {second.id}, and loses {100 * float((mated < gate).mean()):.2f} % of true matches.",
        f"{second.id} helped to clean the names of the people measured on, and may have been trained on them: the misses are too few and the thresholds perhaps too low. Check them at the door itself.",
    ]
    lines = [
        "# Written by models/training/fuse.py. Format: models/README.md",
        f"id = {text(options.id)}", f"title = {text(f'{first.id}, confirmed by {second.id}')}",
        f"first = {{ id = {text(first.id)}, sha256 = {text(first.sha256)} }}",
        f"second = {{ id = {text(second.id)}, sha256 = {text(second.sha256)} }}",
        f"gate = {gate}", f"weights = [{round(1.0 - weight, 2)}, {weight}]", "mirrored = true", "",
        "[provenance]", 'licence = "MIT OR Apache-2.0 for this file; those of both networks for what it needs"',
        f"source = {text(f'Gate and weights chosen on 400 other people, {options.date}, by models/training/fuse.py')}",
        "limitations = [", *(f"    {text(w)}," for w in limitations), "]", "",
        "[[calibration]]", 'metric = "cosine"', "mirrored = true", f"source = {text(source)}", f"points = {listed(points, 'threshold')}", "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("first", "second", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--date", required=True)
    options = parser.parse_args()
    options.out.write_text(card(options, carded(options.first), carded(options.second)), encoding="utf-8")
    print(f"fuse: wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
