"""Error rates of presentation attack detection (ISO/IEC 30107-3), from scores that are higher for live faces.

in   scores, and which of them are live
out  AUC; thresholds; APCER, the share of attacks taken for live; BPCER, the share of live ones taken for attacks

A score at the threshold counts as live.
"""

from __future__ import annotations

import numpy as np


def auc(live: np.ndarray, attack: np.ndarray) -> float:
    """How often a live score is above an attack's; ties count half."""
    if not len(live) or not len(attack):
        return float("nan")
    every = np.concatenate([live, attack])
    order = np.argsort(every, kind="stable")
    ranks = np.empty(len(every))
    ranks[order] = np.arange(1, len(every) + 1)
    values, where, counts = np.unique(every, return_inverse=True, return_counts=True)
    mean_ranks = np.bincount(where, weights=ranks, minlength=len(values)) / counts
    return float((mean_ranks[where[: len(live)]].sum() - len(live) * (len(live) + 1) / 2) / (len(live) * len(attack)))


def bpcer(live: np.ndarray, threshold: float) -> float:
    return float((live < threshold).mean()) if len(live) else float("nan")


def apcer(attack: np.ndarray, threshold: float) -> float:
    return float((attack >= threshold).mean()) if len(attack) else float("nan")


def threshold_at(live: np.ndarray, rate: float) -> float:
    """The highest threshold that refuses no more than `rate` of the live scores."""
    ordered = np.sort(live)
    return float(ordered[min(int(np.floor(rate * len(ordered))), len(ordered) - 1)])


def equal_error(live: np.ndarray, attack: np.ndarray) -> float:
    thresholds = np.unique(np.concatenate([live, attack]))
    wrong = [(abs(bpcer(live, t) - apcer(attack, t)), (bpcer(live, t) + apcer(attack, t)) / 2) for t in thresholds[:: max(1, len(thresholds) // 2000)]]
    return float(min(wrong)[1])


def interval(wrong: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not count:
        return float("nan"), float("nan")
    share, square = wrong / count, z * z
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = z / (1 + square / count) * np.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)
