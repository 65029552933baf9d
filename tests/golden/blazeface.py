"""BlazeFace in Python: letterbox, anchors, decoding, weighted suppression. The reference for `detect`.

in   RGB picture, height × width × 3, uint8; a `.tflite` file
out  detections in pixels of the picture: box [left, top, right, bottom], six keypoints, score

The parameters are those of MediaPipe's graphs (`modules/face_detection/face_detection.pbtxt` and
the two models' `SsdAnchorsCalculatorOptions`); written anew from their description, so that a
mistake in the product is not repeated here. Deliberately absent: speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert.interpreter import Interpreter

KEYPOINTS = ("right_eye", "left_eye", "nose_tip", "mouth_centre", "right_ear", "left_ear")
SCORE_CLIP = 100.0
SCORE_MIN = 0.5
OVERLAP_MAX = 0.3


@dataclass(frozen=True)
class Head:
    """Side of the square input and the anchor grids, each (cells a side, anchors a cell)."""

    side: int
    grids: tuple[tuple[int, int], ...]


HEADS = {
    "face_detection_short_range": Head(128, ((16, 2), (8, 6))),
    "face_detection_full_range_sparse": Head(192, ((48, 1),)),
}


def area_weights(outputs: int, start: float, step: float, available: int) -> np.ndarray:
    """outputs × available: what share of each output cell each source sample fills.

    Output cell i covers [start + i·step, start + (i+1)·step) of the source line; what lies outside
    the source has no weight, so rows that reach beyond it sum to less than 1 (black).
    """
    low = start + step * np.arange(outputs)[:, None]
    sample = np.arange(available)[None, :]
    covered = np.minimum(low + step, sample + 1) - np.maximum(low, sample)
    return np.clip(covered, 0.0, None) / step


def linear_weights(outputs: int, start: float, step: float, available: int) -> np.ndarray:
    """The same for enlarging: linear interpolation between sample centres, black outside."""
    weights = np.zeros((outputs, available))
    for row in range(outputs):
        centre = start + (row + 0.5) * step
        if not 0.0 < centre < available:
            continue
        position = min(max(centre - 0.5, 0.0), available - 1.0)
        left = int(position)
        right = min(left + 1, available - 1)
        weights[row, left] += 1.0 - (position - left)
        weights[row, right] += position - left
    return weights


@dataclass(frozen=True)
class Letterbox:
    """The square of the picture that the network sees: picture = corner + tensor · size."""

    left: float
    top: float
    size: float


def letterbox(picture: np.ndarray, side: int) -> tuple[np.ndarray, Letterbox]:
    """Centred in a square with black bars, aspect kept; an exact area filter when shrinking.

    Nothing is rounded to whole pixels: the bars may end inside an output pixel, which is then
    part black.
    """
    height, width = picture.shape[:2]
    size = float(max(height, width))
    box = Letterbox((width - size) / 2.0, (height - size) / 2.0, size)
    step = size / side
    weights = area_weights if step >= 1.0 else linear_weights
    rows = weights(side, box.top, step, height)
    columns = weights(side, box.left, step, width)
    return np.einsum("ih,hwc,jw->ijc", rows, picture.astype(np.float64), columns, optimize=True), box


def anchor_centres(head: Head) -> np.ndarray:
    """Centres in fractions of the side, in the order of the box tensor's rows."""
    centres = []
    for cells, per_cell in head.grids:
        for y in range(cells):
            for x in range(cells):
                centres += [((x + 0.5) / cells, (y + 0.5) / cells)] * per_cell
    return np.array(centres)


class Detector:
    """One BlazeFace with its interpreter, one thread."""

    def __init__(self, path: str, name: str) -> None:
        self.head = HEADS[name]
        self.anchors = anchor_centres(self.head)
        self.interpreter = Interpreter(model_path=path, num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        by_last = {int(o["shape"][-1]): o["index"] for o in self.interpreter.get_output_details()}
        self.boxes, self.scores = by_last[4 + 2 * len(KEYPOINTS)], by_last[1]

    def raw(self, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and logits for a tensor of −1 … 1, side × side × 3."""
        self.interpreter.set_tensor(self.input, tensor[None].astype(np.float32))
        self.interpreter.invoke()
        offsets = self.interpreter.get_tensor(self.boxes)[0].astype(np.float64)
        return offsets, self.interpreter.get_tensor(self.scores)[0, :, 0].astype(np.float64)

    def detect(self, picture: np.ndarray) -> list[dict]:
        """Faces of a picture, best first."""
        pixels, box = letterbox(picture, self.head.side)
        offsets, logits = self.raw(pixels / 127.5 - 1.0)
        return [in_picture(found, box) for found in suppress(*self.decode(offsets, logits))]

    def decode(self, offsets: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n × 8 × 2: two corners, six keypoints) in fractions of the side, and scores."""
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -SCORE_CLIP, SCORE_CLIP)))
        keep = scores >= SCORE_MIN
        numbers = offsets[keep] / self.head.side
        centre = numbers[:, 0:2] + self.anchors[keep]
        half = numbers[:, 2:4] / 2.0
        keypoints = numbers[:, 4:].reshape(-1, len(KEYPOINTS), 2) + self.anchors[keep][:, None]
        corners = np.stack([centre - half, centre + half], axis=1)
        return np.concatenate([corners, keypoints], axis=1), scores[keep]


def overlap(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with many."""
    low, high = np.maximum(one[0], many[:, 0]), np.minimum(one[1], many[:, 1])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=1)
    area = np.prod(one[1] - one[0]) + np.prod(many[:, 1] - many[:, 0], axis=1)
    return shared / (area - shared)


def suppress(points: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Weighted suppression: the best box takes the mean, by score, of all that overlap it."""
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    found = []
    while len(scores):
        same = overlap(points[0, :2], points[:, :2]) > OVERLAP_MAX
        same[0] = True
        merged = np.average(points[same], axis=0, weights=scores[same])
        found.append((merged, float(scores[0])))
        points, scores = points[~same], scores[~same]
    return found


def in_picture(found: tuple[np.ndarray, float], box: Letterbox) -> dict:
    """From fractions of the square to pixels of the picture."""
    points = found[0] * box.size + np.array([box.left, box.top])
    return {"score": found[1], "box": points[:2].reshape(-1), "keypoints": points[2:]}
