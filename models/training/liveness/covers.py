"""A cover before mouth and nose, as many people wear one: on some of the photographs that everything is drawn of.

in   a subject (subjects.py), a random generator
out  the same subject with a cover, or as it was

White cloth before a face is no paper. Live people and the pictures of attacks get covers alike, so that a
cover tells nothing of the class.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from liveness.subjects import Subject

SHARE = 0.06
# White, light blue, black, grey, and any: RGB 0 … 1.
CLOTHS = ((0.93, 0.94, 0.95), (0.62, 0.76, 0.86), (0.1, 0.1, 0.11), (0.55, 0.56, 0.58))


def covered(subject: Subject, rng: np.random.Generator, share: float = SHARE) -> Subject:
    """The subject, of `share` of whom each wears a cover."""
    return replace(subject, pixels=worn(subject, rng)) if rng.random() < share else subject


def worn(subject: Subject, rng: np.random.Generator) -> np.ndarray:
    """The photograph with a cover from the nose's bridge to below the chin, its folds and its straps."""
    right, left, nose, mouth = (np.asarray(point, float) for point in subject.keypoints[:4])
    eyes, across = (right + left) / 2.0, left - right
    apart = float(np.linalg.norm(across)) + 1e-6
    across = across / apart
    down = np.array([-across[1], across[0]])
    reach = max(float((mouth - eyes) @ down), 0.6 * apart)
    # The nose tells how far the head is turned: the cover's middle goes with it.
    turn = float((nose - eyes) @ across)

    def at(x: float, y: float) -> np.ndarray:
        """`x` eye distances to the side, `y` of the way from the eyes to the mouth."""
        return eyes + across * (x * apart + turn * 0.8) + down * y * reach

    bridge, wide, low = rng.uniform(0.28, 0.45), rng.uniform(0.85, 1.0), rng.uniform(1.65, 1.9)
    outline = [at(-wide, 0.62), at(-0.5, bridge + 0.14), at(0.0, bridge), at(0.5, bridge + 0.14), at(wide, 0.62),
               at(0.9 * wide, 1.2), at(0.5, low - 0.12), at(0.0, low), at(-0.5, low - 0.12), at(-0.9 * wide, 1.2)]  # fmt: skip
    height, width = subject.pixels.shape[:2]
    alpha = np.zeros((height, width), np.float32)
    cv2.fillPoly(alpha, [np.array(outline).astype(np.int32)], 1.0)
    for side in (-1.0, 1.0):
        for y in (0.66, 1.1):
            ends = (at(side * 0.9 * wide, y), at(side * 1.25, 0.3 + 0.2 * y))
            cv2.line(alpha, *(tuple(int(v) for v in end) for end in ends), 0.9, max(1, int(0.03 * apart)), cv2.LINE_AA)
    cloth = np.array(CLOTHS[int(rng.choice(len(CLOTHS), p=[0.45, 0.3, 0.15, 0.1]))], np.float32)
    # The light is that of the face, coarsely.
    light = cv2.GaussianBlur(subject.pixels.astype(np.float32) / 255.0, (0, 0), max(1.0, 0.35 * apart)) @ np.array([0.299, 0.587, 0.114], np.float32)
    shade = 0.35 + 0.65 * light / (float(light[alpha > 0.5].mean()) if (alpha > 0.5).any() else 1.0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    deep = ((x - np.float32(eyes[0])) * np.float32(down[0]) + (y - np.float32(eyes[1])) * np.float32(down[1])) / np.float32(reach)
    folds = 1.0 - np.float32(rng.uniform(0.0, 0.12)) * np.clip(np.cos(np.float32(2 * np.pi * rng.uniform(2.0, 4.0)) * deep), 0, 1) ** 4
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.012 * apart))[..., None]
    made = cloth * (shade * folds)[..., None] * 255.0
    return np.clip(subject.pixels * (1.0 - alpha) + made * alpha, 0, 255).astype(np.uint8)
