#!/usr/bin/env python3
"""Tries Joint Bayesian (Chen et al. 2012) in place of the cosine: learnt on some people, measured on others.

in   --card CARD.toml with its `.tflite` beside it; --cache FOLDER (prepare.py, people.py, with LFW),
     --data FOLDER of checkouts, for LFW's View 1; --vectors FILE and --london TABLE.csv: of the London Set
     (for_whom.py); --axes N of the principal ones, all without it; --people N…: learnt on so many, all
     without it
out  for the cosine and for Joint Bayesian: of the people held back for choosing, true matches missed at
     rates of false ones; LFW View 1's accuracy and equal error; of London, how many pairs of two people of
     one group match where the held back people have one false match in 1,000

A face is a person's mean and what varies, two normal distributions: a score is the logarithm of how much
more likely two vectors are if of one person. Learnt by expectation and maximisation on the people who
were trained on, whose vectors a network crowds together more than those of others.
Deliberately absent: anything that ships. docs/decisions/0019-the-cosine-and-not-joint-bayesian.md says what came of it.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import balanced
import for_whom
import numpy as np
import scores
from dataset import file_of
from embedder import carded
from evaluate import Lfw, held_back, read_pairs

STEPS = 60
PICTURES_MIN = 3
RATES = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Model:
    """score(x, y) = xᵀAx + yᵀAy − 2xᵀGy, of vectors less `mean`, on `axes`."""

    mean: np.ndarray
    axes: np.ndarray
    a: np.ndarray
    g: np.ndarray

    def prepared(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.mean) @ self.axes

    def all_scores(self, vectors: np.ndarray) -> np.ndarray:
        x = self.prepared(vectors)
        own = np.einsum("ij,jk,ik->i", x, self.a, x)
        return own[:, None] + own[None, :] - 2.0 * (x @ self.g @ x.T)

    def scores(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        x, y = self.prepared(one), self.prepared(other)
        own = sum(np.einsum("ij,jk,ik->i", of, self.a, of) for of in (x, y))
        return own - 2.0 * np.einsum("ij,jk,ik->i", x, self.g, y)


def learnt(vectors: np.ndarray, persons: np.ndarray, axes: int | None = None) -> Model:
    """By expectation and maximisation; people with fewer than PICTURES_MIN vectors say little and are left out."""
    names, counts = np.unique(persons, return_counts=True)
    kept = np.isin(persons, names[counts >= PICTURES_MIN])
    vectors, persons = vectors[kept].astype(np.float64), persons[kept]
    if len(set(persons.tolist())) < 2:
        raise SystemExit(f"joint_bayesian: fewer than two people have {PICTURES_MIN} faces: take more people")
    mean = vectors.mean(0)
    spread, directions = np.linalg.eigh(np.cov(vectors.T))
    count = min(axes or vectors.shape[1], int((spread > 1e-9 * spread[-1]).sum()))
    directions = directions[:, ::-1][:, :count]
    x = (vectors - mean) @ directions
    groups = [x[persons == name] for name in np.unique(persons)]
    between = np.cov(np.stack([of.mean(0) for of in groups]).T)
    within = sum((of - of.mean(0)).T @ (of - of.mean(0)) for of in groups) / len(x)
    for _ in range(STEPS):
        identities, residuals, known = np.zeros_like(between), np.zeros_like(within), {}
        for of in groups:
            m = len(of)
            if m not in known:
                known[m] = between @ np.linalg.inv(m * between + within)
            share = known[m]
            # The expected identity and residuals with the covariance of what is not known of them.
            identity = share @ of.sum(0)
            left = between - m * share @ between
            residual = of - identity
            identities += np.outer(identity, identity) + left
            residuals += residual.T @ residual + m * left
        between, within = identities / len(groups), residuals / len(x)
    total = between + within
    inverse = np.linalg.inv(within)
    g = -np.linalg.inv(2.0 * between + within) @ between @ inverse
    return Model(mean, directions, np.linalg.inv(total) - (inverse + g), g)


def told(name: str, mated: np.ndarray, others: np.ndarray) -> str:
    missed = ", ".join(f"{100 * scores.miss_rate_at(mated, others, rate):.1f} % at {rate:g}" for rate in RATES if rate * len(others) >= 10)
    return f"{name}: equal error {100 * scores.equal_error_rate(mated, others):.2f} %; missed {missed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("card", "cache", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("vectors", "london"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--axes", type=int)
    parser.add_argument("--people", type=int, nargs="*", default=[])
    options = parser.parse_args()
    network = carded(options.card)
    faces, persons = {}, {}
    for part in ("train", "validation"):
        wides, numbers = held_back(options.cache, part)
        # Faces without a name have the number -1.
        faces[part] = network.averaged(wide for wide, number in zip(wides, numbers, strict=True) if number >= 0)
        persons[part] = numbers[numbers >= 0]
    lfw, pairs = Lfw(options.cache), read_pairs(file_of("lfw-view1-pairs", options.data))
    pairs = [pair for pair in pairs if pair[0] in lfw.places and pair[1] in lfw.places]
    one, other = (network.averaged(lfw.wide(pair[i]) for pair in pairs) for i in (0, 1))
    same = np.array([pair[2] for pair in pairs])

    def cosine(of: np.ndarray) -> np.ndarray:
        return scores.prepared(of, "cosine", network.mean)

    ways: dict[str, tuple[Callable, Callable]] = {"cosine": (lambda of: cosine(of) @ cosine(of).T, lambda a, b: (cosine(a) * cosine(b)).sum(-1))}
    everybody = np.unique(persons["train"])
    for count in [*options.people, len(everybody)]:
        chosen = np.isin(persons["train"], everybody[:count])
        for kind, vectors in (("as they are", lambda of: of), ("of unit length", cosine)):
            model = learnt(vectors(faces["train"][chosen]), persons["train"][chosen], options.axes)
            ways[f"Joint Bayesian of {count} people, vectors {kind}"] = (
                lambda of, v=vectors, m=model: m.all_scores(v(of)),
                lambda a, b, v=vectors, m=model: m.scores(v(a), v(b)),
            )
    upper = np.triu_indices(len(persons["validation"]), 1)
    mated = (persons["validation"][:, None] == persons["validation"][None, :])[upper]
    print(f"{network.id}: learnt on {len(set(persons['train'].tolist()))} people, {len(persons['train'])} faces")
    for name, (every, pairwise) in ways.items():
        found = every(faces["validation"])[upper]
        print(told(f"{name}: held back", found[mated], found[~mated]))
        threshold = scores.threshold_at(found[~mated], 1e-3)
        view1 = pairwise(one, other)
        right = ((view1 >= scores.best_threshold(view1, same)) == same).mean()
        print(told(f"{name}: LFW View 1, {100 * right:.2f} % right at the best threshold", view1[same], view1[~same]))
        if options.vectors and options.london:
            stored = balanced.read_of([options.vectors], tomllib.loads(options.card.read_text(encoding="utf-8")), True)
            people = for_whom.of_london(options.london, stored.files)
            groups = balanced.of_pairs(people, lambda members, e=every: e(stored.features[people.places][members]) >= threshold)
            print("\n".join(for_whom.rows([f"{name}: London, {group}" for group in people.names], [groups])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
