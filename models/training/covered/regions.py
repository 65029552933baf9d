"""The parts of a face that a cover can hide, by the landmarks of Face Mesh, and how much of each is hidden.

in   landmarks 468 × 2 in pixels of a picture; `hidden` height × width, 0 … 1: how much of the face each pixel hides
out  for each of NAMES: 1 covered, 0 not, -1 neither (so little, or so much, that no label is right)

What people always wear hides nothing: clear spectacles, beards, hair and caps that leave the brows free.
"""

from __future__ import annotations

import cv2
import numpy as np

NAMES = ("eyes", "mouth", "brows", "cheeks")
NEITHER = -1
# From this share of a region on it is covered, and up to that share it is not.
COVERED = {"eyes": 0.45, "mouth": 0.55, "brows": 0.7, "cheeks": 0.65}
FREE = {"eyes": 0.22, "mouth": 0.12, "brows": 0.3, "cheeks": 0.2}

OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
# A brow and what lies between it and the eye.
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 173, 158, 160, 33)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 398, 385, 387, 263)
RIGHT_CHEEK = (117, 118, 119, 100, 36, 206, 214, 192, 213, 147, 123)
LEFT_CHEEK = (346, 347, 348, 329, 266, 426, 434, 416, 433, 376, 352)


def polygon(landmarks: np.ndarray, numbers: tuple[int, ...], grown: float = 1.0) -> np.ndarray:
    points = landmarks[list(numbers)].astype(np.float32)
    middle = points.mean(0)
    return middle + (points - middle) * grown


def filled(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """1 within the polygon, antialiased, float32."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255.0


def share(hidden: np.ndarray, points: np.ndarray) -> float:
    """How much of the polygon is hidden; what lies outside the picture is not seen and does not count."""
    inside = filled(points, hidden.shape[:2])
    total = float(inside.sum())
    return float((hidden * inside).sum()) / total if total > 1.0 else 0.0


def shares(hidden: np.ndarray, landmarks: np.ndarray) -> dict[str, float]:
    """Of eyes and cheeks the one that is hidden more, of brows both."""
    of = {name: share(hidden, polygon(landmarks, numbers, grown)) for name, numbers, grown in (
        ("right eye", RIGHT_EYE, 1.25), ("left eye", LEFT_EYE, 1.25), ("mouth", LIPS, 1.05), ("right brow", RIGHT_BROW, 1.0),
        ("left brow", LEFT_BROW, 1.0), ("right cheek", RIGHT_CHEEK, 1.0), ("left cheek", LEFT_CHEEK, 1.0))}  # fmt: skip
    return {
        "eyes": max(of["right eye"], of["left eye"]),
        "mouth": of["mouth"],
        "brows": (of["right brow"] + of["left brow"]) / 2.0,
        "cheeks": max(of["right cheek"], of["left cheek"]),
    }


def labels(hidden: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    found = shares(hidden, landmarks)
    return np.array([1 if found[n] >= COVERED[n] else 0 if found[n] <= FREE[n] else NEITHER for n in NAMES], np.int8)
