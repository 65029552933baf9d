#!/usr/bin/env python3
"""Makes faces of nobody out of two that are trained on, and asks the teachers about them.

in   --cache FOLDER (prepare.py, people.py), --each N blends for every face
out  CACHE/blends.npz          `pairs`, blends × 2: numbers of faces, all sets of people.json one after
                               another; `shares`: how much of the first, the rest is the second's
     CACHE/blends.TEACHER.npy  blends × features float16, of unit length

A teacher that has seen millions of people says more than names tell of thousands: what it finds in a
face between two others is a lesson too, of which there are as many as one likes.
Source: distillation on mixed pictures, Beyer et al. 2022 (arXiv 2106.05237); mixing: Zhang et al. 2018
(arXiv 1710.09412). Half of the second faces look like the first ones: a blend of those could be somebody.
Invariant: faces held back, or of people in LFW, are in no blend.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from cached import BLENDS, Blends, load
from lookalikes import GROUPS, lookalikes
from prepare import ask_teacher
from teachers import TEACHERS

SHARE = (0.35, 0.65)


def chosen(train: np.ndarray, vectors: np.ndarray, each: int, rng: np.random.Generator) -> Blends:
    """For every face `each` others, half of them of its own group of look-alikes."""
    group = lookalikes(vectors[train], GROUPS)
    members = [np.flatnonzero(group == number) for number in range(group.max() + 1)]
    pairs = []
    for turn in range(each):
        other = rng.integers(len(train), size=len(train))
        alike = np.flatnonzero((np.arange(len(train)) + turn) % 2)
        other[alike] = [rng.choice(members[group[i]]) for i in alike]
        pairs.append(np.stack([train, train[other]], axis=1))
    pairs = np.concatenate(pairs)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return Blends(pairs, rng.uniform(*SHARE, len(pairs)).astype(np.float32))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of checkouts, for the teachers' files")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--each", type=int, default=1, help="blends of every face")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--teachers", nargs="+", default=list(TEACHERS))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    (options.cache / BLENDS).unlink(missing_ok=True)
    data = load(options.cache, options.teachers, in_memory=False)
    blends = chosen(data.train, data.teacher, options.each, np.random.default_rng(options.seed))
    count = len(blends.pairs)
    for teacher in options.teachers:
        crops = (blends.crop(number, data.crop) for number in range(count))
        np.save(options.cache / f"blends.{teacher}.npy", ask_teacher("blends", teacher, options.data, crops, count, options.workers))
    # Last: blends are there when all that belongs to them is.
    np.savez(options.cache / BLENDS, pairs=blends.pairs, shares=blends.shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
