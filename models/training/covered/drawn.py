"""What prepare.py drew, as training and calibration read it.

in   a folder of shards
out  Drawn: crops with a margin, the label of each region, the kind of each drawing, its photograph
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from covered import crops, drawing, regions


@dataclass
class Drawn:
    """All shards of a part, one after another."""

    folder: Path
    seen: set[str] = field(default_factory=set)
    blocks: list[np.ndarray] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.zeros((0, len(regions.NAMES)), np.int8))
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    photographs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    starts: list[int] = field(default_factory=lambda: [0])

    def refresh(self) -> int:
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self.seen or ".partial." in path.name:
                continue
            with np.load(path) as stored:
                self.blocks.append(stored["crops"])
                for name in ("labels", "kinds", "photographs"):
                    setattr(self, name, np.concatenate([getattr(self, name), stored[name]]))
            self.starts.append(len(self.kinds))
            self.seen.add(path.name)
        return len(self.kinds)

    def pictures(self, numbers: np.ndarray) -> np.ndarray:
        blocks = np.searchsorted(self.starts, numbers, side="right") - 1
        return np.stack([self.blocks[block][number - self.starts[block]] for block, number in zip(blocks, numbers, strict=True)])

    @property
    def free(self) -> np.ndarray:
        """Which drawings cover nothing."""
        return np.isin(self.kinds, [drawing.NAMES.index(name) for name in drawing.LEFT_FREE])

    def plain(self, numbers: np.ndarray) -> np.ndarray:
        """The network's own crops, uint8."""
        return np.stack([crops.plain(crop) for crop in self.pictures(numbers)])
