#!/usr/bin/env python3
"""Finds pairs of a set of strangers that show one person: web sets without names have some.

in   --vectors FILE of `deepid-edge evaluate vectors`, may be repeated; --card CARD.toml of that network;
     --labels TABLE.csv (balanced.py); --images FOLDER; --data FOLDER of checkouts, for the teacher
     --known TABLE.csv: pairs that are known already, by "eye" too; without it those in --out
out  --out TABLE.csv (fairface-same.csv): `file_x`, `file_y` and the teacher's cosine, of each pair that
     it takes for one person, with the known ones

Only pairs of the same group, sex and age that the network finds alike are asked about: one that it does
not find alike cannot count as a false match, and one below SHARE counts little. A wrong answer either
way moves a rate of 1e-3 by a few parts in a hundred, where unasked pairs doubled it.
FairFace's pictures are aligned already (dlib's face chips): one similarity fits them all to the teacher.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tomllib
from pathlib import Path

import balanced
import numpy as np
import scores
from PIL import Image
from teachers import Teacher

# The share of a network's most alike pairs that is asked about: twice the rate of the
# threshold that a single reference needs.
SHARE = 2e-3
# Cosine of MobileFaceNet, cut so, from which two pictures count as one person's. Chosen by eye on 96
# pairs of half the adults: from 0.76 on all 35 show one person, below 0.7 hardly one of 48. What is missed between
# makes a threshold stricter.
SAME = 0.76
# Keypoints in FairFace's 224 × 224 pictures, mean over some by the daemon's detector, and where the
# teacher wants them (ArcFace's 112 × 112 frame).
FOUND = np.array([(72.0, 70.0), (152.0, 70.0), (113.0, 110.0), (112.0, 156.0)])
WANTED = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (56.1, 92.3)])


def alike(vectors: balanced.Vectors, people: balanced.People, mean: np.ndarray) -> list[tuple[float, str, str]]:
    """The most alike pairs of the same group, sex and age, SHARE of each group's, as files."""
    prepared = scores.prepared(vectors.features[people.places].astype(np.float32), "cosine", mean.astype(np.float32))
    groups = balanced.impostors(vectors.features, people, "cosine", mean)
    limits = [scores.threshold_at(g, SHARE) for g in groups]
    found = []
    for kind in np.unique(people.alike):
        members = np.flatnonzero(people.alike == kind)
        products = np.triu(prepared[members] @ prepared[members].T, 1)
        for one, other in zip(*np.nonzero(products >= limits[people.groups[members[0]]]), strict=True):
            files = (vectors.files[people.places[members[i]]] for i in (one, other))
            found.append((float(products[one, other]), *files))
    return found


def crop(picture: Image.Image) -> np.ndarray:
    """The teacher's 112 × 112 frame, by the least-squares similarity without a turn."""
    one, other = FOUND - FOUND.mean(0), WANTED - WANTED.mean(0)
    scale = float((one * other).sum() / (one * one).sum())
    left, top = FOUND.mean(0) - WANTED.mean(0) / scale
    box = (left, top, left + 112.0 / scale, top + 112.0 / scale)
    return np.asarray(picture.convert("RGB").resize((224, 224)).resize((112, 112), Image.Resampling.BILINEAR, box=tuple(np.clip(box, 0, 224))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=Path, action="append", required=True)
    for name in ("card", "labels", "images", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--known", type=Path)
    options = parser.parse_args()
    mean = np.array(tomllib.loads(options.card.read_text(encoding="utf-8"))["features"]["mean"])
    vectors = balanced.joined([balanced.read(path) for path in options.vectors])
    pairs = alike(vectors, balanced.of_table(options.labels, vectors.files), mean)
    before = options.known or options.out
    known = balanced.same_people(before) if options.known or before.is_file() else {}
    teacher, asked = Teacher("mobilefacenet", options.data), {}
    for number, (_, *files) in enumerate(sorted(pairs, reverse=True)):
        for file in files:
            if file not in asked:
                with Image.open(options.images / file) as picture:
                    asked[file] = teacher.embed(crop(picture))
        likeness = float(asked[files[0]] @ asked[files[1]])
        if likeness >= SAME:
            known[tuple(sorted(files))] = f"{likeness:.3f}"
        if number % 200 == 0:
            print(f"same_person: {number} of {len(pairs)} pairs, {len(known)} of one person", flush=True)
    with options.out.open("w", encoding="utf-8", newline="") as stored:
        rows = csv.writer(stored, lineterminator="\n")
        rows.writerow(["file_x", "file_y", "teacher"])
        rows.writerows([*files, said] for files, said in sorted(known.items()))
    print(f"same_person: {len(pairs)} pairs asked about, {len(known)} of one person in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
