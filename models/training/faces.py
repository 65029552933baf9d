"""From a picture to the crops that networks see, by the daemon's own detector and template.

in   RGB picture, height × width × 3, uint8
out  "wide crop": 128 × 144 RGB: the 47 × 55 frame of the card's template at twice its size, with 8.5
     pixels (of the frame) more on each side, so that training can jitter without losing the edge

The detector, its decoding and the fit of the template are tests/golden's reference, which the
golden tests hold equal to the daemon's. Only the letterbox is done again here, with the same
weights in single precision and kept for each size of picture, because the reference is slow.
Invariant: `frame(wide)` is what the daemon's alignment gives, but for one more interpolation.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "golden"))

import alignment  # noqa: E402
import blazeface  # noqa: E402
from landmarks import Landmarker  # noqa: E402
from topology import FACE, KINDS, Frame  # noqa: E402

DETECTOR = "face_detection_short_range"
WIDTH, HEIGHT = alignment.WIDTH, alignment.HEIGHT
MARGIN = 8.5
# Wide crops hold this many pixels for each pixel of the frame: a face is then sharper than the
# network's input, as it is before the daemon's own alignment.
DETAIL = 2
WIDE_WIDTH, WIDE_HEIGHT = int(DETAIL * (WIDTH + 2 * MARGIN)), int(DETAIL * (HEIGHT + 2 * MARGIN))
WIDE_CENTRE = np.array([WIDE_WIDTH, WIDE_HEIGHT]) / 2.0
WIDE_TEMPLATE = (alignment.TEMPLATE + MARGIN) * DETAIL
# ArcFace's 112 × 112 frame (insightface), which the teachers expect, pixel edges counted as whole
# numbers: eyes, nose tip and the middle of its two mouth corners.
TEACHER_SIDE = 112
FRAMES = {kind.frame for kind in KINDS.values()}
TEACHER_TEMPLATE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (56.1396, 92.2848)]) + 0.5
# The same frame as a network in it likes BlazeFace's keypoints best: a fiftieth larger and 1.2 pixels
# lower. Chosen on the validation people with MobileFaceNet: 6.2 % of true matches missed at FMR 1e-3
# in place of 6.8 %. The teacher's cached vectors keep the frame above.
OTHERS_TEMPLATE = (TEACHER_TEMPLATE - TEACHER_TEMPLATE.mean(0)) * 1.02 + TEACHER_TEMPLATE.mean(0) + np.array([0.0, 1.2])


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path} is not a picture that OpenCV reads")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


@lru_cache(maxsize=4096)
def letterbox_weights(height: int, width: int, side: int) -> tuple[np.ndarray, np.ndarray, blazeface.Letterbox]:
    size = float(max(height, width))
    box = blazeface.Letterbox((width - size) / 2.0, (height - size) / 2.0, size)
    weights = blazeface.area_weights if size >= side else blazeface.linear_weights
    rows = weights(side, box.top, size / side, height)
    columns = weights(side, box.left, size / side, width)
    return rows.astype(np.float32), columns.astype(np.float32), box


class Finder:
    """Finds the face of a picture and crops it."""

    def __init__(self, models: Path = ROOT / "assets" / "models") -> None:
        self.detector = blazeface.Detector(str(models / f"{DETECTOR}.tflite"), DETECTOR)

    def detect(self, picture: np.ndarray) -> list[dict]:
        """As the reference's `detect`, faster."""
        height, width = picture.shape[:2]
        rows, columns, box = letterbox_weights(height, width, self.detector.head.side)
        side = self.detector.head.side
        part = rows @ picture.reshape(height, -1).astype(np.float32)
        part = part.reshape(side, width, 3).transpose(1, 0, 2).reshape(width, -1)
        pixels = (columns @ part).reshape(side, side, 3).transpose(1, 0, 2)
        offsets, logits = self.detector.raw(pixels / 127.5 - 1.0)
        found = blazeface.suppress(*self.detector.decode(offsets, logits))
        return [blazeface.in_picture(face, box) for face in found]

    def subject(self, picture: np.ndarray) -> np.ndarray | None:
        """Keypoints of the face that the picture is of: large and near the middle, as data sets crop it."""
        height, width = picture.shape[:2]
        middle = np.array([width, height]) / 2.0
        best, best_rank = None, -np.inf
        for face in self.detect(picture):
            corner, other = face["box"][:2], face["box"][2:]
            rank = np.linalg.norm(other - corner) - 2.0 * np.linalg.norm((corner + other) / 2.0 - middle)
            if rank > best_rank:
                best, best_rank = face["keypoints"], rank
        return best


def warp(picture: np.ndarray, matrix: np.ndarray, offset: np.ndarray, width: int, height: int, samples: int | None = None) -> np.ndarray:
    """Output point p shows picture point `matrix @ p + offset`; shrinking averages, as the daemon's alignment does.

    `samples` of each output pixel a side; without it as many as the picture's pixels ask for.
    """
    samples = samples or max(1, int(np.ceil(np.hypot(matrix[0, 0], matrix[1, 0]))))
    # OpenCV counts pixel centres as whole numbers, and samples a grid that is then averaged.
    fine = matrix / samples
    shift = offset + fine @ np.array([0.5, 0.5]) - 0.5
    affine = np.hstack([fine, shift[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width * samples, height * samples)
    crop = cv2.warpAffine(picture, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return crop if samples == 1 else cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)


def wide_crop(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    matrix, offset = alignment.similarity(WIDE_TEMPLATE, keypoints[: len(WIDE_TEMPLATE)])
    return warp(picture, matrix, offset, WIDE_WIDTH, WIDE_HEIGHT)


def centre_of(of: Frame) -> np.ndarray:
    return np.array([of.width, of.height]) / 2.0


def frame(wide: np.ndarray, of: Frame = FACE) -> np.ndarray:
    """A network's own input out of a wide crop."""
    matrix = np.eye(2) * (DETAIL / of.scale)
    return warp(wide, matrix, WIDE_CENTRE - matrix @ centre_of(of), of.width, of.height)


def template_of(height: int, width: int, finer: bool = False) -> np.ndarray:
    """Where the four keypoints belong in a network's crop, told by its size and by who places them.

    `finer` are those of a landmark network, which lie where ArcFace's do.
    """
    known = {(f.height, f.width): f for f in FRAMES}
    if (height, width) == (TEACHER_SIDE, TEACHER_SIDE):
        return TEACHER_TEMPLATE if finer else OTHERS_TEMPLATE
    if finer:
        raise ValueError(f"no template for crops of {height} × {width} by landmarks: there is one for {(TEACHER_SIDE, TEACHER_SIDE)}")
    if (height, width) not in known:
        sizes = sorted([*known, (TEACHER_SIDE, TEACHER_SIDE)])
        raise ValueError(f"no template for crops of {height} × {width}: there is one for each of {sizes}")
    of = known[height, width]
    return (alignment.TEMPLATE - centre_of(FACE)) * of.scale + centre_of(of)


def crop_of(wide: np.ndarray, height: int, width: int) -> np.ndarray:
    """What a network of that input size sees of a wide crop."""
    template_of(height, width)
    of = next((f for f in FRAMES if (f.height, f.width) == (height, width)), None)
    return frame(wide, of) if of else teacher_crop(wide, OTHERS_TEMPLATE)


def landmarker(card_id: str) -> Landmarker:
    """The landmark network of that card, which ships."""
    return Landmarker(ROOT / "models" / f"{card_id}.toml", ROOT / "assets" / "models")


def finer_keypoints(wide: np.ndarray, places: Landmarker) -> np.ndarray | None:
    """Four keypoints in pixels of the wide crop, by a landmark network; None where it sees no face."""
    matrix, offset = alignment.similarity(places.template, WIDE_TEMPLATE)
    points, presence = places.keypoints(warp(wide, matrix, offset, places.side, places.side))
    return None if presence < places.head["min_presence"] else points @ matrix.T + offset


def finer_crop_of(wide: np.ndarray, height: int, width: int, places: Landmarker) -> np.ndarray | None:
    """As `crop_of`, by the keypoints of a landmark network; None where it sees no face."""
    points = finer_keypoints(wide, places)
    if points is None:
        return None
    matrix, offset = alignment.similarity(template_of(height, width, finer=True), points)
    return warp(wide, matrix, offset, width, height)


def teacher_crop(wide: np.ndarray, template: np.ndarray = TEACHER_TEMPLATE) -> np.ndarray:
    matrix, offset = alignment.similarity(template, WIDE_TEMPLATE)
    return warp(wide, matrix, offset, TEACHER_SIDE, TEACHER_SIDE)
