"""What follows from the box of a face, wherever a picture has one."""

from __future__ import annotations

import numpy as np


class Boxed:
    """Has `box`: left, top, right, bottom of a face, in pixels."""

    box: np.ndarray

    @property
    def face(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2:] - self.box[:2]))

    @property
    def centre(self) -> np.ndarray:
        return (self.box[:2] + self.box[2:]) / 2.0
