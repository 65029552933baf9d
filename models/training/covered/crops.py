"""The crop that the network sees: the face by its four keypoints, as the card's template has it.

Quick finds them as `faces.Finder` does, with OpenCV's letterbox, which is quicker for frames of many sizes.

in   a picture, RGB uint8; keypoints of BlazeFace in its pixels
out  crop HEIGHT × WIDTH × 3; `with_margin` the same MARGIN pixels larger on each side, at DETAIL times the
     size, so that training can shake it
"""

from __future__ import annotations

import cv2
import faces
import numpy as np
from alignment import TEMPLATE as DEEPID2
from alignment import similarity
from blazeface import Letterbox, in_picture, suppress

WIDTH, HEIGHT = 64, 64
# Right eye, left eye, nose tip, mouth centre: DeepID2's template at five quarters its size, a little wider.
TEMPLATE = (DEEPID2 - DEEPID2[:2].mean(0)) * 1.25 + np.array([32.0, 23.0])
MARGIN, DETAIL = 5, 1.5
LARGE_WIDTH, LARGE_HEIGHT = int(DETAIL * (WIDTH + 2 * MARGIN)), int(DETAIL * (HEIGHT + 2 * MARGIN))


def cut(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    matrix, offset = similarity(TEMPLATE, keypoints[: len(TEMPLATE)])
    return faces.warp(picture, matrix, offset, WIDTH, HEIGHT)


def with_margin(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    matrix, offset = similarity((TEMPLATE + MARGIN) * DETAIL, keypoints[: len(TEMPLATE)])
    return faces.warp(picture, matrix, offset, LARGE_WIDTH, LARGE_HEIGHT)


def plain(large: np.ndarray) -> np.ndarray:
    """The network's own crop out of one with a margin."""
    matrix = np.eye(2) * DETAIL
    return faces.warp(large, matrix, np.array([MARGIN * DETAIL, MARGIN * DETAIL]), WIDTH, HEIGHT)


class Quick(faces.Finder):
    """The same detector, on a letterbox by OpenCV."""

    def detect(self, picture: np.ndarray) -> list[dict]:
        height, width = picture.shape[:2]
        size, side = max(height, width), self.detector.head.side
        top, left = (size - height) // 2, (size - width) // 2
        square = cv2.copyMakeBorder(picture, top, size - height - top, left, size - width - left, cv2.BORDER_CONSTANT)
        pixels = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if size >= side else cv2.INTER_LINEAR)
        offsets, logits = self.detector.raw(pixels.astype(np.float32) / 127.5 - 1.0)
        box = Letterbox(-float(left), -float(top), float(size))
        return [in_picture(face, box) for face in suppress(*self.detector.decode(offsets, logits))]


def surrounded(picture: np.ndarray, keypoints: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The picture with more around it, for photographs of data sets are cut closer than a camera's: its own
    mirror image, another photograph, or its edge, as the daemon fills up where a frame ends."""
    kind = rng.random()
    if kind < 0.35:
        return picture, keypoints
    border, (height, width) = max(8, int(0.4 * max(picture.shape[:2]))), picture.shape[:2]
    if kind < 0.65:
        return cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REFLECT_101), keypoints + border
    around = cv2.GaussianBlur(cv2.resize(other, (width + 2 * border, height + 2 * border)), (0, 0), rng.uniform(0.5, 6.0))
    around[border : border + height, border : border + width] = picture
    return around, keypoints + border
