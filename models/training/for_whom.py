#!/usr/bin/env python3
"""False matches by group of people, of one embedder or of two that judge together, at a card's threshold.

in   --vectors FILE: `deepid-edge evaluate vectors` of photographs of strangers, averaged with the mirror
     image; may be repeated, for several folders; --labels TABLE.csv, --same TABLE.csv (balanced.py);
     --card CARD.toml of the network; --rate 1e-3, whose threshold is asked about.
     For two: --second-vectors FILE, --second CARD.toml, --fusion ID.fusion.toml
     --london TABLE.csv in place of --labels and --same: vectors of the Face Research Lab London Set, by
     the set's own table (data.toml); two people of a group are then of any sex and age
out  a Markdown table: of each group how many pairs of two people of the same sex and age match. Of two
     embedders also how many do by both, as at a door: by the first's own threshold for the rate and
     by the fused one

Intervals by Wilson, as if comparisons were independent. For the report: give photographs that nothing
was chosen or calibrated by.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import balanced
import fuse
import numpy as np
import scores


def threshold_of(card: dict, rate: float) -> float:
    """The cosine's threshold for `rate`, mirrored average."""
    table = next((t for t in card.get("calibration", []) if t["metric"] == "cosine" and t["mirrored"]), None)
    found = next((threshold for at, threshold in table["points"] if np.isclose(at, rate)), None) if table else None
    if found is None:
        raise SystemExit(f"for_whom: {card['id']} has no threshold of the mirrored cosine for {rate:g}: ask for a rate of its card")
    return float(found)


def told(matched: np.ndarray) -> str:
    if not len(matched):
        return "no two people"
    low, high = scores.wilson(int(matched.sum()), len(matched))
    return f"{100 * matched.mean():.3f} % ({int(matched.sum())} of {len(matched):,}; {100 * low:.3f} to {100 * high:.3f})"


def rows(names: list[str], groups: list[list[np.ndarray]]) -> Iterator[str]:
    """`groups`: of each kind of match, of each group, which pairs match."""
    for name, *matched in zip(names, *groups, strict=True):
        yield f"| {name} | " + " | ".join(told(of) for of in matched) + " |"


def of_london(table: Path, files: list[str]) -> balanced.People:
    """Everybody of the London Set with a vector, by ethnicity; the photographs of one person are no strangers."""
    with table.open(encoding="utf-8", newline="") as stored:
        groups = {row["face_id"]: row["face_eth"].replace("_", " ") for row in csv.DictReader(stored)}
    persons = [Path(file).parts[0] for file in files]
    known = np.array([i for i, person in enumerate(persons) if person in groups])
    if not len(known):
        raise SystemExit(f"for_whom: {table}: none of its people has a vector; take vectors of the folder with ID/neutral.jpg")
    names = sorted({groups[persons[i]] for i in known})
    of = np.array([names.index(groups[persons[i]]) for i in known])
    same = {(a, b) for b in range(len(known)) for a in range(b) if persons[known[a]] == persons[known[b]]}
    return balanced.People(known, of, names, of, frozenset(same))


def alone(vectors: np.ndarray, people: balanced.People, threshold: float) -> list[np.ndarray]:
    return balanced.of_pairs(people, lambda members: scores.all_likenesses(vectors[members], "cosine") >= threshold)


def at_a_door(them: fuse.Strangers, fusion: dict, thresholds: tuple[float, float]) -> list[np.ndarray]:
    """Who matches by the first's threshold and by the fused one."""

    def both(members: np.ndarray) -> np.ndarray:
        one, other = (scores.all_likenesses(of[members], "cosine") for of in (them.first, them.second))
        return (one >= thresholds[0]) & (fuse.fused(one, other, fusion["gate"], fusion["weights"][1]) >= thresholds[1])

    return balanced.of_pairs(them.people, both)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, required=True)
    for name in ("labels", "same", "london", "second", "fusion"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--vectors", type=Path, action="append", required=True)
    parser.add_argument("--second-vectors", type=Path, action="append")
    parser.add_argument("--rate", type=float, default=1e-3)
    options = parser.parse_args()
    two = (options.second, options.fusion, options.second_vectors)
    if any(two) and not all(two):
        parser.error("--second, --second-vectors and --fusion belong together")
    if not options.london and not (options.labels and options.same):
        parser.error("give --labels with --same, or --london")
    facts = tomllib.loads(options.card.read_text(encoding="utf-8"))
    vectors = balanced.read_of(options.vectors, facts, True)

    def people_of(files: list[str]) -> balanced.People:
        return of_london(options.london, files) if options.london else balanced.of_table(options.labels, files, balanced.same_people(options.same))

    threshold, mean = threshold_of(facts, options.rate), np.array(facts["features"]["mean"])
    if not all(two):
        people = people_of(vectors.files)
        unit = scores.prepared(vectors.features[people.places].astype(np.float32), "cosine", mean.astype(np.float32))
        print(f"| two people of one group match | {facts['id']}, {threshold:.3f} |\n|---|---|")
        print("\n".join(rows(people.names, [alone(unit, people, threshold)])))
        return 0
    second, fusion = (tomllib.loads(path.read_text(encoding="utf-8")) for path in (options.second, options.fusion))
    theirs = balanced.read_of(options.second_vectors, second, True)
    them = fuse.strangers((vectors, theirs), (mean, np.array(second["features"]["mean"])), people_of)
    at = threshold_of(fusion, options.rate)
    by_fused = [of >= at for of in fuse.impostors(them, fusion["gate"], fusion["weights"][1])]
    print(f"| two people of one group match | {facts['id']}, {threshold:.3f} | {fusion['id']}: fused, {at:.3f} | by both, as at a door |\n|---|---|---|---|")
    print("\n".join(rows(them.people.names, [alone(them.first, them.people, threshold), by_fused, at_a_door(them, fusion, (threshold, at))])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
