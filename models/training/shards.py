"""Drawings as they come from prepare.py, one shard after another.

in   a folder of .npz shards, each with pictures and a column for each thing that is known of them
out  Shards: all columns together, and the pictures of any numbers

Pictures stay in their shards' arrays: together they may be larger than what one array should hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np


@dataclass
class Shards:
    """Whoever derives from it has a field for each of COLUMNS; each of them has a row for a picture."""

    COLUMNS: ClassVar[tuple[str, ...]] = ()

    folder: Path
    # Under which name a shard has its pictures.
    key: str = "crops"
    seen: set[str] = field(default_factory=set)
    blocks: list[np.ndarray] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])

    def refresh(self) -> int:
        """Takes in the shards that are new; how many pictures there are. Half-written ones wait."""
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self.seen or ".partial." in path.name:
                continue
            with np.load(path) as stored:
                self.blocks.append(stored[self.key])
                for name in self.COLUMNS:
                    setattr(self, name, np.concatenate([getattr(self, name), stored[name]]))
            self.starts.append(self.starts[-1] + len(self.blocks[-1]))
            self.seen.add(path.name)
        return self.starts[-1]

    def pictures(self, numbers: np.ndarray) -> np.ndarray:
        blocks = np.searchsorted(self.starts, numbers, side="right") - 1
        return np.stack([self.blocks[block][number - self.starts[block]] for block, number in zip(blocks, numbers, strict=True)])
