"""A photograph with its face, on which covers are laid: the plane of drawing.

in   a picture, RGB uint8, and its landmarks (subjects.py)
out  Face: `pixels` float32 0 … 1, on which layers are laid one after another, and `hidden`: how much of the
     face each pixel hides by now

`at(x, y)` is a place on the face: x distances of the eyes to the picture's right of the middle, y below the line of the eyes.
It turns with the head: a side that is farther away is narrower.
"""

from __future__ import annotations

import cv2
import numpy as np
from covered import regions

Rng = np.random.Generator


class Face:
    def __init__(self, picture: np.ndarray, landmarks: np.ndarray) -> None:
        self.pixels = picture.astype(np.float32) / 255.0
        self.landmarks = landmarks
        self.shape = picture.shape[:2]
        self.hidden = np.zeros(self.shape, np.float32)
        self.right_eye, self.left_eye = landmarks[list(regions.RIGHT_EYE)].mean(0), landmarks[list(regions.LEFT_EYE)].mean(0)
        self.middle = (self.right_eye + self.left_eye) / 2.0
        across = self.left_eye - self.right_eye
        # Of a turned head the eyes are nearer to each other; the height of the face tells how large it is.
        tall = float(np.linalg.norm(landmarks[152] - landmarks[10])) / 2.3
        self.apart = max(float(np.linalg.norm(across)), tall, 4.0)
        self.across = across / max(float(np.linalg.norm(across)), 1e-3)
        self.down = np.array([-self.across[1], self.across[0]], np.float32)
        sides = [abs(float((landmarks[n] - landmarks[168]) @ self.across)) / self.apart for n in (234, 454)]
        self.right_side, self.left_side = (max(0.15, side) for side in sides)

    def at(self, x: float, y: float) -> np.ndarray:
        # The sides of a face that looks straight ahead lie 1.2 distances from its middle.
        side = (self.left_side if x > 0 else self.right_side) / 1.2
        bridge = self.landmarks[168]
        line = self.middle + self.across * float((bridge - self.middle) @ self.across)
        return line + self.across * (x * side * self.apart) + self.down * (y * self.apart)

    def points(self, places: list[tuple[float, float]]) -> np.ndarray:
        return np.array([self.at(x, y) for x, y in places], np.float32)

    def skin(self) -> np.ndarray:
        """The median colour of the cheeks."""
        inside = regions.filled(regions.polygon(self.landmarks, regions.RIGHT_CHEEK), self.shape) + regions.filled(regions.polygon(self.landmarks, regions.LEFT_CHEEK), self.shape)
        chosen = self.pixels[inside > 0.5]
        return np.median(chosen, axis=0) if len(chosen) > 20 else np.array([0.6, 0.45, 0.36], np.float32)

    def light(self, rng: Rng) -> np.ndarray:
        """The light on the face, coarsely, about 1: on the whole, or as it falls."""
        grey = cv2.GaussianBlur(self.pixels @ np.array([0.299, 0.587, 0.114], np.float32), (0, 0), max(1.0, 0.5 * self.apart))
        inside = regions.filled(regions.polygon(self.landmarks, regions.OVAL), self.shape) > 0.5
        level = float(grey[inside].mean()) if inside.any() else 0.4
        strength = np.float32(rng.uniform(0.2, 0.9))
        bright = np.float32(np.clip((level / 0.5) ** rng.uniform(0.2, 1.0), 0.25, 1.3))
        return ((1.0 - strength) + strength * np.clip(grey / max(level, 0.02), 0.3, 1.8)) * bright

    def lay(self, layer: np.ndarray, alpha: np.ndarray, hides: float | np.ndarray = 1.0, soft: float = 0.012) -> None:
        """Lays `layer` over the picture where `alpha` is; it hides the face by `hides` of alpha."""
        alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.4, soft * self.apart))
        self.pixels = self.pixels * (1.0 - alpha[..., None]) + layer * alpha[..., None]
        self.hidden = 1.0 - (1.0 - self.hidden) * (1.0 - np.clip(alpha * hides, 0, 1))

    def shade(self, alpha: np.ndarray, strength: float, soft: float, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        """A shadow of `alpha`, moved by so many distances of the eyes. A shadow hides nothing."""
        moved = self.across * shift[0] * self.apart + self.down * shift[1] * self.apart
        cast = cv2.warpAffine(alpha, np.array([[1, 0, moved[0]], [0, 1, moved[1]]], np.float32), self.shape[::-1])
        cast = cv2.GaussianBlur(cast, (0, 0), max(0.6, soft * self.apart))
        self.pixels = self.pixels * (1.0 - np.float32(strength) * cast[..., None])


def rounded(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """The polygon with its corners cut off (Chaikin 1974)."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(-1, 2)
    return points


def shaken(points: np.ndarray, amount: float, rng: Rng) -> np.ndarray:
    return points + rng.normal(0, amount, points.shape).astype(np.float32)
