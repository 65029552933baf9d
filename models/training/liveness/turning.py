"""A head that really turns, and sheets that bend: each row of a picture lies at a depth and is turned about a vertical axis.

in   a Person (draw_visits.py) or any picture, a depth for each pixel, an angle
out  the picture as seen from the front after the turn; what is hidden by something nearer is not seen

Invariant: the turn is a turn of a surface, x' = x cos + z sin, seen from far away, so that the nose moves
against the line of the eyes as far as its depth says. The depths are a mean head's, in distances of the
eyes: an ellipsoid with a nose, lips and hollows of the eyes on it; the chest does not turn with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from liveness.draw_visits import Head, Person

# In eye distances: half the head's width and height, how far its front is before the axis it turns
# about, and what the nose and the lips add. Set so that the daemon's keypoints move as on real heads.
HALF_WIDTH, HALF_HEIGHT, FRONT = 1.35, 2.2, 1.35
NOSE, NOSE_WIDE, NOSE_TALL = 0.3, 0.2, 0.3
LIPS, SOCKETS = 0.08, 0.1
# Below the eyes the neck turns less and less from here to there.
NECK, CHEST = 1.9, 3.0


def columns(x: np.ndarray, depth: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """For each column of each row: which column of the picture is seen there after the turn.

    x: columns from the axis, rows × columns; depth: the same shape; angle: radians, for all or for each row.
    Of two points in one place the one on the side that has turned towards the camera is nearer.
    """
    angle = np.broadcast_to(np.asarray(angle, np.float64), (x.shape[0],))
    seen = np.empty(x.shape, np.float32)
    step = np.arange(x.shape[1]) * 1e-6
    for row in range(x.shape[0]):
        sin, cos = np.sin(angle[row]), np.cos(angle[row])
        place = x[row] * cos + depth[row] * sin
        if sin >= 0:
            seen[row] = np.interp(x[row], np.maximum.accumulate(place) + step, x[row])
        else:
            seen[row] = np.interp(x[row], np.minimum.accumulate(place[::-1])[::-1] + step, x[row])
    return seen


@dataclass
class TurningHead(Head):
    """A head whose `turned` is a turn: radians, positive to the picture's right."""

    @staticmethod
    def of(person: Person) -> TurningHead:
        flat, apart, at = Head.of(person), eye_distance(person), person.eyes.mean(0)
        u, v = (flat.x - at[0]) / apart, (flat.y - at[1]) / apart
        down = float(person.mouth[1] - at[1]) / apart
        depth = FRONT * np.sqrt(np.clip(1.0 - (u / HALF_WIDTH) ** 2 - ((v - 0.25) / HALF_HEIGHT) ** 2, 0.0, 1.0))
        depth += NOSE * np.exp(-((u / NOSE_WIDE) ** 2) - ((v - 0.52 * down) / NOSE_TALL) ** 2)
        depth += LIPS * np.exp(-((u / 0.35) ** 2) - ((v - down) / 0.2) ** 2)
        for side in (-0.5, 0.5):
            depth -= SOCKETS * np.exp(-(((u - side) / 0.2) ** 2) - (v / 0.15) ** 2)
        return TurningHead(person, flat.x, flat.y, (depth * apart).astype(np.float32), flat.lids)

    @staticmethod
    def mask(person: Person) -> TurningHead:
        """Paper around a head: as round as a head from side to side, without a nose."""
        flat, apart, at = Head.of(person), eye_distance(person), person.eyes.mean(0)
        depth = 1.25 * np.sqrt(np.clip(1.0 - ((flat.x - at[0]) / (1.5 * apart)) ** 2, 0.0, 1.0))
        return TurningHead(person, flat.x, flat.y, (depth * apart).astype(np.float32), flat.lids)

    def turned(self, yaw: float, pitch: float, shut: float) -> tuple[np.ndarray, np.ndarray]:
        apart, at = eye_distance(self.person), self.person.eyes.mean(0)
        y = self.y - self.depth * np.float32(np.sin(pitch))
        if shut > 0.05:
            y = y - self.lids * np.float32(shut * 0.11 * self.person.face)
        below = ((self.y[:, 0] - at[1]) / apart - NECK) / (CHEST - NECK)
        share = 1.0 - np.clip(below, 0.0, 1.0) ** 2 * (3.0 - 2.0 * np.clip(below, 0.0, 1.0))
        x = columns(self.x - at[0], self.depth, yaw * share) + np.float32(at[0])
        return tuple(cv2.remap(part, x, y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in (self.person.pixels, self.person.matte))  # type: ignore[return-value]


def eye_distance(person: Person) -> float:
    return float(np.linalg.norm(person.eyes[1] - person.eyes[0]))


def bent(pixels: np.ndarray, alpha: np.ndarray, half: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """A sheet that is a part of a cylinder, its ends `half` radians from its middle (negative: hollow), turned."""
    tall, wide = alpha.shape
    x = (np.arange(wide, dtype=np.float64) - (wide - 1) / 2.0)[None]
    radius = (wide / 2.0) / np.sin(abs(half))
    depth = np.sign(half) * (np.sqrt(np.clip(radius**2 - x**2, 0, None)) - radius * np.cos(half))
    at = columns(x, depth, angle)[0] + np.float32((wide - 1) / 2.0)
    # Beyond its ends is nothing.
    edge = np.abs(x[0]) <= np.abs((np.array([x[0, 0], x[0, -1]]) * np.cos(angle))).max() + 1.0
    maps = np.broadcast_to(at, (tall, wide)).astype(np.float32), np.broadcast_to(np.arange(tall, dtype=np.float32)[:, None], (tall, wide)).copy()
    seen = [cv2.remap(part, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in (pixels, alpha)]
    return seen[0], seen[1] * edge.astype(np.float32)[None]


def shrunk(person: Person, face: float) -> Person:
    """The same with a face at most a fifth wider than `face` pixels: more is not seen, and costs time."""
    scale = min(1.0, 1.2 * face / person.face)
    if scale > 0.95:
        return person
    size = (round(person.pixels.shape[1] * scale), round(person.pixels.shape[0] * scale))
    pixels, matte = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (person.pixels, person.matte))
    return replace(person, pixels=pixels, matte=matte, box=person.box * scale, eyes=person.eyes * scale, mouth=person.mouth * scale)
