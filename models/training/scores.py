"""Comparing feature vectors and counting errors, as the daemon does and as LFW's protocol asks.

in   features (faces × 160), persons' numbers, or LFW's pairs
out  scores by metric, false match and non-match rates, thresholds, LFW accuracy

Higher means more alike for the cosine, lower for the two distances; `likeness` turns distances
around, so that everything here has one direction.
Sources: LFW protocol: Huang et al. 2007; rates: ISO/IEC 19795-1; interval: Wilson 1927.
"""

from __future__ import annotations

import numpy as np

METRICS = ("cosine", "euclidean", "euclidean-l2")


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def prepared(features: np.ndarray, metric: str, mean: np.ndarray) -> np.ndarray:
    """What is compared: centred and of unit length, as it is, or of unit length."""
    if metric == "cosine":
        return unit(features - mean)
    return unit(features) if metric == "euclidean-l2" else features


def likeness(one: np.ndarray, other: np.ndarray, metric: str) -> np.ndarray:
    """Of row i with row i; distances are negative."""
    if metric == "cosine":
        return (one * other).sum(-1)
    return -np.linalg.norm(one - other, axis=-1)


def all_likenesses(vectors: np.ndarray, metric: str) -> np.ndarray:
    products = vectors @ vectors.T
    if metric == "cosine":
        return products
    squares = np.diag(products)
    return -np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2.0 * products, 0.0))


def comparisons(features: np.ndarray, persons: np.ndarray, metric: str = "cosine", mean: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mated and non-mated likenesses of every two faces; without a mean, that of these faces."""
    vectors = prepared(features.astype(np.float32), metric, features.mean(0) if mean is None else mean)
    scores = all_likenesses(vectors, metric)
    upper = np.triu_indices(len(persons), 1)
    same = (persons[:, None] == persons[None, :])[upper]
    return scores[upper][same], scores[upper][~same]


def threshold_at(others: np.ndarray, rate: float) -> float:
    """The least threshold that at most `rate` of the non-mated reach; a score at it counts as a match."""
    allowed = int(np.floor(rate * len(others)))
    if allowed >= len(others):
        return float(others.min())
    highest = np.partition(others, len(others) - 1 - allowed)[len(others) - 1 - allowed]
    return float(np.nextafter(highest, np.inf))


def miss_rate_at(mated: np.ndarray, others: np.ndarray, rate: float) -> float:
    return float((mated < threshold_at(others, rate)).mean())


def equal_error_rate(mated: np.ndarray, others: np.ndarray) -> float:
    thresholds = np.unique(np.concatenate([mated, others]))
    missed = np.searchsorted(np.sort(mated), thresholds) / len(mated)
    matched = 1.0 - np.searchsorted(np.sort(others), thresholds) / len(others)
    at = int(np.abs(missed - matched).argmin())
    return float((missed[at] + matched[at]) / 2.0)


def area_under_curve(mated: np.ndarray, others: np.ndarray) -> float:
    """Chance that a mated score is above a non-mated one (Mann and Whitney)."""
    ordered = np.sort(others)
    below, not_above = np.searchsorted(ordered, mated), np.searchsorted(ordered, mated, side="right")
    return float((below + not_above).mean() / (2.0 * len(others)))


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The one that gets most pairs right; of equals the lowest."""
    order = np.argsort(-scores)
    right = np.cumsum(np.where(same[order], 1, -1))
    return float(scores[order][int(right.argmax())])


def tenfold(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """LFW View 2: accuracy, the threshold chosen on nine folds for the tenth; mean and standard error."""
    folds = np.arange(len(scores)) // (len(scores) // 10)
    right = []
    for fold in range(10):
        chosen = best_threshold(scores[folds != fold], same[folds != fold])
        test = folds == fold
        right.append(((scores[test] >= chosen) == same[test]).mean())
    return float(np.mean(right)), float(np.std(right, ddof=1) / np.sqrt(10))


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    share, slack = count / of, z * z / of
    middle = (share + slack / 2.0) / (1.0 + slack)
    half = z * np.sqrt(share * (1.0 - share) / of + slack / (4.0 * of)) / (1.0 + slack)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
