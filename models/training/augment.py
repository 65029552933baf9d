"""What a face may look like at a door: training pictures out of wide crops.

in   wide crop, 144 × 128 × 3 uint8 (faces.py); a seeded generator
out  the network's input (topology.Frame), uint8

The jitter's spread is that of the detector: its keypoints differ by about a fortieth of the eyes'
distance between neighbouring frames, which the fit of four points makes about half a pixel here;
it is drawn wider, because people turn their heads. Low resolution, JPEG and noise are a door's
camera: faces there are 50 to 80 pixels wide.
Deliberately absent: mirroring of labels (a mirrored face is the same person), mixing of pictures.
"""

from __future__ import annotations

import cv2
import faces
import numpy as np
from topology import FACE, Frame

SHIFT_PIXELS = 0.8
SCALE = 0.04
TURN_DEGREES = 3.5
# How often each happens. A network this small learns less of faces the more it learns of these.
SMALL, LIGHT, BLUR, JPEG, NOISE, GREY, HIDDEN = 0.20, 0.70, 0.12, 0.20, 0.10, 0.08, 0.12
SMALL_MIN = 0.45


def jittered(wide: np.ndarray, rng: np.random.Generator, of: Frame = FACE) -> np.ndarray:
    """The frame, a little off and perhaps mirrored, perhaps from a picture of fewer pixels."""
    # A door shows a face with as many pixels as it does: a larger frame lacks some more often.
    finer = max(1.0, of.scale)
    shrink = rng.uniform(SMALL_MIN / finer, 1.0) if rng.random() < SMALL * finer else 1.0
    width, height = round(of.width * shrink), round(of.height * shrink)
    turn = np.radians(rng.normal(0.0, TURN_DEGREES))
    scale = np.exp(rng.normal(0.0, SCALE))
    mirrored = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    detail = faces.DETAIL / of.scale
    matrix = detail * np.array([[cos * mirrored, -sin], [sin * mirrored, cos]])
    centre = faces.WIDE_CENTRE + rng.normal(0.0, SHIFT_PIXELS, 2) * faces.DETAIL
    stretch = np.diag([of.width / width, of.height / height])
    samples = max(1, round(detail / shrink))
    picture = faces.warp(wide, matrix @ stretch, centre - matrix @ faces.centre_of(of), width, height, samples)
    if shrink == 1.0:
        return picture
    return cv2.resize(picture, (of.width, of.height), interpolation=cv2.INTER_LINEAR)


def lit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, gamma, colour of the light, light from one side: one table and one ramp."""
    values = np.arange(256, dtype=np.float32) / 255.0
    gamma, gain, lift = np.exp(rng.normal(0.0, 0.25)), np.exp(rng.normal(0.0, 0.15)), rng.normal(0.0, 0.06)
    colour = np.exp(rng.normal(0.0, 0.06, 3))
    table = (values[:, None] ** gamma * gain * colour + lift) * 255.0
    table = np.clip(table, 0, 255).astype(np.uint8)
    picture = cv2.LUT(picture, table[None])
    if rng.random() < 0.3:
        height, width = picture.shape[:2]
        across = np.linspace(-1.0, 1.0, width)[None, :] * rng.normal(0.0, 0.25)
        down = np.linspace(-1.0, 1.0, height)[:, None] * rng.normal(0.0, 0.2)
        picture = np.clip(picture * (1.0 + across + down)[..., None], 0, 255).astype(np.uint8)
    if rng.random() < GREY:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        picture = np.repeat(grey[..., None], 3, axis=2)
    return picture


def seen_by_a_camera(picture: np.ndarray, rng: np.random.Generator, scale: float) -> np.ndarray:
    if rng.random() < BLUR:
        picture = cv2.GaussianBlur(picture, (0, 0), scale * rng.uniform(0.4, 1.1))
    if rng.random() < NOISE:
        noise = rng.normal(0.0, rng.uniform(2.0, 10.0), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < JPEG:
        done, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR) if done else picture
    return picture


def hidden(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand, a mask, a scarf: a rectangle of one colour over part of the face."""
    scale = picture.shape[1] / faces.WIDTH
    width, height = (int(scale * rng.integers(6, 22)) for _ in range(2))
    left, top = (int(scale * rng.integers(-4, side - 4)) for side in (faces.WIDTH, faces.HEIGHT))
    picture = picture.copy()
    picture[max(0, top) : top + height, max(0, left) : left + width] = rng.integers(0, 256, 3)
    return picture


def augmented(wide: np.ndarray, rng: np.random.Generator, of: Frame = FACE) -> np.ndarray:
    picture = jittered(wide, rng, of)
    if rng.random() < LIGHT:
        picture = lit(picture, rng)
    picture = seen_by_a_camera(picture, rng, of.scale)
    return hidden(picture, rng) if rng.random() < HIDDEN else picture
