"""Which people look alike to a teacher.

in   teacher's vectors of faces; whose each face is
out  groups of about as many kinds of people, by sex, age and origin, though nobody labelled them
"""

from __future__ import annotations

import numpy as np
from scores import unit

GROUPS = 24
ROUNDS = 30


def lookalikes(vectors: np.ndarray, count: int) -> np.ndarray:
    """The number of the group that each vector falls into: k-means by the cosine, from a fixed start."""
    count = min(count, len(vectors))
    centred = unit(vectors - vectors.mean(0))
    centres = centred[np.random.default_rng(0).choice(len(centred), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = (centred @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, centred)
        centres = unit(np.where(np.bincount(nearest, minlength=count)[:, None] > 0, sums, centres))
    return nearest


def grouped(
    train: np.ndarray, persons: np.ndarray, vectors: np.ndarray | None, count: int = GROUPS
) -> list[tuple[list[np.ndarray], np.ndarray]]:
    """Groups of Data, without those of nobody; one group of all where there is no teacher."""
    named = train[persons[train] >= 0]
    order = named[np.argsort(persons[named], kind="stable")]
    people = [p for p in np.split(order, np.flatnonzero(np.diff(persons[order])) + 1) if len(p) > 1]
    nameless = train[persons[train] < 0]
    if not people:
        return []
    if vectors is None:
        return [(people, nameless)]
    means = np.stack([vectors[p].mean(0) for p in people])
    of = lookalikes(np.concatenate([means, vectors[nameless]]), count)
    groups = []
    for number in range(of.max() + 1):
        members = [p for p, n in zip(people, of, strict=False) if n == number]
        if members:
            groups.append((members, nameless[of[len(people) :] == number]))
    return groups
