#!/usr/bin/env python3
"""Thresholds and a cohort that hold for the group of people that fares worst.

in   --vectors FILE --one-crop FILE: `deepid-edge evaluate vectors` of photographs of strangers, averaged
     with the mirror image and not; may be repeated, for several folders; --labels TABLE.csv with the
     columns file, race, gender, age; --same TABLE.csv: pairs of one person (same_person.py), which are
     not counted; --card CARD.toml; --date
out  --write: the `[[calibration]]` tables of the card, replaced; --out FILE.json: the same as a
     document for card.py (--evaluation); --cohort FILE.safetensors: strangers, every group in equal
     parts, for `deepid-edge calibrate` (format: models/README.md)

The pairs are the zero-effort impostors of NIST's FRVT part 3 (Grother et al. 2019): two strangers of
the same group, sex and age. A threshold is that of the group whose strangers match most often; the
average, every group weighing the same, stands beside it.
Invariants: adults alone; nobody whom a network was trained on, or who is reported on. Deliberately
absent: pictures and names of people. In the cohort a group is a number beside the vector.
"""

from __future__ import annotations

import argparse
import csv
import json
import struct
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import coding
import numpy as np
import scores
import tables

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
# A group claims a rate only where this many of its pairs reach the threshold: with 8, the 95 %
# interval spans from half to twice the rate.
EVENTS_MIN = 8
TOLD = 1e-3
AGES = {"20-29": 20, "30-39": 30, "40-49": 40, "50-59": 50, "60-69": 60, "more than 70": 60}
BYTES_MAX = 1_000_000
SOURCE = "FairFace (Karkkainen and Joo 2021), training part: {people:,} adults of {groups} groups, no picture of them in training or in the report, cut closer than a door accepts, {date}"


@dataclass(frozen=True)
class Vectors:
    """What `evaluate vectors` wrote."""

    files: list[str]
    features: np.ndarray
    metadata: dict[str, str]


@dataclass(frozen=True)
class People:
    """Adults of the table with a vector: where, of which group, and who is alike to whom."""

    places: np.ndarray
    groups: np.ndarray
    names: list[str]
    alike: np.ndarray
    same: frozenset[tuple[int, int]] = frozenset()


def read(path: Path) -> Vectors:
    """Every face: FairFace's pictures cut faces closer than a door accepts, so that 'usable' says little of them."""
    stored = path.read_bytes()
    length = struct.unpack("<Q", stored[:8])[0]
    header = json.loads(stored[8 : 8 + length])
    begin, end = header["features"]["data_offsets"]
    features = np.frombuffer(stored[8 + length + begin : 8 + length + end], dtype="<f4")
    metadata = header["__metadata__"]
    return Vectors(json.loads(metadata["files"]), features.reshape(header["features"]["shape"]), metadata)


def joined(parts: list[Vectors]) -> Vectors:
    """Several folders as one."""
    if len({part.metadata["procedure"] for part in parts}) != 1:
        raise SystemExit("balanced: the vectors were made in different ways; make them anew with one program and one card")
    return Vectors([file for part in parts for file in part.files], np.concatenate([part.features for part in parts]), parts[0].metadata)


def read_of(paths: list[Path], facts: dict, mirrored: bool) -> Vectors:
    """Several folders' vectors as one, made by the network and the averaging that `facts`, a card, and `mirrored` name."""
    vectors = joined([read(path) for path in paths])
    for key, right in (("model", facts["id"]), ("sha256", facts["sha256"]), ("mirrored", str(mirrored).lower())):
        if vectors.metadata[key] != right:
            raise SystemExit(f"balanced: the vectors' {key} is '{vectors.metadata[key]}', '{right}' is right")
    return vectors


def same_people(path: Path) -> dict[tuple[str, str], str]:
    """Pairs of files that show one person, and who says so: the teacher's cosine, or "eye"."""
    with path.open(encoding="utf-8", newline="") as stored:
        return {(row["file_x"], row["file_y"]): row["teacher"] for row in csv.DictReader(stored)}


def of_table(path: Path, files: list[str], same: dict[tuple[str, str], str] | None = None) -> People:
    """Adults alone: children look far more alike to these networks, and no door should rely on that."""
    places = {name: i for i, name in enumerate(files)}
    with path.open(encoding="utf-8", newline="") as stored:
        rows = [row for row in csv.DictReader(stored) if row["age"] in AGES and row["file"] in places]
    if not rows:
        raise SystemExit(f"balanced: {path}: no adult of it has a vector; take vectors of the folder that its column 'file' is relative to")
    names = sorted({row["race"] for row in rows})
    kinds = sorted({(row["race"], row["gender"], AGES[row["age"]]) for row in rows})
    numbers = {row["file"]: number for number, row in enumerate(rows)}
    pairs = [(numbers[a], numbers[b]) for a, b in same or {} if a in numbers and b in numbers]
    return People(
        np.array([places[row["file"]] for row in rows]),
        np.array([names.index(row["race"]) for row in rows]),
        names,
        np.array([kinds.index((row["race"], row["gender"], AGES[row["age"]])) for row in rows]),
        frozenset((min(pair), max(pair)) for pair in pairs),
    )


def impostors(features: np.ndarray, people: People, metric: str, mean: np.ndarray) -> list[np.ndarray]:
    """Likenesses of two people of the same group, sex and age, for each group; higher is more alike."""
    vectors = scores.prepared(features[people.places].astype(np.float32), metric, mean.astype(np.float32))
    return of_pairs(people, lambda members: scores.all_likenesses(vectors[members], metric))


def of_pairs(people: People, likeness: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """The same of any likeness: `likeness` gives that of every two of some people, by their numbers."""
    found: list[list[np.ndarray]] = [[] for _ in people.names]
    for kind in np.unique(people.alike):
        members = np.flatnonzero(people.alike == kind)
        counted = np.triu(np.ones((len(members), len(members)), dtype=bool), 1)
        position = {int(member): i for i, member in enumerate(members)}
        for one, other in people.same:
            if one in position and other in position:
                counted[position[one], position[other]] = False
        found[people.groups[members[0]]].append(likeness(members)[counted])
    return [np.sort(np.concatenate(of)) for of in found]


def rate_at(ordered: np.ndarray, threshold: float) -> float:
    return 1.0 - np.searchsorted(ordered, threshold) / len(ordered)


def on_average(groups: list[np.ndarray], rate: float) -> float:
    """The threshold at which the mean of the groups' rates is `rate`, by bisection."""
    low, high = min(g[0] for g in groups), max(g[-1] for g in groups)
    for _ in range(50):
        middle = (low + high) / 2.0
        if np.mean([rate_at(g, middle) for g in groups]) > rate:
            low = middle
        else:
            high = middle
    return float(high)


def calibrated(groups: list[np.ndarray], names: list[str], metric: str) -> dict:
    """Thresholds of the worst group, with its name, the interval of its rate, and the average."""
    sense = 1.0 if metric == "cosine" else -1.0
    points: list[dict] = []
    lonely = [name for name, of in zip(names, groups, strict=True) if not len(of)]
    if lonely:
        raise SystemExit(f"balanced: nobody of {', '.join(lonely)} has another of the same sex and age to be compared with: take more photographs of them, or leave the group out of the table")
    for rate in RATES:
        average = on_average(groups, rate)
        if rate * min(len(g) for g in groups) >= EVENTS_MIN:
            thresholds = [scores.threshold_at(g, rate) for g in groups]
            worst = int(np.argmax(thresholds))
            threshold, group, counted = thresholds[worst], names[worst], groups[worst]
        elif points and rate * sum(len(g) for g in groups) >= EVENTS_MIN:
            # No group has enough pairs by itself: the worst one's last threshold, and from there on as
            # all groups together, in equal parts, go on.
            threshold = sense * points[-1]["threshold"] + average - sense * points[-1]["average"]
            group, counted = None, np.sort(np.concatenate(groups))
        else:
            break
        reached = rate_at(counted, threshold if group else average)
        interval = scores.wilson(round(reached * len(counted)), len(counted))
        points.append({"rate": rate, "threshold": sense * threshold, "interval": list(interval), "group": group, "average": sense * average})
    told = next((point for point in points if point["rate"] == TOLD), None)
    if told is None:
        fewest = min(range(len(names)), key=lambda group: len(groups[group]))
        raise SystemExit(f"balanced: {len(groups[fewest])} pairs of {names[fewest]} show no rate of {TOLD:g}, which a card needs: take photographs for {EVENTS_MIN / TOLD:,.0f} pairs or more")
    # Where a rate goes on by the slope of all groups, it goes on from the last group that had one.
    worst = [point["group"] for point in points[: points.index(told) + 1] if point["group"]][-1]
    others = {name: rate_at(g, sense * told["threshold"]) for name, g in zip(names, groups, strict=True)}
    return {"calibration": points, "worst_group": worst, "rates_of_groups_at_1e-3": others}


def calibration(mirrored: Vectors, one_crop: Vectors, labels: Path, same: dict[tuple[str, str], str], mean: np.ndarray, date: str) -> dict:
    document: dict = {}
    for name, vectors in (("one_crop", one_crop), ("mirrored", mirrored)):
        people = of_table(labels, vectors.files, same)
        document[name] = {}
        for metric in scores.METRICS:
            groups = impostors(vectors.features, people, metric, mean)
            document[name][metric] = calibrated(groups, people.names, metric)
            document["people"], document["non_mated"] = len(people.places), sum(len(g) for g in groups)
    document["source"] = SOURCE.format(people=document["people"], groups=len(people.names), date=date)
    return document


def rewritten(text: str, lines: list[str]) -> str:
    """The card with other calibrations; everything else stays."""
    before, _, rest = text.partition("\n[[calibration]]\n")
    if not rest:
        raise SystemExit("balanced: the card has no [[calibration]]; write it with card.py first")
    features = rest[rest.index("\n[features]\n") :]
    return before.rstrip("\n") + "\n" + "\n".join(lines) + "\n" + features


def strangers(vectors: Vectors, people: People, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` people of each group in an order drawn by chance, and their groups."""
    chosen = [rng.permutation(np.flatnonzero(people.groups == g))[:count] for g in range(len(people.names))]
    if any(len(of) < count for of in chosen):
        raise SystemExit(f"balanced: a group has {min(map(len, chosen))} adults, {count} are wanted: take more photographs, or --faces")
    drawn = rng.permutation(np.concatenate(chosen))
    return vectors.features[people.places[drawn]], people.groups[drawn].astype(np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("vectors", "one-crop"):
        parser.add_argument(f"--{name}", type=Path, action="append", required=True)
    for name in ("labels", "card", "same"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--bytes", type=int, default=BYTES_MAX, help="of the cohort at most: the package has a limit, and its cohort a part of it")
    parser.add_argument("--write", action="store_true", help="replace the card's calibrations")
    parser.add_argument("--faces", type=int, help="of each group in the cohort; without it as many as the smallest group has. 3,000 can show a rate of 1e-3")
    for name in ("out", "cohort"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args()
    text = options.card.read_text(encoding="utf-8")
    facts = tomllib.loads(text)
    mirrored, one_crop = read_of(options.vectors, facts, True), read_of(options.one_crop, facts, False)
    same = same_people(options.same)
    mean = np.array(facts["features"].get("mean", [0.0] * facts["features"]["length"]))
    document = calibration(mirrored, one_crop, options.labels, same, mean, options.date)
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.write:
        options.card.write_text(rewritten(text, tables.calibrations(document, options.date)), encoding="utf-8")
    for crops in ("one_crop", "mirrored"):
        for metric, measured in document[crops].items():
            points = ", ".join(f"{p['rate']:g}: {p['threshold']:.4g} ({p['group'] or 'by the slope of all'}; average {p['average']:.4g})" for p in measured["calibration"])
            print(f"balanced: {facts['id']}, {crops}, {metric}: {points}")
    if options.cohort:
        people = of_table(options.labels, mirrored.files)
        faces = options.faces or int(np.bincount(people.groups).min())
        features, groups = strangers(mirrored, people, faces, np.random.default_rng(21))
        metadata = {
            "schema": "2", "model": facts["id"], "sha256": facts["sha256"], "procedure": mirrored.metadata["procedure"], "mirrored": "true",
            "people": str(len(groups)), "groups": json.dumps(people.names), "source": document["source"],
        }  # fmt: skip
        packed = coding.packed(features, groups, mean, metadata, min(options.bytes, BYTES_MAX))
        options.cohort.write_bytes(packed)
        print(f"balanced: {len(groups)} strangers, {faces} of each group, in {options.cohort} ({len(packed):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
