"""What prepare.py drew, as training and calibration read it.

in   a folder of shards, the name of the crops that a network sees (`crops` or `close`)
out  Drawn: crops, their kinds and scenes, how large the faces were, what the teachers said
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from liveness.teachers import NAMES as TEACHERS


@dataclass
class Drawn:
    """All shards of a part, one after another."""

    folder: Path
    key: str = "crops"
    seen: set[str] = field(default_factory=set)
    crops: list[np.ndarray] = field(default_factory=list)
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    scenes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    faces: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    teachers: np.ndarray = field(default_factory=lambda: np.zeros((0, len(TEACHERS)), np.float32))
    starts: list[int] = field(default_factory=lambda: [0])

    def refresh(self) -> int:
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self.seen or ".partial." in path.name:
                continue
            with np.load(path) as stored:
                self.crops.append(stored[self.key])
                for name in ("kinds", "scenes", "faces", "teachers"):
                    setattr(self, name, np.concatenate([getattr(self, name), stored[name]]))
            self.starts.append(len(self.kinds))
            self.seen.add(path.name)
        return len(self.kinds)

    def pictures(self, numbers: np.ndarray) -> np.ndarray:
        blocks = np.searchsorted(self.starts, numbers, side="right") - 1
        return np.stack([self.crops[block][number - self.starts[block]] for block, number in zip(blocks, numbers, strict=True)])


def shrunk(crops: np.ndarray, side: int) -> np.ndarray:
    """Crops at the side that a network sees."""
    return np.stack([cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops])
