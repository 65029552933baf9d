"""What prepare.py drew, as training and calibration read it.

in   a folder of shards
out  Drawn: crops with a margin, the label of each region, the kind of each drawing, its photograph
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from covered import crops, drawing, regions
from shards import Shards


@dataclass
class Drawn(Shards):
    """All shards of a part, one after another."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("labels", "kinds", "photographs")

    labels: np.ndarray = field(default_factory=lambda: np.zeros((0, len(regions.NAMES)), np.int8))
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    photographs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def free(self) -> np.ndarray:
        """Which drawings cover nothing."""
        return np.isin(self.kinds, [drawing.NAMES.index(name) for name in drawing.LEFT_FREE])

    def plain(self, numbers: np.ndarray) -> np.ndarray:
        """The network's own crops, uint8."""
        return np.stack([crops.plain(crop) for crop in self.pictures(numbers)])
