"""Which square of a picture a liveness network sees: the rule of the card's `crop`.

in   a picture, the box of a face in it [left, top, right, bottom], `crop` in longer sides of the box
out  the square, moved inside the picture, shrunk when it is larger; resized to the network's input

Looks finds the box as the daemon does: the full range on the whole picture, or the short range where
that sees nobody, then the short range in a square of 3.5 widths around what was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import faces
import numpy as np
from blazeface import Detector

CLOSER = 3.5
LONG_RANGE = "face_detection_full_range_sparse"


@dataclass(frozen=True)
class Square:
    left: float
    top: float
    side: float


def square_of(box: np.ndarray, crop: float, height: int, width: int) -> Square:
    """Centred on the box; moved and shrunk so that it lies inside the picture."""
    side = min(crop * max(box[2] - box[0], box[3] - box[1]), float(min(height, width)))
    centre = (box[:2] + box[2:]) / 2.0
    left = float(np.clip(centre[0] - side / 2.0, 0.0, width - side))
    top = float(np.clip(centre[1] - side / 2.0, 0.0, height - side))
    return Square(left, top, float(side))


def cut(picture: np.ndarray, square: Square, side: int, area: bool = True) -> np.ndarray:
    """The square at `side` pixels: shrinking averages (or samples, without `area`), enlarging interpolates."""
    step = square.side / side
    matrix = np.eye(2) * step
    return faces.warp(picture, matrix, np.array([square.left, square.top]), side, side, samples=None if area else 1)


def jittered(box: np.ndarray, rng: np.random.Generator, scale: float = 0.08, shift: float = 0.06) -> np.ndarray:
    """The box as another detector, or the same in another frame, might have it."""
    size = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2.0 + rng.normal(0, shift, 2) * size
    half = size / 2.0 * np.exp(rng.normal(0, scale))
    return np.concatenate([centre - half, centre + half])


class Looks:
    """Finds boxes of faces as the daemon does."""

    def __init__(self, models: Path = faces.ROOT / "assets" / "models") -> None:
        self.close = faces.Finder(models)
        self.far = faces.Finder(models)
        self.far.detector = Detector(str(models / f"{LONG_RANGE}.tflite"), LONG_RANGE)

    def around(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """The short range's box in a square around `box`; None where it sees nobody there."""
        height, width = picture.shape[:2]
        size, centre = float(max(box[2:] - box[:2])), (box[:2] + box[2:]) / 2.0
        side = int(round(CLOSER * size))
        left, top = (int(round(v - side / 2.0)) for v in centre)
        low, high = (max(0, left), max(0, top)), (min(width, left + side), min(height, top + side))
        if high[0] - low[0] < 16 or high[1] - low[1] < 16:
            return None
        part = picture[low[1] : high[1], low[0] : high[0]]
        best, rank = None, 2.0 * size
        for face in self.close.detect(part):
            found = face["box"] + np.array([*low, *low])
            away = float(np.linalg.norm((found[:2] + found[2:]) / 2.0 - centre)) + abs(float(max(found[2:] - found[:2])) - size)
            if away < rank:
                best, rank = found, away
        return best

    def largest(self, picture: np.ndarray) -> np.ndarray | None:
        """The box of the largest face, looked at once more from close by."""
        found = self.far.detect(picture) or self.close.detect(picture)
        if not found:
            return None
        box = max((f["box"] for f in found), key=lambda b: float(b[2] - b[0]))
        near = self.around(picture, box)
        return box if near is None else near
