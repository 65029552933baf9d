"""What covers are made of: cloth, wool, paper, plastic, skin, glass, as textures the size of a picture.

in   height and width, a random generator; for skin a face's own colour
out  RGB, float32, 0 … 1, height × width × 3
"""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator

# Skin from dark to light, sRGB 0 … 1, between which any is drawn.
SKIN = np.array([(0.21, 0.13, 0.10), (0.36, 0.23, 0.17), (0.52, 0.36, 0.27), (0.68, 0.49, 0.38), (0.80, 0.61, 0.50), (0.90, 0.74, 0.65)], np.float32)
# Surgical blue and green, white, black, grey, skin-like beige, navy, red, pink.
CLOTHS = ((0.62, 0.76, 0.87), (0.55, 0.75, 0.72), (0.92, 0.93, 0.94), (0.08, 0.08, 0.09), (0.5, 0.5, 0.52), (0.82, 0.72, 0.62), (0.12, 0.16, 0.3), (0.6, 0.12, 0.12), (0.85, 0.6, 0.68))


def smooth(height: int, width: int, cells: float, rng: Rng) -> np.ndarray:
    """Noise of about 0 ± 1, with so many waves across."""
    rows, columns = max(2, int(cells * height / width) + 2), max(2, int(cells) + 2)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def any_colour(rng: Rng) -> np.ndarray:
    if rng.random() < 0.55:
        base = np.array(CLOTHS[int(rng.integers(len(CLOTHS)))], np.float32)
        return np.clip(base * np.float32(np.exp(rng.normal(0, 0.15))) + rng.normal(0, 0.03, 3).astype(np.float32), 0, 1)
    return rng.uniform(0.03, 0.97, 3).astype(np.float32)


def along(height: int, width: int, angle: float) -> np.ndarray:
    """The place of each pixel along a direction, in pixels."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))


def patterned(colour: np.ndarray, height: int, width: int, apart: float, rng: Rng) -> np.ndarray:
    """Plain, striped, checked, dotted or blotched; `apart` is the distance of the eyes in pixels."""
    layer = np.broadcast_to(colour, (height, width, 3)).astype(np.float32).copy()
    kind, other = rng.random(), any_colour(rng)
    if kind < 0.6:
        mask = None
    elif kind < 0.72:
        mask = (np.sin(along(height, width, rng.uniform(0, np.pi)) * 2 * np.pi / (apart * rng.uniform(0.12, 0.6))) > rng.uniform(-0.4, 0.6)).astype(np.float32)
    elif kind < 0.8:
        angle, wave = rng.uniform(0, np.pi), 2 * np.pi / (apart * rng.uniform(0.2, 0.6))
        mask = 0.5 * ((np.sin(along(height, width, angle) * wave) > 0).astype(np.float32) + (np.sin(along(height, width, angle + np.pi / 2) * wave) > 0))
    elif kind < 0.9:
        mask = (smooth(height, width, rng.uniform(4, 16), rng) > rng.uniform(0.2, 1.0)).astype(np.float32)
    else:
        angle, wave = rng.uniform(0, np.pi), 2 * np.pi / (apart * rng.uniform(0.15, 0.4))
        mask = ((np.sin(along(height, width, angle) * wave) * np.sin(along(height, width, angle + np.pi / 2) * wave)) > 0.5).astype(np.float32)
    return layer if mask is None else layer + mask[..., None] * (other - layer)


def cloth(height: int, width: int, apart: float, rng: Rng) -> np.ndarray:
    """With weave or knit, and folds."""
    layer = patterned(any_colour(rng), height, width, apart, rng)
    if rng.random() < 0.5:
        layer *= 1.0 + rng.uniform(0.01, 0.08) * rng.standard_normal((height, width, 1)).astype(np.float32)
    if rng.random() < 0.35:
        wave = 2 * np.pi / max(2.2, apart * rng.uniform(0.05, 0.2))
        layer *= 1.0 + np.float32(rng.uniform(0.03, 0.2)) * np.sin(along(height, width, rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])) * wave)[..., None]
    if rng.random() < 0.3:
        folds = np.abs(smooth(height, width, rng.uniform(1.5, 5), rng))
        layer *= (1.0 - np.float32(rng.uniform(0.05, 0.3)) * np.exp(-((folds / 0.25) ** 2)))[..., None]
    if rng.random() < 0.7:
        layer *= 1.0 + np.float32(rng.uniform(0.05, 0.2)) * smooth(height, width, rng.uniform(1, 5), rng)[..., None]
    return np.clip(layer, 0, 1)


def skin_tone(own: np.ndarray, rng: Rng) -> np.ndarray:
    """Mostly that of the face, lighter or darker; sometimes another one's, seldom a glove's."""
    kind = rng.random()
    if kind < 0.62:
        return np.clip(own * np.float32(np.exp(rng.normal(0, 0.15))) + rng.normal(0, 0.015, 3).astype(np.float32), 0.02, 1)
    if kind < 0.93:
        at = rng.uniform(0, len(SKIN) - 1.001)
        tone = SKIN[int(at)] + (SKIN[int(at) + 1] - SKIN[int(at)]) * np.float32(at - int(at))
        return np.clip(tone * np.float32(np.exp(rng.normal(0, 0.1))) + rng.normal(0, 0.015, 3).astype(np.float32), 0.02, 1)
    return any_colour(rng)


def mirrored(height: int, width: int, apart: float, rng: Rng) -> np.ndarray:
    """What a mirrored lens shows: sky above, ground below, blots."""
    tint, dark = rng.uniform(0.3, 1.0, 3).astype(np.float32), rng.uniform(0.02, 0.4, 3).astype(np.float32)
    y = along(height, width, np.pi / 2 + rng.normal(0, 0.3)) / np.float32(apart)
    horizon = 1.0 / (1.0 + np.exp(np.clip((y - y.mean() - rng.uniform(-0.3, 0.3)) * rng.uniform(3, 20), -30, 30)))
    layer = dark + horizon[..., None] * (tint - dark)
    layer += np.float32(rng.uniform(0.0, 0.2)) * smooth(height, width, rng.uniform(6, 24), rng)[..., None]
    return np.clip(layer, 0, 1).astype(np.float32)
