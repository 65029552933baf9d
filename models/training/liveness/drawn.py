"""What prepare.py drew, as training and calibration read it.

in   a folder of shards, the name of the crops that a network sees (`crops` or `close`)
out  Drawn: crops, their kinds and scenes, how large the faces were, what the teachers said
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np
from liveness.teachers import NAMES as TEACHERS
from shards import Shards


@dataclass
class Drawn(Shards):
    """All shards of a part, one after another."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("kinds", "scenes", "faces", "teachers")

    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    scenes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    faces: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    teachers: np.ndarray = field(default_factory=lambda: np.zeros((0, len(TEACHERS)), np.float32))


def shrunk(crops: np.ndarray, side: int) -> np.ndarray:
    """Crops at the side that a network sees."""
    return np.stack([cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops])
