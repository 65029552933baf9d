"""The frames that all peers see: the astronaut's portrait on grey, moving a little from frame to frame.

in   assets/photographs/astronaut.png (`make assets`)
out  BGR pictures of SIZE with one face, at most 16 of them
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

PLACE = Path(__file__).resolve().parent.parent.parent / "assets/photographs/astronaut.png"
SIZE = (640, 480)


def portrait_frames(count: int = 16) -> list[np.ndarray]:
    portrait = cv2.imread(str(PLACE))
    if portrait is None:
        raise SystemExit("assets/photographs/astronaut.png is missing: run 'make assets'")
    portrait = cv2.resize(portrait, (440, 440), interpolation=cv2.INTER_AREA)
    frames = []
    for number in range(min(count, 16)):
        frame = np.full((SIZE[1], SIZE[0], 3), 96, np.uint8)
        left, top = 60 + 6 * number, 20
        frame[top : top + 440, left : left + 440] = portrait
        frames.append(frame)
    return frames
