"""Weighs the directions of feature space by what they tell of the teacher's vectors.

in   the projection that training learnt from features to the teacher's space (losses.py), the
     teacher's numbers × features
out  a symmetric matrix, features × features, that multiplies the features

Training compares faces by the projection alone (losses.py). The cosine of two feature vectors after this
matrix, (PᵀP)^½, is the cosine of their projections, and there are still as many features as the network's
paper says.
"""

from __future__ import annotations

import numpy as np


def matrix(projection: np.ndarray) -> np.ndarray:
    """Scaled so that the direction that weighs most keeps its length."""
    squares, directions = np.linalg.eigh(projection.T.astype(np.float64) @ projection)
    weights = np.sqrt(np.maximum(squares, 0.0))
    return ((directions * (weights / max(1e-12, weights.max()))) @ directions.T).astype(np.float32)
