"""Takes from the leading directions of feature space what they weigh above the others.

in   feature vectors of several sets of faces, each set × features
out  a mean and a symmetric matrix: `(vector − mean) @ matrix` is what should be compared

What faces have in common with many others (the kind of photograph, sex, age, origin) spreads feature
vectors more than what tells one person from the next, and a small network, which is sure of the
former alone, spreads them further. Two strangers of one group then look alike to it. The spread along
each of the leading principal directions is made that of the first one after them; every set weighs
the same, so that the largest does not decide what is common.
Source: removing the dominating directions of a representation, Mu and Viswanath 2018
(arXiv 1702.01417); here they are shortened, not removed.
Deliberately absent: labels of groups, and persons' numbers: none is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Chosen on the validation people: of 0, 1, 2, 4, 8, 16 and 32 the most that costs no missed match.
COMPONENTS = 16
# Of a space of few dimensions no more than this share is equalised.
SHARE_MAX = 1 / 8


@dataclass(frozen=True)
class Equaliser:
    """`mean` has as many numbers as a feature vector, `matrix` that many squared."""

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.mean) @ self.matrix


def learn(sets: list[np.ndarray], components: int = COMPONENTS) -> Equaliser:
    """From the same number of faces of each set, spread evenly over it."""
    count = min(len(of) for of in sets)
    faces = np.concatenate([of[np.linspace(0, len(of) - 1, count).astype(int)] for of in sets]).astype(np.float64)
    mean = faces.mean(0)
    variances, directions = np.linalg.eigh(np.cov((faces - mean).T))
    components = min(components, int(SHARE_MAX * len(variances)))
    most = max(1e-12, variances[-components - 1])
    scales = np.sqrt(most / np.maximum(variances, most))
    return Equaliser(mean.astype(np.float32), ((directions * scales) @ directions.T).astype(np.float32))
