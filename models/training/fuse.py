#!/usr/bin/env python3
"""Learns how two embedders judge together, and writes the fusion card of the confirming stage.

in   --first CARD.toml, --second CARD.toml, each with its `.tflite` beside it; --cache FOLDER
     (prepare.py, people.py); --first-vectors FILE, --second-vectors FILE: `deepid-edge evaluate vectors`
     of photographs of strangers by each, averaged with the mirror image; may be repeated, for several
     folders; --labels TABLE.csv, --same TABLE.csv: of these (balanced.py); --id ID, --date YYYY-MM-DD
out  --out ID.fusion.toml in the format of models/README.md: the gate, the weights, the thresholds

The gate is the score of the first below which nothing is confirmed; a pair below it is no match,
whatever the second would have said. Gate and weights are chosen on the validation people, who show
true matches; how many of these are missed is counted on the calibration people: nobody is in both, and
LFW is not looked at. Thresholds are those of the group of strangers that fares worst, the average
beside them, as a card's own (balanced.py): two people of the same group, sex and age.
Both are averaged with the mirror image and centred by their cards, as the daemon does by default.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import balanced
import numpy as np
import scores
from embedder import Carded, carded
from evaluate import held_back
from tables import calibrations, rate, text

# Of true matches the gate may lose so many: the second embedder cannot bring them back.
GATE_MISSES = 0.001
# Weights are chosen for few misses at this rate of false matches.
CHOOSING_RATE = 1e-4
WEIGHTS = np.round(np.arange(0.0, 1.01, 0.05), 2)
# What a fused score is where the first stays below the gate: below every cosine's threshold.
NO_MATCH = -1.0


@dataclass
class Compared:
    """Every two faces: the first's score, the second's, and whether they show one person."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    people: int


@dataclass
class Strangers:
    """People of groups by both embedders: unit vectors in the same order."""

    people: balanced.People
    first: np.ndarray
    second: np.ndarray


def compared(first: Carded, second: Carded, cache: Path, part: str) -> Compared:
    wides, persons = held_back(cache, part)
    upper = np.triu_indices(len(persons), 1)
    ours, theirs = (scores.all_likenesses(of.vectors(wides), "cosine")[upper] for of in (first, second))
    return Compared(ours, theirs, (persons[:, None] == persons[None, :])[upper], len(set(persons.tolist())))


def fused(first: np.ndarray, second: np.ndarray, gate: float, weight: float) -> np.ndarray:
    """`weight` is the second's; below the gate no score reaches any threshold."""
    return np.where(first >= gate, (1.0 - weight) * first + weight * second, NO_MATCH)


def chosen(pairs: Compared) -> tuple[float, float]:
    """Gate and the second's weight."""
    gate = round(float(np.quantile(pairs.first[pairs.same], GATE_MISSES)), 3)
    missed = []
    for weight in WEIGHTS:
        both = fused(pairs.first, pairs.second, gate, float(weight))
        missed.append(scores.miss_rate_at(both[pairs.same], both[~pairs.same], CHOOSING_RATE))
        print(f"fuse: weight of the second {weight:.2f}: {100 * missed[-1]:.2f} % missed at {CHOOSING_RATE:g}", flush=True)
    return gate, float(WEIGHTS[int(np.argmin(missed))])


def strangers(vectors: tuple[balanced.Vectors, balanced.Vectors], means: tuple[np.ndarray, np.ndarray], people_of: Callable[[list[str]], balanced.People]) -> Strangers:
    """Who of the files with a vector of both counts: the landmark network of one may deny a face."""
    places = [{file: i for i, file in enumerate(of.files)} for of in vectors]
    files = [file for file in vectors[0].files if file in places[1]]
    people = people_of(files)
    both = []
    for of, place, mean in zip(vectors, places, means, strict=True):
        rows = of.features[[place[files[i]] for i in people.places]]
        both.append(scores.prepared(rows.astype(np.float32), "cosine", mean.astype(np.float32)))
    return Strangers(people, *both)


def impostors(them: Strangers, gate: float, weight: float) -> list[np.ndarray]:
    """Fused scores of two people of the same group, sex and age, for each group."""

    def likeness(members: np.ndarray) -> np.ndarray:
        return fused(*(scores.all_likenesses(of[members], "cosine") for of in (them.first, them.second)), gate, weight)

    return balanced.of_pairs(them.people, likeness)


def card(options: argparse.Namespace, first: Carded, second: Carded, them: Strangers) -> str:
    gate, weight = chosen(compared(first, second, options.cache, "validation"))
    groups = impostors(them, gate, weight)
    measured = balanced.calibrated(groups, them.people.names, "cosine")
    for point in measured["calibration"]:
        print(f"fuse: {point['rate']:g}: {point['threshold']:.4f} ({point['group'] or 'by the slope of all'}; average {point['average']:.4f})", flush=True)
    pairs = compared(first, second, options.cache, "calibration")
    mated = fused(pairs.first, pairs.second, gate, weight)[pairs.same]
    missed = ", ".join(f"{100 * float((mated < p['threshold']).mean()):.1f} % at {rate(p['rate'])}" for p in measured["calibration"])
    passed = [float((of > NO_MATCH).mean()) for of in groups]
    counted = len(them.people.places), sum(len(of) for of in groups)
    document = {
        "one_crop": {}, "mirrored": {"cosine": measured}, "people": counted[0], "non_mated": counted[1],
        "source": balanced.SOURCE.format(people=counted[0], groups=len(groups), date=options.date),
    }  # fmt: skip
    chosen_on = (
        f"Gate and weights chosen on {pairs.people} people of CelebA who are held out of training, {options.date}, by models/training/fuse.py; "
        f"of {len(mated):,} true matches of {pairs.people} others are missed at these thresholds: {missed}"
    )
    limitations = [
        f"The gate lets {100 * min(passed):.1f} to {100 * max(passed):.1f} % of strangers' comparisons within a group through to {second.id}, and loses {100 * float((mated == NO_MATCH).mean()):.2f} % of true matches.",
        "True matches are of web photographs of public figures, years apart. A network that others trained may have seen these people: the misses are then too few.",
        "A door grants only whom the first embedder finds by its own threshold too: it misses what that one misses, and a little more.",
    ]
    lines = [
        "# Written by models/training/fuse.py. Format: models/README.md",
        f"id = {text(options.id)}", f"title = {text(f'{first.id}, confirmed by {second.id}')}",
        f"first = {{ id = {text(first.id)}, sha256 = {text(first.sha256)} }}",
        f"second = {{ id = {text(second.id)}, sha256 = {text(second.sha256)} }}",
        f"gate = {gate}", f"weights = [{round(1.0 - weight, 2)}, {weight}]", "mirrored = true", "",
        "[provenance]", 'licence = "MIT OR Apache-2.0 for this file; those of both networks for what it needs"',
        f"source = {text(chosen_on)}",
        "limitations = [", *(f"    {text(w)}," for w in limitations), "]",
        *calibrations(document, options.date), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("first", "second", "cache", "labels", "same", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("first-vectors", "second-vectors"):
        parser.add_argument(f"--{name}", type=Path, action="append", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--date", required=True)
    options = parser.parse_args()
    facts = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (options.first, options.second)]
    paths = (options.first_vectors, options.second_vectors)
    vectors = [balanced.read_of(of, told, True) for of, told in zip(paths, facts, strict=True)]
    models = carded(options.first), carded(options.second)
    same = balanced.same_people(options.same)
    them = strangers(tuple(vectors), tuple(model.mean for model in models), lambda files: balanced.of_table(options.labels, files, same))
    options.out.write_text(card(options, *models, them), encoding="utf-8")
    print(f"fuse: wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
